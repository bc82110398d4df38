"""From the older server's settings to our configuration file: values in, lines out.

Each entry of the file is a comment, and mostly a setting below it. A setting that the old server
never read gets the value that was in effect; the comment says how to have the other one.
"""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence

from actors.config.secrets import without_secrets
from actors.config.values import DAY_S, DURATION_MAX_S
from actors.config.written import toml_line, toml_string
from claudehub.moving import leftovers
from claudehub.moving.entries import (
    Entry,
    Source,
    clamped,
    comment,
    in_effect,
    name_of,
    shown,
    switched_off,
    text_of,
)
from claudehub.moving.go_values import SECOND_NS, duration_text
from claudehub.moving.old_keys import MIB, MINUTE_NS
from claudehub.moving.old_settings import OldSettings
from claudehub.show.safe_text import one_line
from protocol.host import is_loopback

_FOLDERS_MAX = 100
_PROBLEM_MAX = 300
_MISSING_SHOWN_MAX = 10
# What was in effect, whatever the file said.
PROJECTS_OLD = 100
ROTATE_OLD = "100MiB"
TIMEOUT_OLD_NS = 5 * MINUTE_NS
HEARTBEAT_MAX_NS = int(DAY_S) * SECOND_NS
TIMEOUT_MIN_NS = SECOND_NS // 1000
TIMEOUT_MAX_NS = int(DURATION_MAX_S) * SECOND_NS


def configuration(old: OldSettings, source: Source) -> str:
    """Return the text of our configuration file."""
    parts = [_head(old, source)]
    for title, makers in _GROUPS.items():
        entries = [entry for make in makers for entry in make(old, source)]
        if entries:
            parts += [f"# -- {title}", *map(text_of, entries)]
    return "\n\n".join(parts) + "\n"


def _head(old: OldSettings, source: Source) -> str:
    origin = "the old server's defaults" if source.file is None else shown(source.file)
    variables = ", and the POCKET_AGENT_ variables" if source.has_environment else ""
    return "\n".join(
        [
            comment(f"The configuration of claudehub, from {origin}{variables}."),
            "#",
            comment(
                "The old server's flags --port and --data-dir won over everything: if you used "
                "them, change ws_port, and the folder below. Settings that are not here have "
                "claudehub's defaults; `claudehub config example` shows all of them."
            ),
            "#",
            "# Next:",
            "#   1. Save this text as ~/.config/claudehub/config.toml.",
            "#   2. claudehub config check ~/.config/claudehub/config.toml",
            f"#   3. claudehub import {_folder_of_import(source.data_dir)} --dry-run",
            "#   4. The same without --dry-run, while the hub does not run.",
            "#   5. claudehub serve --check",
        ]
    )


def _folder_of_import(data_dir: str) -> str:
    """Return the old data folder as a word of a shell, or what stands for it."""
    is_plain = one_line(data_dir) == data_dir and without_secrets(data_dir) == data_dir
    return shlex.quote(data_dir) if is_plain else "DATA_DIR"


# -- the settings


def _port(old: OldSettings, source: Source) -> Iterator[Entry]:
    yield Entry(
        f"{name_of(old, 'port')}: the port, on which the old clients look for the server.",
        (toml_line("ws_port", old.text("port")),),
    )


def _bind(old: OldSettings, source: Source) -> Iterator[Entry]:
    host = old.text("host")
    remark = (
        f"{name_of(old, 'host')} was never in effect: the old server listened on all addresses. "
        "claudehub does so only with keys (authorized_keys), and a hub with keys refuses the old "
        "clients. Let other machines in through an SSH tunnel, a tailnet or a reverse proxy."
    )
    yield Entry(remark, (toml_line("bind", host if is_loopback(host) else "127.0.0.1"),))


def _certificates(old: OldSettings, source: Source) -> Iterator[Entry]:
    cert, key = old.text("tls_cert_file"), old.text("tls_key_file")
    if old.values["tls_enabled"].value:
        lines = (_file_line("tls_cert", cert), _file_line("tls_key", key))
        remark = "tls_cert_file, tls_key_file: TLS was on (tls_enabled)."
        if not all(path.startswith("/") for path in (cert, key)):
            remark += (
                " A path without a / at its beginning counts from the folder in which the server "
                "is started; write the whole path. A ~ means nothing special there."
            )
        yield Entry(remark, lines)
    elif any(map(old.given_by, ("tls_enabled", "tls_cert_file", "tls_key_file"))):
        yield Entry("tls_enabled was false, so the certificate is not taken over (tls_cert_file).")


def _file_line(setting: str, path: str) -> str:
    # Only a shell replaces ~, so the old server had a folder of that name.
    return f"{setting} = {toml_string(f'./{path}' if path.startswith('~') else path)}"


def _old_protocol(old: OldSettings, source: Source) -> Iterator[Entry]:
    yield Entry(
        "New: the clients of the old server speak version 0 of the protocol, at the path /ws. "
        "Without such clients, delete this line.",
        (toml_line("protocol_v0", "on"),),
    )
    yield Entry(
        "New: a web page may connect only from an address that is listed here. The old server let "
        "every page in. Take the # away if you use the old web page, with its address.",
        (switched_off('allowed_origins = "http://localhost:3000"'),),
    )


def _roots(old: OldSettings, source: Source) -> Iterator[Entry]:
    roots = source.roots
    data_dir = shown(source.data_dir)
    remark = "New: the folders in which projects may lie. The old server took almost any folder."
    if roots.problem is not None:
        remark += f" The old data folder cannot be looked at: {shown(roots.problem, _PROBLEM_MAX)}."
    elif roots.there:
        remark += f" These are the parents of the projects in {data_dir}."
    else:
        remark += f" {data_dir} has no project whose folder is still there."
    if roots.missing:
        names = ", ".join(map(shown, roots.missing[:_MISSING_SHOWN_MAX]))
        more = len(roots.missing) - _MISSING_SHOWN_MAX
        names += f" and {more} more" if more > 0 else ""
        remark += f" Not there any more, so not listed: {names}."
    folders = ", ".join(map(toml_string, roots.there[:_FOLDERS_MAX]))
    if folders:
        yield Entry(remark, (f"project_roots = [{folders}]",))
    else:
        remark += " Without this setting, the home of the user who runs claudehub."
        yield Entry(remark, (switched_off('project_roots = ["/srv/projects"]'),))
    if (more := len(roots.there) - _FOLDERS_MAX) > 0:
        yield Entry(f"{more} more folders are not listed.")


def _projects(old: OldSettings, source: Source) -> Iterator[Entry]:
    wanted = old.number("execution.max_projects")
    remark = (
        f"{name_of(old, 'execution.max_projects')} was never in effect: the old server always took "
        f"{PROJECTS_OLD} projects."
    )
    yield in_effect(remark, "max_projects", str(PROJECTS_OLD), str(wanted))


def _command(old: OldSettings, source: Source) -> Iterator[Entry]:
    path = old.text("execution.claude_binary_path")
    name = name_of(old, "execution.claude_binary_path")
    command = shlex.quote(path)
    line = f"claude_cmd = {toml_string(command)}"
    if (hidden := without_secrets(command)) != command:
        remark = f"{name}: it may hold a secret, which is not shown; write it here yourself."
        yield Entry(remark, (switched_off(f"claude_cmd = {toml_string(hidden)}"),))
        return
    remark = f"{name}: the command of the CLI. claudehub splits it into words, as a shell does"
    remark += ", so it is quoted." if command != path else "."
    if "/" in path and not path.startswith("/"):
        remark += " Write the whole path, from / on: a ~ or a relative path leads elsewhere here."
    yield Entry(remark, (line,))


def _timeout(old: OldSettings, source: Source) -> Iterator[Entry]:
    given = old.number("execution.command_timeout")
    name = name_of(old, "execution.command_timeout")
    if given == 0:
        remark = f"{name}: the time limit of an execution. 0 meant 5 minutes, not: no limit."
        yield Entry(remark, (toml_line("exec_timeout", duration_text(TIMEOUT_OLD_NS)),))
        return
    taken = min(max(given, TIMEOUT_MIN_NS), TIMEOUT_MAX_NS)
    remark = f"{name}: the time limit of an execution.{clamped(given, taken)}"
    if given < SECOND_NS:
        remark += " In JSON, a number without a unit counted nanoseconds."
    yield Entry(remark, (toml_line("exec_timeout", duration_text(taken)),))


def _rotation(old: OldSettings, source: Source) -> Iterator[Entry]:
    wanted = old.number("execution.max_log_size")
    remark = (
        f"{name_of(old, 'execution.max_log_size')} was never in effect: the old server always "
        f"began a new file of a history at {ROTATE_OLD}."
    )
    if wanted == 100 * MIB:
        yield Entry(remark, (toml_line("msg_rotate_size", ROTATE_OLD),))
    else:
        yield in_effect(remark, "msg_rotate_size", ROTATE_OLD, str(wanted))


def _data_dir(old: OldSettings, source: Source) -> Iterator[Entry]:
    path = old.text("data_dir")
    remark = (
        f"{name_of(old, 'data_dir')} ({shown(path)}) is not taken over: claudehub keeps its data "
        "in a folder of its own (data_dir). `claudehub import` copies the projects and their "
        "histories into it, and only reads the old one."
    )
    if not path.startswith("/"):
        remark += (
            " The path counted from the folder in which the old server was started; here it "
            f"was taken for {shown(source.data_dir)}."
        )
    yield Entry(remark)


def _heartbeat(old: OldSettings, source: Source) -> Iterator[Entry]:
    given = old.number("websocket.ping_interval")
    taken = min(given, HEARTBEAT_MAX_NS)
    remark = (
        f"{name_of(old, 'websocket.ping_interval')}: the time between pings. claudehub closes a "
        "connection that has not answered when the next ping is due. Its own default is 30s."
        f"{clamped(given, taken)}"
    )
    yield Entry(remark, (toml_line("heartbeat", duration_text(taken)),))


def _message_size(old: OldSettings, source: Source) -> Iterator[Entry]:
    name = "websocket.max_message_size"
    remark = f"{name_of(old, name)}: the largest message from a client, in bytes."
    yield Entry(remark, (toml_line("max_message_bytes", old.text(name)),))


def _log_level(old: OldSettings, source: Source) -> Iterator[Entry]:
    given = old.text("log_level").lower()
    level = "warning" if given == "warn" else given
    remark = f"{name_of(old, 'log_level')}: how much the hub logs."
    if given == "warn":
        remark += " Its name for warn is warning."
    yield Entry(remark, (toml_line("log_level", level),))


def _log_file(old: OldSettings, source: Source) -> Iterator[Entry]:
    if old.given_by("log_file") is not None:
        yield Entry(
            f"{name_of(old, 'log_file')} was never in effect: the old server wrote its log to "
            "standard output, as JSON. claudehub writes text to standard error; for JSON:",
            (switched_off('log_format = "json"'),),
        )


_New = Callable[[OldSettings, Source], Iterator[Entry]]
_GROUPS: Mapping[str, Sequence[_New]] = {
    "Where it listens": (_port, _bind, _certificates),
    "Old clients": (_old_protocol,),
    "Projects": (_roots, _projects),
    "The agent": (_command, _timeout),
    "Data and history": (_data_dir, _rotation),
    "Limits of clients": (_heartbeat, _message_size),
    "Log lines": (_log_level, _log_file),
    "Without a counterpart here": (
        leftovers.no_counterpart,
        leftovers.unknown,
        leftovers.never_read,
    ),
    "Without a counterpart in the old server": (leftovers.new_here,),
}
