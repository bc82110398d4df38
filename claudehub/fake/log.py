"""The log of a project of a fake hub, in memory."""

import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any


class FakeLog:
    """Numbered updates. `tell` is called with each update, also with those that are not stored."""

    def __init__(self, project_id: str, tell: Callable[[dict[str, Any]], None]) -> None:
        self.project_id = project_id
        self.log_id = uuid.uuid4().hex[:8]
        self.log: list[dict[str, Any]] = []
        self.last_seq = 0
        self._tell = tell

    @property
    def first_seq(self) -> int:
        for update in self.log:
            return first_of(update)
        return self.last_seq + 1

    def add(
        self,
        update_type: str,
        data: Mapping[str, Any],
        execution_id: str | None = None,
        logged: bool = True,
    ) -> None:
        """Store an update, unless it is ephemeral, and tell it."""
        update: dict[str, Any] = {
            "project_id": self.project_id,
            "update_type": update_type,
            "data": data,
            "timestamp": now(),
        }
        if execution_id is not None:
            update["execution_id"] = execution_id
        if logged:
            self.last_seq += 1
            update["seq"] = self.last_seq
            self.log.append(update)
        self._tell(update)

    def after(self, seq: int) -> list[dict[str, Any]]:
        """Return the stored updates behind a number."""
        return [update for update in self.log if last_of(update) > seq]

    def lose(self, first_seq: int, last_seq: int) -> None:
        """Put a gap in the place of stored updates. It takes in the gaps that it meets."""
        met = [u for u in self.log if last_of(u) >= first_seq and first_of(u) <= last_seq]
        if not met:
            return
        first_seq, last_seq = first_of(met[0]), last_of(met[-1])
        gap = {
            "project_id": self.project_id,
            "update_type": "gap",
            "data": {"first_seq": first_seq, "last_seq": last_seq},
            "timestamp": now(),
        }
        before = [update for update in self.log if last_of(update) < first_seq]
        self.log = [*before, gap, *self.after(last_seq)]

    def forget_before(self, first_seq: int) -> None:
        """Shorten the log, as retention does."""
        self.log = self.after(first_seq - 1)

    def begin_another_log(self) -> None:
        """Lose all that is stored; the numbers begin again."""
        self.log_id = uuid.uuid4().hex[:8]
        self.log, self.last_seq = [], 0


def first_of(update: Mapping[str, Any]) -> int:
    """Return the number of a stored update, or the first that a gap stands for."""
    return int(update["seq"] if "seq" in update else update["data"]["first_seq"])


def last_of(update: Mapping[str, Any]) -> int:
    return int(update["seq"] if "seq" in update else update["data"]["last_seq"])


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
