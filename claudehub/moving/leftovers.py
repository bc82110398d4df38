"""What has no counterpart: old keys that mean nothing here, and settings that are new here."""

from collections.abc import Iterator, Mapping

from claudehub.moving.entries import Entry, Source, name_of, shown, time_of
from claudehub.moving.old_keys import KEYS, Kind
from claudehub.moving.old_settings import OldSettings

_NAMES_MAX = 20
# Keys without a counterpart: what holds instead.
_NO_COUNTERPART: Mapping[str, str] = {
    "websocket.pong_timeout": (
        "has no counterpart: an answer to a ping must come before the next ping (heartbeat)"
    ),
    "websocket.read_timeout": (
        "has no counterpart: in the old server it limited the handshake only. Here "
        "auth_timeout does"
    ),
    "websocket.write_timeout": (
        "has no counterpart: in the old server it limited the handshake only. Here auth_timeout "
        "does; slow_client_bytes limits what waits for a slow client"
    ),
    "websocket.write_buffer_size": "has no counterpart: the hub needs no such buffer",
    "websocket.read_buffer_size": (
        "has no counterpart, and was never in effect: both buffers had the size of "
        "write_buffer_size"
    ),
    "execution.max_messages_per_log": (
        "has no counterpart, and was never in effect: the old server always began a new file after "
        "10000 records. Here only size and age count (msg_rotate_size, msg_rotate_days)"
    ),
}


def no_counterpart(old: OldSettings, source: Source) -> Iterator[Entry]:
    """Yield a comment for each old key that means nothing here, if it was given."""
    for key, remark in _NO_COUNTERPART.items():
        if old.given_by(key) is not None:
            number = old.number(key)
            is_time = KEYS[key].kind is Kind.DURATION
            value = time_of(number) if is_time else str(number)
            yield Entry(f"{name_of(old, key)} ({value}) {remark}.")


def unknown(old: OldSettings, source: Source) -> Iterator[Entry]:
    """Yield a comment for each key and variable that the old server did not know."""
    for names, word in ((old.unknown_keys, "key"), (old.unknown_variables, "variable")):
        for name in names[:_NAMES_MAX]:
            yield Entry(f"{shown(name)}: an unknown {word}, which the old server ignored.")
        if len(names) > _NAMES_MAX:
            yield Entry(f"{len(names) - _NAMES_MAX} more unknown {word}s, which it ignored too.")


def never_read(old: OldSettings, source: Source) -> Iterator[Entry]:
    """Yield a comment for each PA_ variable."""
    for name, setting in list(source.never_read.items())[:_NAMES_MAX]:
        here = "" if setting is None else f" Here {setting.lower()} does what its name says."
        yield Entry(f"{shown(name)} was never read by the old server, so it is not taken.{here}")
    if len(source.never_read) > _NAMES_MAX:
        yield Entry(f"{len(source.never_read) - _NAMES_MAX} more PA_ variables, also never read.")


def new_here(old: OldSettings, source: Source) -> Iterator[Entry]:
    """Yield comments on settings that had nothing like them."""
    yield Entry(
        "max_conn, rate_limit: the old server took 100 connections, 10 of one address, and 60 new "
        "ones a minute. claudehub takes 100 by default, and limits requests."
    )
    yield Entry(
        "trust_projects, permission_mode, permission_timeout: a project's own settings and hooks "
        "take effect only once somebody trusts its folder, and tools that need permission are "
        "asked for. claude_env: the CLI sees fewer variables than in the old server."
    )
