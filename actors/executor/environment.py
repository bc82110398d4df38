"""The environment variables that the CLI may see: a short list, and nothing else of the
server's."""

import os
from collections.abc import Iterable, Mapping

from protocol.claude import NO_BACKGROUND_ENVIRONMENT

_NAMES = frozenset(("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TERM", "TZ", "TMPDIR"))
_PROXIES = frozenset(("http_proxy", "https_proxy", "all_proxy", "no_proxy"))
# The authority of a company's proxy, and keys of git.
_NETWORK = frozenset(("NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "SSL_CERT_DIR", "SSH_AUTH_SOCK"))
_SWITCHES = frozenset(
    ("MCP_TIMEOUT", "MCP_TOOL_TIMEOUT", "MAX_THINKING_TOKENS", "MAX_MCP_OUTPUT_TOKENS")
)
_PREFIXES = ("LC_", "ANTHROPIC_", "CLAUDE_", "DISABLE_", "BASH_DEFAULT_", "BASH_MAX_")
_OUR_OWN = frozenset(("CLAUDE_CMD", "CLAUDE_ENV"))
# What a Claude Code session gives to what it starts (observed with 2.1.197 and 2.1.331): ids, a
# socket and a token of that session, which are nothing to an agent of a hub that was started in it.
_OF_OUTER_SESSION = frozenset(
    (
        "CLAUDECODE",
        "CLAUDE_CODE_CHILD_NOTES_DIR",
        "CLAUDE_CODE_CHILD_SESSION",
        "CLAUDE_CODE_ENTRYPOINT",
        "CLAUDE_CODE_EXECPATH",
        "CLAUDE_CODE_MESSAGING_SOCKET",
        "CLAUDE_CODE_MESSAGING_TOKEN",
        "CLAUDE_CODE_SSE_PORT",
        "CLAUDE_EFFORT",
        "CLAUDE_PID",
        "CLAUDE_PROJECT_DIR",
    )
)
_OUTER_PREFIX = "CLAUDE_CODE_SESSION_"
# Where the CLI reaches its model through a cloud, what belongs to that cloud.
_CLOUDS: Mapping[str, tuple[str, ...]] = {
    "CLAUDE_CODE_USE_BEDROCK": ("AWS_",),
    "CLAUDE_CODE_USE_VERTEX": ("GOOGLE_", "CLOUD_ML_REGION", "VERTEX_"),
}
_OFF = frozenset(("", "0", "false", "no", "off"))
# What every process has; the others are worth a line in the log.
_USUAL_PREFIXES = ("LC_",)


def agent_environment(
    ours: Mapping[str, str], further: Iterable[str], *, delta_hold_ms: int, background: bool
) -> dict[str, str]:
    """Return the environment of the CLI. `further` are names from CLAUDE_ENV. The CLI joins partial
    output over `delta_hold_ms` if it can (2.1.331; older versions ignore it). `background` is
    AGENT_BACKGROUND."""
    named = frozenset(further)
    clouds = tuple(
        prefix
        for switch, prefixes in _CLOUDS.items()
        if ours.get(switch, "").lower() not in _OFF
        for prefix in prefixes
    )
    seen = {
        name: value
        for name, value in ours.items()
        if name not in _OUR_OWN and (name in named or _is_for_agents(name, clouds))
    }
    hold = {"CLAUDE_CODE_STREAM_EVENT_HOLD_MS": str(delta_hold_ms)} if delta_hold_ms else {}
    return {**seen, **({} if background else NO_BACKGROUND_ENVIRONMENT), **hold}


def _is_for_agents(name: str, clouds: tuple[str, ...]) -> bool:
    if name in _OF_OUTER_SESSION or name.startswith(_OUTER_PREFIX):
        return False
    listed = name in _NAMES | _NETWORK | _SWITCHES or name.lower() in _PROXIES
    return listed or name.startswith(_PREFIXES + clouds)


def worth_saying(environment: Mapping[str, str]) -> list[str]:
    """Return the names of what the CLI gets beyond what every process has: an owner should know
    which keys and switches reach agents."""
    return sorted(n for n in environment if n not in _NAMES and not n.startswith(_USUAL_PREFIXES))


def users_settings(environment: Mapping[str, str]) -> str | None:
    """Return the folder of the CLI's own settings of the user; None without a home."""
    if chosen := environment.get("CLAUDE_CONFIG_DIR"):
        return chosen
    home = environment.get("HOME")
    return os.path.join(home, ".claude") if home else None


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
