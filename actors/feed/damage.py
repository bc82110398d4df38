"""What is known to be unreadable in a project's log."""

from collections.abc import Iterable, Sequence

from storage.message_log import Loss
from storage.pages import MissingRecords
from storage.recovery import Recovered

SHOWN_MAX = 3
# A log that is damaged everywhere is not recorded hole by hole.
HOLES_MAX = 200


class Damage:
    """The known holes, which only grow. `known` come from the metadata, `found` from the
    opening."""

    def __init__(self, known: Iterable[MissingRecords], found: Recovered) -> None:
        self.holes: list[MissingRecords] = []
        self._is_segment_gone = found.is_segment_gone
        self._has_lost_tail = found.has_lost_tail
        self._event = ""
        for hole in (*known, *found.missing):
            self._add(hole)

    def note(self, missing: Sequence[MissingRecords], first_seq: int) -> bool:
        """Add holes; return True if one is new. Holes below `first_seq` were deleted on purpose."""
        added = [self._add(hole) for hole in missing if hole.first_seq >= first_seq]
        return any(added)

    def note_loss(self, loss: Loss) -> None:
        """Note that a file was taken away while the server ran."""
        self._event = loss.sentence
        for hole in loss.missing:
            self._add(hole)

    def _add(self, hole: MissingRecords) -> bool:
        if len(self.holes) >= HOLES_MAX or any(_covers(known, hole) for known in self.holes):
            return False
        self.holes.append(hole)
        return True

    def problem(self, first_seq: int) -> str | None:
        """Return a text for people, or None. Records before `first_seq` were deleted on purpose."""
        holes = [hole for hole in self.holes if hole.last_seq >= first_seq]
        shown = [
            f"record {hole.first_seq}"
            if hole.first_seq == hole.last_seq
            else f"records {hole.first_seq} to {hole.last_seq}"
            for hole in sorted(holes, key=lambda hole: hole.first_seq)[:SHOWN_MAX]
        ]
        if len(holes) > SHOWN_MAX:
            shown.append(f"{len(holes) - SHOWN_MAX} further ranges")
        if self._is_segment_gone:
            shown.insert(0, "a file of the log is gone")
        if self._event:
            shown.insert(0, self._event)
        if self._has_lost_tail:
            shown.insert(0, "its last records were damaged and are set aside")
        if not shown:
            return None
        return f"its log is damaged: {', '.join(shown)}; `claudehub log verify` checks all of it"


def _covers(known: MissingRecords, hole: MissingRecords) -> bool:
    return known.first_seq <= hole.first_seq and hole.last_seq <= known.last_seq
