"""What is known to be unreadable in a project's log."""

from collections.abc import Iterable

from storage.pages import MissingRecords

SHOWN_MAX = 3


class Damage:
    """Grows; what retention has taken counts no more."""

    def __init__(self, missing: Iterable[MissingRecords], *, is_segment_gone: bool) -> None:
        self._missing = list(missing)
        self._is_segment_gone = is_segment_gone

    def note(self, missing: Iterable[MissingRecords], first_seq: int) -> bool:
        """Whether something new is among it. A reader may also miss what was just deleted, below
        `first_seq`."""
        new = [
            hole
            for hole in missing
            if hole.first_seq >= first_seq
            and not any(_covers(known, hole) for known in self._missing)
        ]
        self._missing += new
        return bool(new)

    def problem(self, first_seq: int) -> str | None:
        """For people, or None."""
        holes = [hole for hole in self._missing if hole.last_seq >= first_seq]
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
        if not shown:
            return None
        return f"its log is damaged: {', '.join(shown)}; `claudehub log verify` looks at all of it"


def _covers(known: MissingRecords, hole: MissingRecords) -> bool:
    return known.first_seq <= hole.first_seq and hole.last_seq <= known.last_seq
