"""The log against a list: hypothesis appends, rolls, reopens, cuts, and asks everything."""

import tempfile
from pathlib import Path

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from storage.log_state import SyncPolicy
from storage.message_log import LogSettings, open_log
from storage.pages import MissingRecords
from storage.record import timestamp_of
from storage.segments import list_segments
from tests.test_message_log import body, stamp

SETTINGS = LogSettings(rotate_bytes=2000, sync=SyncPolicy.NEVER, boot_id="b")


class LogMachine(RuleBasedStateMachine):
    """`lines`: what the log must hold; `first`: the number of the first of them."""

    def __init__(self) -> None:
        super().__init__()
        self.scratch = tempfile.TemporaryDirectory()
        self.folder = Path(self.scratch.name) / "log"
        self.log = open_log(self.folder, SETTINGS, None)
        self.lines: list[bytes] = []
        self.first = 1
        self.second = 0

    def teardown(self) -> None:
        self.log.close(stamp(self.second))
        self.scratch.cleanup()

    @rule(sizes=st.lists(st.integers(0, 700), min_size=1, max_size=6), step=st.integers(-5, 20))
    def append(self, sizes: list[int], step: int) -> None:
        self.second = max(0, self.second + step)
        self.lines += self.log.append_many([body("x" * size) for size in sizes], stamp(self.second))

    @rule()
    def roll(self) -> None:
        self.log.roll()

    @rule()
    def reopen_after_a_stop(self) -> None:
        log_id = self.log.bounds().log_id
        self.log = open_log(self.folder, SETTINGS, self.log.close(stamp(self.second)))
        assert self.log.bounds().log_id == log_id

    @rule(torn=st.binary(min_size=1, max_size=300).filter(lambda b: not b.startswith(b'{"crc"')))
    def reopen_after_a_crash(self, torn: bytes) -> None:
        state = self.log.note_checkpoint()
        segments = list_segments(self.folder)
        if segments:
            with open(segments[-1].path, "ab") as file:
                file.write(torn)
        self.log = open_log(self.folder, SETTINGS, state)

    @rule(back=st.integers(0, 40))
    def trim(self, back: int) -> None:
        first = self.log.trim_before(self.last - back).first_seq
        self.lines = self.lines[first - self.first :]
        self.first = first

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

    @rule(count=st.integers(0, 60), max_bytes=st.integers(1, 3000))
    def read_last(self, count: int, max_bytes: int) -> None:
        page = self.log.last(count, max_bytes)
        found = list(page.items)
        assert not any(isinstance(item, MissingRecords) for item in found)
        assert found == (self.lines[-len(found) :] if found else [])
        assert len(found) <= count
        assert found or count == 0 or not self.lines

    @rule(second=st.integers(0, 400))
    def read_since(self, second: int) -> None:
        wanted = stamp(second).encode()
        found = self.log.read_since(stamp(second), 1 << 30).items
        expected = [n for n, line in enumerate(self.lines) if timestamp_of(line) >= wanted]
        assert list(found) == (self.lines[expected[0] :] if expected else [])

    @property
    def last(self) -> int:
        return self.first + len(self.lines) - 1

    @invariant()
    def bounds_agree(self) -> None:
        bounds = self.log.bounds()
        assert bounds.last_seq == self.last
        if self.lines:
            assert bounds.first_seq == self.first


LogMachine.TestCase.settings = hypothesis_settings(
    max_examples=40, stateful_step_count=25, deadline=None
)
TestLog = LogMachine.TestCase
