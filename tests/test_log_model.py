"""The log against a list: hypothesis appends, rolls, reopens, cuts, compresses, deletes, moves the
clock, and asks everything."""

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from storage.compressor import compress
from storage.log_state import LogState, SyncPolicy
from storage.message_log import LogSettings, open_log
from storage.pages import MissingRecords
from storage.record import timestamp_of
from storage.segments import Compression, list_segments
from tests.reading import last, read_since
from tests.test_message_log import body

SETTINGS = LogSettings(rotate_bytes=2000, sync=SyncPolicy.ALWAYS, boot_id="b")
START = datetime(2026, 11, 24, tzinfo=UTC)
YEAR_S = 366 * 24 * 3600


class LogMachine(RuleBasedStateMachine):
    """`lines`: what the log must hold; `first`: the number of the first of them; `kept`: the state
    that the metadata holds."""

    def __init__(self) -> None:
        super().__init__()
        self.scratch = tempfile.TemporaryDirectory()
        self.folder = Path(self.scratch.name) / "log"
        self.log = open_log(self.folder, SETTINGS, None)
        self.kept: LogState = self.log.state
        self.log_id = self.log.bounds().log_id
        self.lines: list[bytes] = []
        self.first = 1
        self.now = START

    def teardown(self) -> None:
        self.log.close(self.stamp())
        self.scratch.cleanup()

    def stamp(self, moment: datetime | None = None) -> str:
        return (moment or self.now).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    # -- what happens to it ------------------------------------------------------------------

    @rule(sizes=st.lists(st.integers(0, 700), min_size=1, max_size=6), step=st.integers(0, 20))
    def append(self, sizes: list[int], step: int) -> None:
        self.now += timedelta(seconds=step)
        self.lines += self.log.append_many([body("x" * size) for size in sizes], self.stamp())

    @rule(step=st.sampled_from([-1, -60, -301, -3600, -YEAR_S, 3600, YEAR_S]))
    def move_clock(self, step: int) -> None:
        self.now += timedelta(seconds=step)

    @rule()
    def roll(self) -> None:
        self.log.roll()

    @rule()
    def keep_checkpoint(self) -> None:
        self.kept = self.log.note_checkpoint()

    @rule()
    def reopen_after_a_stop(self) -> None:
        self.kept = self.log.close(self.stamp())
        self.log = open_log(self.folder, SETTINGS, self.kept)
        assert self.log.found.was_clean

    @rule(torn=st.binary(max_size=300).filter(lambda b: not b.startswith(b'{"crc"')))
    def reopen_after_a_crash(self, torn: bytes) -> None:
        self.log.abandon()
        segments = list_segments(self.folder)
        if torn and segments and segments[-1].compression is Compression.OFF:
            with open(segments[-1].path, "ab") as file:
                file.write(torn)
        self.log = open_log(self.folder, SETTINGS, self.kept)
        assert self.log.found.missing == ()

    @rule(back=st.integers(0, 40))
    def trim(self, back: int) -> None:
        self.kept = self.log.note_trim(self.last - back)
        first = self.log.trim_before(self.last - back).first_seq
        self.lines = self.lines[first - self.first :]
        self.first = first

    @rule(
        compression=st.sampled_from([Compression.GZIP, Compression.ZSTD]), which=st.integers(0, 9)
    )
    def compress(self, compression: Compression, which: int) -> None:
        plain = [s for s, _ in self.log.closed_segments if s.compression is Compression.OFF]
        for segment in plain[which : which + 1]:
            fresh = segment.path.with_name(segment.name + compression.suffix + ".new")
            compress(segment.path, fresh, compression, lambda: True)
            assert self.log.take_compressed(segment.name, compression)

    # -- what it is asked --------------------------------------------------------------------

    @rule(data=st.data(), max_bytes=st.integers(1, 3000))
    def read_after(self, data: st.DataObject, max_bytes: int) -> None:
        start = data.draw(st.integers(self.first - 1, self.last))
        reader, position, found = self.log.reader(), start, []
        while position < self.last:
            page = reader.read_after(position, self.last, max_bytes=max_bytes)
            assert page.items and page.last_seq > position
            found += page.items
            position = page.last_seq
        assert found == self.lines[start + 1 - self.first :]

    @rule(data=st.data(), count=st.integers(0, 9))
    def read_between(self, data: st.DataObject, count: int) -> None:
        high = data.draw(st.integers(self.first - 1, self.last))
        low = data.draw(st.integers(self.first, max(high, self.first)))
        page = self.log.reader().read_before(high, low, max_count=count)
        expected = self.lines[max(low, high - count + 1) - self.first : high + 1 - self.first]
        assert list(page.items) == (expected if high >= low else [])
        assert (page.first_seq, page.last_seq) == (high - len(page.items) + 1, high)

    @rule(count=st.integers(0, 60), max_bytes=st.integers(1, 3000))
    def read_last(self, count: int, max_bytes: int) -> None:
        page = last(self.log, count, max_bytes)
        found = list(page.items)
        assert not any(isinstance(item, MissingRecords) for item in found)
        assert found == (self.lines[-len(found) :] if found else [])
        assert len(found) <= count
        assert found or count == 0 or not self.lines

    @rule(back=st.integers(-10, 400), data=st.data())
    def read_since(self, back: int, data: st.DataObject) -> None:
        moments = [self.stamp(self.now - timedelta(seconds=back))]
        if self.lines:
            moments.append(timestamp_of(data.draw(st.sampled_from(self.lines))).decode())
        for moment in moments:
            found = read_since(self.log, moment, 1 << 30).items
            wanted = moment.encode()
            expected = [n for n, line in enumerate(self.lines) if timestamp_of(line) >= wanted]
            assert list(found) == (self.lines[expected[0] :] if expected else [])

    @property
    def last(self) -> int:
        return self.first + len(self.lines) - 1

    @invariant()
    def bounds_agree(self) -> None:
        bounds = self.log.bounds()
        assert bounds.last_seq == self.last
        assert bounds.log_id == self.log_id  # nothing was lost, so nothing says so
        if self.lines:
            assert bounds.first_seq == self.first

    @invariant()
    def time_does_not_run_back_in_a_file(self) -> None:
        segments = list_segments(self.folder)
        starts = [segment.first_seq for segment in segments]
        for number, (before, after) in enumerate(zip(self.lines, self.lines[1:], strict=False)):
            if self.first + number + 1 not in starts:
                assert timestamp_of(before) <= timestamp_of(after)


LogMachine.TestCase.settings = hypothesis_settings(
    max_examples=60, stateful_step_count=25, deadline=None
)
TestLog = LogMachine.TestCase
