"""Roll logs by age, trim them and compress them.

It only tells: the owner of a log alone changes its files. Only closed segments are compressed.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import assert_never

from actors import messages
from actors.directory import LocalDirectory
from actors.feed.compression import Compressing
from actors.runtime.base import Actor
from actors.runtime.clock import Clock, Timers
from actors.runtime.logger import get_logger
from actors.runtime.problems import Problems
from actors.runtime.refs import Ref
from actors.runtime.supervision import Rule
from storage.layout import DataLayout
from storage.retention import RetentionRules
from storage.segments import Compression

logger = get_logger("claudehub.rotator")

FIRST_CHECK_S = 10.0
CHECK_PERIOD_S = 60.0
# Rolls by age are spread over this time, so that hundreds of logs do not roll in one minute.
SPREAD_S = 3600
# A clock that jumps further than this may be wrong. For CAUTION_S after such a jump, and after the
# start, at most one segment of a log is deleted for its age.
CLOCK_JUMP_MAX = timedelta(days=1)
CAUTION_S = 3600.0
_NAME_FORMAT = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class RotationSettings:
    """MSG_ROTATE_DAYS, LOG_RETAIN_DAYS, LOG_RETAIN_BYTES (0 keeps all) and LOG_COMPRESS."""

    layout: DataLayout
    rotate_days: int
    retain_days: int
    retain_bytes: int
    compression: Compression

    def changed(self, change: messages.ChangeSettings) -> "RotationSettings":
        """Return the settings after a change while the server runs."""
        return replace(
            self,
            rotate_days=change.rotate_days,
            retain_days=change.retain_days,
            retain_bytes=change.retain_bytes,
            compression=change.compression,
        )


class Rotator(Actor):
    """Child of the Hub, which restarts it when it fails."""

    rule = Rule.RESTART_OR_EXIT

    def __init__(
        self,
        *,
        hub: Ref,
        directory: LocalDirectory,
        settings: RotationSettings,
        clock: Clock,
        timers: Timers,
        problems: Problems,
    ) -> None:
        super().__init__(parent=hub, name="rotator")
        self._directory = directory
        self._settings = settings
        self._clock = clock
        self._timers = timers
        self._problems = problems
        self._compressing = self._new_compressing()
        self._last_check: tuple[datetime, float] | None = None
        self._cautious_until_s = 0.0

    def _new_compressing(self) -> Compressing:
        settings = self._settings
        return Compressing(
            settings.layout, settings.compression, self._directory, self._clock, self._problems
        )

    def started(self) -> None:
        self._timers.after(FIRST_CHECK_S, self.actor_ref, messages._RotationDue())

    def release_steps(self) -> Sequence[Callable[[], object]]:
        return (self._compressing.cancel,)

    def on_receive(self, message: messages.RotatorMessage) -> None:
        match message:
            case messages._RotationDue():
                self._check()
                self._timers.after(CHECK_PERIOD_S, self.actor_ref, messages._RotationDue())
            case messages._CompressionDue():
                self._compress()
            case messages.ChangeSettings():
                self._change(message)
            case _:
                assert_never(message)

    def _change(self, change: messages.ChangeSettings) -> None:
        before, self._settings = self._settings, self._settings.changed(change)
        if self._settings.compression is not before.compression:
            self._compressing.cancel()  # what it had begun stays as it was
            self._compressing = self._new_compressing()

    def _check(self) -> None:
        now = self._clock.now()
        rules = self._rules(now)
        for project_id, port in self._directory.projects():
            spread = timedelta(seconds=zlib.crc32(project_id.encode()) % SPREAD_S)
            before = now - timedelta(days=self._settings.rotate_days) - spread
            port.tell(messages.RotateLog(created_before=f"{before:{_NAME_FORMAT}}"))
            if rules is not None:
                port.tell(messages.RetainLog(rules=rules))
        self._compress()

    def _rules(self, now: datetime) -> RetentionRules | None:
        total, days = self._settings.retain_bytes, self._settings.retain_days
        at_most = self._aged_at_most(now)
        older_than = now - timedelta(days=days) if days and at_most else None
        if older_than is None and not total:
            return None
        return RetentionRules(older_than, total, at_most)

    def _aged_at_most(self, now: datetime) -> int:
        """Return how many segments of a log may be deleted for their age in this pass."""
        monotonic_s = self._clock.monotonic()
        last, self._last_check = self._last_check, (now, monotonic_s)
        if last is not None:
            passed = timedelta(seconds=monotonic_s - last[1])
            if abs(now - last[0] - passed) <= CLOCK_JUMP_MAX:
                return 0 if monotonic_s < self._cautious_until_s else 1 << 30
            logger.warning("the clock has jumped", before=last[0], now=now)
        self._cautious_until_s = monotonic_s + CAUTION_S
        return 1

    def _compress(self) -> None:
        """Compress one segment at a time, and begin the next as soon as one is done."""
        if (poll_s := self._compressing.go_on()) is not None:
            self._timers.after(poll_s, self.actor_ref, messages._CompressionDue())
