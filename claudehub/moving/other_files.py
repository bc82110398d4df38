"""Files beside the older server that look like its configuration, and are none: YAML files, and the
PA_ variables of its container and unit files. No code of that server ever read them."""

import re
from collections.abc import Iterable, Mapping

# What a PA_ variable seems to set, and the setting of claudehub that does so.
HERE: Mapping[str, str] = {
    "PA_CLAUDE_BINARY": "CLAUDE_CMD",
    "PA_DATA_DIR": "DATA_DIR",
    "PA_EXECUTION_TIMEOUT": "EXEC_TIMEOUT",
    "PA_LOG_FORMAT": "LOG_FORMAT",
    "PA_LOG_LEVEL": "LOG_LEVEL",
    "PA_LOG_ROTATION_SIZE": "MSG_ROTATE_SIZE",
    "PA_MAX_CONNECTIONS": "MAX_CONN",
    "PA_MAX_PROJECTS": "MAX_PROJECTS",
    "PA_MESSAGE_SIZE_LIMIT": "MAX_MESSAGE_BYTES",
    "PA_PING_INTERVAL": "HEARTBEAT",
    "PA_PORT": "WS_PORT",
    "PA_SERVER_HOST": "BIND",
    "PA_SERVER_PORT": "WS_PORT",
    "PA_TLS_CERT": "TLS_CERT",
    "PA_TLS_KEY": "TLS_KEY",
}
PREFIX = "PA_"
_NAMES_SHOWN = 4
_NAME = re.compile(r"\bPA_[A-Z0-9_]{1,60}\b")
_READ = re.compile(r"\bPOCKET_AGENT_[A-Z]")
# By the first line that says something, in the order in which they are tried.
_KINDS = (
    ("a unit file", re.compile(r"\[(?:Unit|Service|Install)\]$")),
    ("a Dockerfile", re.compile(r"(?:FROM|ARG)\s+\S")),
    ("a list of variables", re.compile(r"(?:export\s+)?[A-Z][A-Z0-9_]*=")),
    ("TOML", re.compile(r"\[{1,2}[\w.]+\]{1,2}$|\w+\s+=\s|\w+=[\"'\d\[]")),
    ("YAML", re.compile(r"---|%YAML|-\s|[\w.-]{1,100}:(?:\s|$)|\"[^\"]{1,100}\":\s|!\S")),
)
_REMEDY = (
    "give its JSON file (by default ~/.pocket_agent/config.json); with --env its POCKET_AGENT_ "
    "variables count, too"
)
_REMEDY_OF_VARIABLES = (
    "only the POCKET_AGENT_ variables in it were in effect: set them in this shell, and run "
    "`claudehub config migrate --env`"
)


def described(text: str) -> str | None:
    """Return what a file is that is not JSON, and what helps; None if that is not known. The first
    line is about the file, the second is the remedy."""
    lines = (line.strip() for line in text.splitlines())
    first = next((line for line in lines if line and line[0] not in "#;"), "")
    kind = next((name for name, pattern in _KINDS if pattern.match(first)), None)
    if kind is None:
        return None
    if kind == "TOML":
        return (
            "is TOML, not the old server's JSON\n`claudehub config check FILE` checks our own files"
        )
    names = sorted(set(_NAME.findall(text)))
    more = len(names) - _NAMES_SHOWN
    shown = ", ".join(names[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
    if _READ.search(text) is None:
        variables = f" ({shown})" if names else ""
        problem = f"the old server read only JSON, so nothing in it was ever in effect{variables}"
        return f"is {kind}: {problem}\n{_REMEDY}"
    never = f", and never {shown}" if names else ""
    return f"is {kind}: the old server read only JSON{never}\n{_REMEDY_OF_VARIABLES}"


def never_read(environment: Iterable[str]) -> dict[str, str | None]:
    """Return the PA_ variables of an environment, each with the setting that does here what its
    name says, if there is one."""
    names = sorted(name for name in environment if name.startswith(PREFIX))
    return {name: HERE.get(name) for name in names}
