"""Write the audit log (storage/audit.py), and limit its size."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import assert_never

from actors.audit.trail import AuditTrail
from actors.messages.audit import (
    AuditEntry,
    AuditorMessage,
    PlainRequestsBegan,
    _AuditCheckDue,
    _AuditSyncDue,
    _PlainRequestsDue,
)
from actors.messages.settings import ChangeSettings
from actors.runtime.base import Actor
from actors.runtime.clock import Clock, Timers
from actors.runtime.logger import get_logger
from actors.runtime.problems import Problems
from actors.runtime.supervision import Rule
from protocol import codec
from storage.audit import AuditLog
from storage.errors import NO_ROOM

logger = get_logger("claudehub.audit")

# A line is durable after that time at the latest. Flushing each line would slow the logs of the
# projects down, which share the disk's journal.
SYNC_S = 1.0
CHECK_PERIOD_S = 3600.0
# Plain HTTP requests have one line in that time.
PLAIN_REQUESTS_S = 60.0
# A hub whose audit log takes no line for so long stops.
WITHOUT_MAX_S = 60.0
PART = "audit log"
# The names in the file that differ from those in the code.
_NAMES = {"fingerprint": "key"}


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """The settings of the message logs: MSG_ROTATE_SIZE, MSG_ROTATE_DAYS, LOG_RETAIN_DAYS,
    LOG_RETAIN_BYTES (0 keeps all)."""

    folder: Path
    rotate_bytes: int
    rotate_days: int
    retain_days: int
    retain_bytes: int

    def changed(self, change: ChangeSettings) -> "AuditSettings":
        """Return the settings after a change while the server runs."""
        return replace(
            self,
            rotate_days=change.rotate_days,
            retain_days=change.retain_days,
            retain_bytes=change.retain_bytes,
        )


class Auditor(Actor):
    """It starts before every actor that writes an entry, and stops after them. `died` is called
    when it fails: a hub without an audit log must not go on."""

    rule = Rule.EXIT

    def __init__(
        self,
        *,
        settings: AuditSettings,
        trail: AuditTrail,
        clock: Clock,
        timers: Timers,
        died: Callable[[str], None],
        problems: Problems,
    ) -> None:
        super().__init__(parent=None, name="auditor")
        self._settings = settings
        self._trail = trail
        self._clock = clock
        self._timers = timers
        self._died = died
        self._problems = problems
        # Here and not in `started`: if the log cannot be opened, the server does not start.
        self._log = AuditLog(settings.folder, settings.rotate_bytes)
        self._sync_due = False
        self._missing = 0
        self._failing_since_s: float | None = None
        self._failed_last_s = float("-inf")

    def started(self) -> None:
        self._timers.after(CHECK_PERIOD_S, self.actor_ref, _AuditCheckDue())

    def release_steps(self) -> Sequence[Callable[[], object]]:
        return self._write_rest, self._note_plain_requests, self._sync, self._log.close

    def _write_rest(self) -> None:
        """Write what waits, also when one entry was too much. If another one is, AuditTrail counts
        those behind it."""
        for message in self._inbox.rest():
            if isinstance(message, AuditEntry):
                self._take(message)

    def _take(self, entry: AuditEntry) -> None:
        self._write(entry)
        self._trail.written()

    def failed(self, reason: str) -> None:
        self._died(f"the audit log failed: {reason}")

    def on_receive(self, message: AuditorMessage) -> None:
        match message:
            case AuditEntry():
                self._take(message)
            case ChangeSettings():
                self._settings = self._settings.changed(message)
            case PlainRequestsBegan():
                self._timers.after(PLAIN_REQUESTS_S, self.actor_ref, _PlainRequestsDue())
            case _PlainRequestsDue():
                self._note_plain_requests()
            case _AuditSyncDue():
                self._sync_due = False
                self._sync()
            case _AuditCheckDue():
                self._check()
                self._timers.after(CHECK_PERIOD_S, self.actor_ref, message)
            case _:
                assert_never(message)

    def _note_plain_requests(self) -> None:
        if (entry := self._trail.take_plain_requests()) is not None:
            self._write(entry)

    def _write(self, entry: AuditEntry) -> None:
        facts = {_NAMES.get(name, name): value for name, value in asdict(entry).items()}
        facts["suppressed"] += self._missing
        for name, empty in (("suppressed", 0), ("details", None)):
            if facts[name] == empty:
                del facts[name]
        try:
            self._log.append(codec.dumps(facts) + b"\n", self._clock.now())
        except OSError as error:
            self._missing += 1 + entry.suppressed
            self._trail.not_written()
            self._not_written(error)
            return
        self._missing = 0
        self._failing_since_s = None
        self._problems.note(PART, self._log.problem)
        if not self._sync_due:
            self._sync_due = True
            self._timers.after(SYNC_S, self.actor_ref, _AuditSyncDue())

    def _not_written(self, error: OSError) -> None:
        """Give up a server whose audit log takes nothing. A full disk is no reason: it takes no
        prompts either, and the next line says how many are missing."""
        self._problems.note(PART, f"it cannot be written: {error.strerror or error}")
        now_s = self._clock.monotonic()
        before_s, self._failed_last_s = self._failed_last_s, now_s
        # Two failures of a moment are no minute, if nobody asked for anything in between.
        is_alone = now_s - before_s > WITHOUT_MAX_S
        if error.errno in NO_ROOM:
            self._failing_since_s = None
        elif self._failing_since_s is None or is_alone:
            self._failing_since_s = now_s
        elif now_s - self._failing_since_s >= WITHOUT_MAX_S:
            self._died(f"the audit log could not be written for a minute: {error}")

    def _sync(self) -> None:
        try:
            self._log.sync()
        except OSError as error:
            # A second flush would succeed without writing anything, so the rest goes into a new
            # file.
            logger.error("the audit log cannot be flushed", error=error)
            self._problems.note(PART, f"it cannot be flushed: {error.strerror or error}")
            self._try(lambda: self._log.roll(self._clock.now()))

    def _check(self) -> None:
        now, settings = self._clock.now(), self._settings
        days = settings.retain_days
        older_than = now - timedelta(days=days) if days else None
        than = now - timedelta(days=settings.rotate_days)
        self._try(lambda: self._log.roll_if_older(than, now))
        self._try(lambda: self._log.retain(older_than, settings.retain_bytes))

    def _try(self, act: Callable[[], None]) -> None:
        try:
            act()
        except OSError as error:
            logger.error("the audit log cannot be rotated", error=error)
