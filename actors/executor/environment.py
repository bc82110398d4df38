"""The environment variables that the CLI may see: a short list, and nothing else of the
server's."""

import os
from collections.abc import Iterable, Mapping

from protocol.claude import NO_BACKGROUND_ENVIRONMENT

_NAMES = frozenset(("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TERM", "TZ", "TMPDIR"))
_PROXIES = frozenset(("http_proxy", "https_proxy", "all_proxy", "no_proxy"))
_PREFIXES = ("LC_", "ANTHROPIC_", "CLAUDE_")
_OUR_OWN = frozenset(("CLAUDE_CMD", "CLAUDE_ENV"))


def agent_environment(
    ours: Mapping[str, str], further: Iterable[str], *, delta_hold_ms: int, background: bool
) -> dict[str, str]:
    """Return the environment of the CLI. `further` are names from CLAUDE_ENV. The CLI joins partial
    output over `delta_hold_ms` if it can (2.1.331; older versions ignore it). `background` is
    AGENT_BACKGROUND."""
    named = _NAMES | set(further)
    seen = {
        name: value
        for name, value in ours.items()
        if name not in _OUR_OWN
        and (name in named or name.lower() in _PROXIES or name.startswith(_PREFIXES))
    }
    hold = {"CLAUDE_CODE_STREAM_EVENT_HOLD_MS": str(delta_hold_ms)} if delta_hold_ms else {}
    return {**seen, **({} if background else NO_BACKGROUND_ENVIRONMENT), **hold}


def home_problem(environment: Mapping[str, str], uid: int) -> str | None:
    """Return a warning if the CLI cannot keep its sessions below HOME, else None. It would forget
    them silently, and each prompt would begin a new conversation."""
    folder = environment.get("CLAUDE_CONFIG_DIR") or environment.get("HOME")
    if not folder:
        return "HOME is not set: the agent keeps no sessions, so each prompt begins a new one"
    if not _can_write(folder, uid):
        return f"{folder} cannot be written: the agent keeps no sessions there (HOME)"
    return None


def _can_write(folder: str, uid: int) -> bool:
    """Return True if the folder can be written; for another user than ours, if it belongs to them,
    as a home does."""
    if uid == os.geteuid():
        return os.access(folder, os.W_OK | os.X_OK)
    try:
        return os.stat(folder).st_uid == uid
    except OSError:
        return False
