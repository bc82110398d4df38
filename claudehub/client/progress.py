"""How far an execution is."""

from dataclasses import dataclass

from claudehub.client.position import Position
from claudehub.client.updates import (
    ExecutionFinished,
    ExecutionStarted,
    Gap,
    HistoryGone,
    ProjectDeleted,
    Update,
)


@dataclass(frozen=True, slots=True)
class Begun:
    """An accepted prompt. Its records stand behind `position`."""

    execution_id: str
    state: str
    queue_position: int
    position: Position


class Progress:
    """What is known of an execution, from the updates of its project."""

    def __init__(self, begun: Begun) -> None:
        self.execution_id = begun.execution_id
        self.state = begun.state
        self.finished: ExecutionFinished | None = None
        self._is_lost = False
        self._lost_at: Position | None = None

    @property
    def outcome(self) -> str | None:
        if self.finished is not None:
            return self.finished.outcome
        return "lost" if self._is_lost else None

    def take(self, update: Update) -> bool:
        """Take an update; return True if it is one of this execution, or tells of missing ones."""
        if update.execution_id == self.execution_id:
            if isinstance(update, ExecutionFinished):
                self.finished, self.state = update, "finished"
            elif self.state == "queued" and isinstance(update, ExecutionStarted):
                self.state = "started"
            return True
        self._look_for_loss(update.position)
        return isinstance(update, Gap | HistoryGone | ProjectDeleted)

    def learn(self, other: "Progress") -> None:
        """Take over what another reading of the same execution has found."""
        if self.outcome is None:
            self.state, self.finished = other.state, other.finished
            self._is_lost = other._is_lost

    def gone(self, update: Update, last_seq: int | None) -> None:
        """Part of the log is gone. `last_seq` is None if the hub knows the execution; else, unless
        its end stands in the log up to there, it is lost."""
        position = update.position
        if position is not None and last_seq is not None:
            self._lost_at = Position(position.log_id, last_seq)
            self._look_for_loss(position)

    def _look_for_loss(self, position: Position | None) -> None:
        lost_at = self._lost_at
        if lost_at is not None and position is not None and position.seq >= lost_at.seq:
            self._is_lost, self.state = True, "finished"
