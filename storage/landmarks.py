"""What the readers of a log remember of its files.

Nothing here is stored, so nothing here can be wrong after a crash.
"""

import errno

from storage import disk, record, segment_file
from storage.segment_file import Probe
from storage.segments import Segment

PROBES_MAX = 8192


class Landmarks:
    """Shared by the readers of one log, in any thread: each step is one operation on a dict.

    It holds the last time of each closed segment, so that a query by time opens only the segments
    that reach so far, and what bisections found at round offsets, because they all begin at the
    same ones.
    """

    def __init__(self) -> None:
        self._stamps: dict[tuple[int, str], bytes] = {}
        self._probes: dict[tuple[str, int], Probe] = {}

    def last_stamp(self, segment: Segment) -> bytes:
        """Return the last time in a closed segment; b"" if it has no sound record, or was renamed
        since it was listed (which is not remembered). Raises OSError."""
        key = (segment.first_seq, segment.created)
        if (stamp := self._stamps.get(key)) is not None:
            return stamp
        if (line := last_record([segment])) is None:
            return b""
        self._stamps[key] = record.timestamp_of(line)
        return self._stamps[key]

    def probes(self, segment: Segment, upto: int) -> "SegmentProbes":
        return SegmentProbes(self._probes, segment.path.name, upto)


class SegmentProbes:
    """The probes of one file. Records behind `upto` may still change and are not kept."""

    def __init__(self, probes: dict[tuple[str, int], Probe], name: str, upto: int) -> None:
        self._probes = probes
        self._name = name
        self._upto = upto

    def get(self, offset: int) -> Probe | None:
        return self._probes.get((self._name, offset))

    def put(self, offset: int, probe: Probe) -> None:
        if probe[1][0] <= self._upto and len(self._probes) < PROBES_MAX:
            self._probes[self._name, offset] = probe


def last_record(segments: list[Segment]) -> bytes | None:
    """Return the last sound record in the last of the segments that has one. Raises OSError."""
    for segment in reversed(segments):
        try:
            with segment_file.opened(segment) as file:
                for lines in file.lines_before(file.end):
                    if found := list(record.sound_records(lines)):
                        return found[-1][2]
        except OSError as error:
            # Deleted or compressed since it was listed, or not readable for us.
            if error.errno not in disk.UNREADABLE | {errno.ENOENT}:
                raise
    return None
