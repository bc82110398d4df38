"""What `claudehub service install` writes: a systemd user unit, or a launchd agent.

`deploy/claudehub.service` is the unit for a whole machine. Times and reasons are the same there.
"""

import math
import os
import plistlib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

UNIT_NAME = "claudehub.service"
LAUNCHD_LABEL = "claudehub.serve"
# Longer than a stop takes without STOP_GRACE; systemd and launchd end the hub by force after it.
STOP_TIMEOUT_S = 90
THROTTLE_S = 5

_UNIT = """\
# Made by `claudehub service install`. Your own changes belong into
# `systemctl --user edit claudehub`: they stay when this file is made again.
[Unit]
Description=claudehub, a WebSocket hub for Claude Code
Documentation=man:claudehub(1)
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={program}
ExecReload=/bin/kill -HUP $MAINPID
TimeoutStartSec=5min
WatchdogSec=60s
Restart=on-failure
RestartSec={throttle_s}s
RestartPreventExitStatus=2
# The hub alone gets SIGTERM: it ends its agents, or lets them finish (STOP_GRACE).
KillMode=mixed
# The hub asks for more while it waits for its agents.
TimeoutStopSec={stop_timeout_s}s
OOMPolicy=continue
WorkingDirectory=~
# The PATH of the shell that installed this, so that the agents find what you have.
Environment={path}
# For ANTHROPIC_API_KEY and other variables, one NAME=VALUE a line, mode 0600.
EnvironmentFile=-%E/claudehub/environment

[Install]
WantedBy=default.target
"""


_PLIST = '<plist version="1.0">'
_NOTE = """\
<!-- Made by `claudehub service install`. Run it again after a change of STOP_GRACE: launchd kills a
     hub that takes longer than ExitTimeOut (seconds), which is STOP_GRACE and {seconds} more. -->
"""
# A line's end would begin another directive, property lists take no control characters, and neither
# file takes what is no text (Cs: bytes of a name that are not UTF-8).
_REFUSED_CATEGORIES = frozenset(("Cc", "Cs", "Zl", "Zp"))
_REFUSED = frozenset("\ufffe\uffff")


class Unwritable(Exception):
    """What the service's file should name cannot stand in it; the text says what."""


@dataclass(frozen=True, slots=True)
class Service:
    """The program with its arguments, the PATH that its agents get, the user's home, and how long a
    stop waits for agents (STOP_GRACE)."""

    program: Sequence[str]
    path: str
    home: Path
    stop_grace_s: float = 0.0


def user_unit(service: Service) -> str:
    """Return the text of the systemd user unit. Raises Unwritable."""
    _check(service)
    return _UNIT.format(
        program=" ".join(_unit_word(word).replace("$", "$$") for word in service.program),
        path=_unit_word(f"PATH={service.path}"),
        throttle_s=THROTTLE_S,
        stop_timeout_s=STOP_TIMEOUT_S,
    )


def launch_agent(service: Service) -> str:
    """Return the text of the launchd agent, a property list. Raises Unwritable."""
    _check(service)
    log = str(service.home / "Library" / "Logs" / "claudehub.log")
    values = {
        "Label": LAUNCHD_LABEL,
        "ProgramArguments": list(service.program),
        "EnvironmentVariables": {"PATH": service.path},
        "WorkingDirectory": str(service.home),
        "RunAtLoad": True,
        # After a failure, and not after a stop.
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": THROTTLE_S,
        # The hub cannot ask launchd for more, as it does systemd.
        "ExitTimeOut": STOP_TIMEOUT_S + math.ceil(service.stop_grace_s),
        # Without this launchd slows the job down, and with it all that the agents run.
        "ProcessType": "Interactive",
        "StandardOutPath": log,
        "StandardErrorPath": log,
    }
    text = plistlib.dumps(values, sort_keys=False).decode()
    return text.replace(_PLIST, _NOTE.format(seconds=STOP_TIMEOUT_S) + _PLIST, 1)


def replace(file: Path, text: str) -> None:
    """Write a service's file, all of it or nothing; a link is replaced, and not what it leads to.
    Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    made = file.with_name(f"{file.name}.{os.getpid()}.new")
    try:
        with made.open("x", encoding="utf-8") as writing:
            writing.write(text)
            writing.flush()
            os.fsync(writing.fileno())
        made.replace(file)
    finally:
        made.unlink(missing_ok=True)


def _check(service: Service) -> None:
    """Raises Unwritable."""
    words = [*((word, "the command") for word in service.program), (str(service.home), "HOME")]
    for part in service.path.split(os.pathsep):
        words.append((part, "PATH"))
    for word, where in words:
        if any(unicodedata.category(c) in _REFUSED_CATEGORIES or c in _REFUSED for c in word):
            raise Unwritable(
                f"{where} has {word!a}: control characters, and bytes that are not UTF-8, "
                "cannot stand in the service's file"
            )


def _unit_word(word: str) -> str:
    """Return a word as systemd reads it: quoted where it must be, and `%` is no specifier."""
    word = word.replace("%", "%%")
    if not word or any(character in word for character in " \t\"'\\;"):
        return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return word
