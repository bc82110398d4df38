"""What runs services: systemd's user manager, and launchd. Which file each one reads, and which
commands it wants.

The commands for macOS follow its manuals. They were not tried on macOS.
"""

import getpass
import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from claudehub.cli.service_files import (
    LAUNCHD_LABEL,
    UNIT_NAME,
    Service,
    launch_agent,
    user_unit,
)

# Longer than systemd waits for a start or a stop (TimeoutStartSec, TimeoutStopSec).
COMMAND_TIMEOUT_S = 400.0
LINGER = Path("/var/lib/systemd/linger")


class CommandFailed(Exception):
    """A command of the service manager has failed; the text says which, and what it printed."""


@dataclass(frozen=True, slots=True)
class Command:
    """What to run. `may_fail`: it undoes something that may not be there."""

    words: Sequence[str]
    may_fail: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """What the service manager says. `word` is its own word for it."""

    is_running: bool
    word: str
    process_id: int | None


class ServiceManager(Protocol):
    """systemd or launchd."""

    @property
    def file(self) -> Path: ...
    def text(self, service: Service) -> str: ...
    def to_install(self) -> Sequence[Command]: ...
    def to_remove(self) -> Sequence[Command]:
        """Return the commands before the file is removed."""

    def after_removal(self) -> Sequence[Command]: ...
    def state(self) -> State: ...
    def hints(self) -> Sequence[str]:
        """Return what the user should know once the service is installed."""


class Systemd:
    """The user's own systemd."""

    @property
    def file(self) -> Path:
        home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
        return Path(home) / "systemd" / "user" / UNIT_NAME

    def text(self, service: Service) -> str:
        return user_unit(service)

    def to_install(self) -> Sequence[Command]:
        return (
            _systemctl("daemon-reload"),
            _systemctl("enable", UNIT_NAME),
            # A hub that runs already takes the new file up.
            _systemctl("restart", UNIT_NAME),
        )

    def to_remove(self) -> Sequence[Command]:
        return (_systemctl("disable", "--now", UNIT_NAME),)

    def after_removal(self) -> Sequence[Command]:
        return (_systemctl("daemon-reload"),)

    def state(self) -> State:
        asked = _systemctl("show", "--property=ActiveState,SubState,MainPID", UNIT_NAME)
        said = dict(line.split("=", 1) for line in run(asked).splitlines() if "=" in line)
        number = said.get("MainPID", "")
        return State(
            is_running=said.get("ActiveState") in ("active", "reloading"),
            word=f"{said.get('ActiveState', 'unknown')} ({said.get('SubState', 'unknown')})",
            process_id=int(number) if number.isdigit() and number != "0" else None,
        )

    def hints(self) -> Sequence[str]:
        hints = ["its log: journalctl --user -u claudehub"]
        if not (LINGER / getpass.getuser()).exists():
            hints.append(
                "it ends when you log out, and starts when you log in. To keep it running: "
                "loginctl enable-linger"
            )
        return hints


class Launchd:
    """The launchd domain of the user's graphical session."""

    @property
    def file(self) -> Path:
        return Path.home() / "Library" / "LaunchAgents" / f"{LAUNCHD_LABEL}.plist"

    def text(self, service: Service) -> str:
        return launch_agent(service)

    def to_install(self) -> Sequence[Command]:
        return (
            Command(("launchctl", "bootout", self._target()), may_fail=True),
            Command(("launchctl", "enable", self._target())),
            Command(("launchctl", "bootstrap", _domain(), str(self.file))),
        )

    def to_remove(self) -> Sequence[Command]:
        return (Command(("launchctl", "bootout", self._target()), may_fail=True),)

    def after_removal(self) -> Sequence[Command]:
        return ()

    def state(self) -> State:
        """`launchctl print` fails where the service is not loaded. Its output is for people, so
        only two plain lines of it are looked for."""
        try:
            said = run(Command(("launchctl", "print", self._target())))
        except CommandFailed:
            return State(is_running=False, word="not loaded", process_id=None)
        word = re.search(r"(?m)^\s*state = (.+)$", said)
        number = re.search(r"(?m)^\s*pid = (\d+)$", said)
        return State(
            is_running=word is not None and word[1] == "running",
            word="loaded" if word is None else word[1],
            process_id=None if number is None else int(number[1]),
        )

    def hints(self) -> Sequence[str]:
        return (
            "its log: ~/Library/Logs/claudehub.log",
            "it ends when you log out, and starts when you log in",
        )

    @staticmethod
    def _target() -> str:
        return f"{_domain()}/{LAUNCHD_LABEL}"


def service_manager(platform: str) -> ServiceManager | None:
    """Return what runs services on this platform (`sys.platform`), None if it is not known."""
    if platform == "darwin":
        return Launchd()
    return Systemd() if platform.startswith("linux") else None


def run(command: Command) -> str:
    """Run a command; return what it has printed. Raises CommandFailed."""
    shown = " ".join(command.words)
    try:
        done = subprocess.run(  # noqa: S603 - words of this file, without a shell
            command.words,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError:
        raise CommandFailed(f"{command.words[0]} was not found on this machine") from None
    except subprocess.TimeoutExpired:
        raise CommandFailed(f"`{shown}` has not ended in {COMMAND_TIMEOUT_S:.0f} s") from None
    if done.returncode != 0 and not command.may_fail:
        reason = done.stderr.strip() or f"exit code {done.returncode}"
        raise CommandFailed(f"`{shown}`: {reason}")
    return done.stdout


def _systemctl(*words: str) -> Command:
    return Command(("systemctl", "--user", *words))


def _domain() -> str:
    return f"gui/{os.getuid()}"
