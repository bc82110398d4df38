"""The version of the installed CLI, and what that version supports.

The CLI updates itself, and people put another one in its place, while the hub runs. So the hub asks
again when the file is another one, and when a process ends as if it were another program.
"""

import threading
from typing import Protocol

from actors import messages
from actors.executor.cli_probe import Found
from actors.runtime.base import tell_if_alive
from actors.runtime.clock import Clock
from actors.runtime.problems import Problems
from actors.runtime.refs import Ref

# A prompt waits for the answer, at most this long.
KNOWN_WAIT_S = 3.0
# A CLI that fails again and again is asked no more often than this.
ASK_PAUSE_S = 5.0
# So often if nobody needs it.
RETRY_PAUSE_S = 15.0
PART = "claude"
_UNKNOWN_OPTION = "unknown option"


class Probe(Protocol):
    """Asks the CLI; `identity` changes with the program."""

    def identity(self) -> object: ...

    def ask(self) -> Found: ...


class CliFacts:
    """Any thread may use it. A thread asks, one at a time, and tells the Hub when it knows."""

    def __init__(self, probe: Probe, *, problems: Problems, clock: Clock) -> None:
        self._probe = probe
        self._problems = problems
        self._clock = clock
        self._lock = threading.Lock()
        self._known = threading.Event()
        self._found = Found()
        self._identity: object = None
        self._is_asking = False
        self._asked_s = float("-inf")
        self._hub: Ref | None = None
        self._is_closed = False

    def close(self) -> None:
        """Say nothing of answers that come from now on: the server's stop ends the CLI, and what it
        says then is no problem of its own."""
        self._is_closed = True

    def tells(self, hub: Ref) -> None:
        self._hub = hub

    @property
    def version(self) -> str | None:
        """Return the version, None until it is known and if the CLI does not say it."""
        return self._found.version

    def is_known(self) -> bool:
        """Return False while the answer about the present program is on its way."""
        self.look()
        return self._known.is_set()

    def knows_snapshots(self) -> bool:
        """Return True if it has FRESH_SYSTEM_PROMPT; wait a bounded time to know."""
        self.look()
        self._known.wait(KNOWN_WAIT_S)
        return self._found.has_snapshots

    def look(self) -> None:
        """Ask if the program is another one than before, or if it could not be asked: the reason
        may have passed."""
        if self._probe.identity() != self._identity:
            self._ask()
        elif self._found.failure is not None:
            self.doubt()

    def retry(self) -> None:
        """Ask now and then while it does not work: a load balancer sends no prompts to a hub that
        is not ready, so there may be no other occasion."""
        if self._problems.of(PART) is None:
            return
        if self._clock.monotonic() - self._asked_s >= RETRY_PAUSE_S:
            self._ask()

    def works(self) -> None:
        """Note that a process has begun a turn."""
        self._problems.note(PART, None)

    def doubt(self) -> None:
        """Ask again, since a process could not be started, or ended without a word."""
        if self._clock.monotonic() - self._asked_s >= ASK_PAUSE_S:
            self._ask()

    def ended_without_a_word(self, errors: str) -> bool:
        """Note a process that ended and has only written `errors`. Return True if it is another
        program than the hub took it for: then it is asked before the next start."""
        is_another = _UNKNOWN_OPTION in errors
        if is_another:
            self._ask()
        else:
            self.doubt()
        return is_another

    def _ask(self) -> None:
        with self._lock:
            if self._is_asking:
                return
            self._is_asking = True
            self._known.clear()
            self._asked_s = self._clock.monotonic()
        try:
            threading.Thread(target=self._run, name="claude-facts", daemon=True).start()
        except RuntimeError as error:  # the system has no more threads
            self._found = Found(failure=f"CLAUDE_CMD cannot be asked: {error}")
            self._problems.note(PART, self._found.failure)
            self._done()

    def _run(self) -> None:
        try:
            # In this order: a program that comes between the two is asked next time.
            self._identity = self._probe.identity()
            self._found = found = self._probe.ask()
            if not self._is_closed:
                self._problems.note(PART, found.failure)
        finally:
            self._done()
        if self._hub is not None:
            tell_if_alive(self._hub, messages.CliKnown())

    def _done(self) -> None:
        with self._lock:
            self._is_asking = False
            self._known.set()
