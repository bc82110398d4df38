"""The log: appending, rolling, recovering, and what changes its id. On real files."""

import os
from pathlib import Path

import pytest

from storage.compressor import compress
from storage.landmarks import Landmarks
from storage.log_reader import LogReader
from storage.log_state import SyncPolicy
from storage.message_log import CHECKPOINT_BYTES, Bounds, LogSettings, MessageLog, open_log
from storage.pages import MissingRecords
from storage.record import seq_of, timestamp_of
from storage.segments import Compression, list_segments
from tests.fakes import body_of
from tests.reading import last, read_after, read_since

GIB = 1 << 30


def settings(
    rotate: int = GIB, sync: SyncPolicy = SyncPolicy.ALWAYS, boot: str = "boot"
) -> LogSettings:
    return LogSettings(rotate_bytes=rotate, sync=sync, boot_id=boot)


def stamp(second: int) -> str:
    return f"2026-11-23T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}.000000Z"


def body(text: str = "x") -> bytes:
    return body_of("p", "claude", {"t": text})


def append(log: MessageLog, count: int, second: int = 1) -> list[bytes]:
    return log.append_many([body(str(n)) for n in range(count)], stamp(second))


def seqs(items: tuple[bytes | MissingRecords, ...]) -> list[int | tuple[int, int]]:
    return [
        seq_of(item) if isinstance(item, bytes) else (item.first_seq, item.last_seq)
        for item in items
    ]


def test_numbers_begin_at_one_and_count_up(tmp_path: Path) -> None:
    log = open_log(tmp_path, settings(), None)
    assert log.bounds() == Bounds(log.state.log_id, 1, 0)
    lines = append(log, 3)
    assert [seq_of(line) for line in lines] == [1, 2, 3]
    assert append(log, 1)[0].startswith(b'{"crc":"')
    assert log.bounds() == Bounds(log.state.log_id, 1, 4)
    assert seqs(read_after(log, 1).items) == [2, 3, 4]
    assert seqs(last(log, 2).items) == [3, 4]
    assert read_after(log, 0).items[0] == lines[0]
    log.close(stamp(99))


def test_the_next_open_recognises_a_clean_stop(tmp_path: Path) -> None:
    log = open_log(tmp_path, settings(), None)
    append(log, 3)
    state = log.close(stamp(99))
    again = open_log(tmp_path, settings(), state)
    assert again.bounds() == Bounds(state.log_id, 1, 3)
    assert again.state.clean is None  # from now on the stop was not clean
    assert seqs(tuple(append(again, 1))) == [4]
    again.close(stamp(99))


@pytest.mark.parametrize("policy", list(SyncPolicy))
def test_a_torn_tail_is_set_aside_at_every_byte(tmp_path: Path, policy: SyncPolicy) -> None:
    log = open_log(tmp_path, settings(sync=policy), None)
    lines = append(log, 2)
    state = log.note_checkpoint()
    path = list_segments(tmp_path)[0].path
    whole = path.read_bytes()
    log.close(stamp(99))
    for cut in range(len(lines[0]) + 1, len(whole)):
        path.write_bytes(whole[:cut])
        again = open_log(
            tmp_path, settings(sync=policy), state.model_copy(update={"checkpoint": None})
        )
        assert again.bounds().last_seq == 1
        assert again.found.torn is not None and again.found.torn.size_bytes == cut - len(lines[0])
        kept = tmp_path / again.found.torn.kept_as
        assert kept.read_bytes() == whole[len(lines[0]) : cut]
        assert os.stat(kept).st_mode & 0o777 == 0o600
        kept.unlink()
        # Under `always` nothing of the tail was acknowledged; else somebody may have seen it.
        changed = again.bounds().log_id != state.log_id
        assert changed == (policy is not SyncPolicy.ALWAYS)
        assert seqs(tuple(append(again, 1))) == [2]
        again.close(stamp(99))
        assert path.read_bytes().count(b"\n") == 2


@pytest.mark.parametrize("junk", [b"\0" * 600, b"half a line", b"\xff\xfe\n", b"{}\n", b"\n"])
def test_junk_at_the_end_is_set_aside(tmp_path: Path, junk: bytes) -> None:
    log = open_log(tmp_path, settings(), None)
    append(log, 2)
    path = list_segments(tmp_path)[0].path
    with open(path, "ab") as file:
        file.write(junk)
    again = open_log(tmp_path, settings(), log.state)
    assert again.found.torn is not None and again.found.torn.size_bytes == len(junk)
    assert seqs(tuple(append(again, 1))) == [3]
    assert seqs(read_after(again, 0).items) == [1, 2, 3]


def test_a_repeated_record_counts_once(tmp_path: Path) -> None:
    log = open_log(tmp_path, settings(), None)
    lines = append(log, 2)
    path = list_segments(tmp_path)[0].path
    with open(path, "ab") as file:
        file.write(lines[1])
    again = open_log(tmp_path, settings(), log.state)
    assert again.found.torn is not None and again.found.torn.size_bytes == len(lines[1])
    assert path.read_bytes() == b"".join(lines)


def test_damage_in_the_middle_is_a_gap_and_is_not_cut(tmp_path: Path) -> None:
    log = open_log(tmp_path, settings(), None)
    lines = append(log, 5)
    path = list_segments(tmp_path)[0].path
    data = bytearray(path.read_bytes())
    start = len(lines[0])
    data[start + 30] ^= 1
    data[start + len(lines[1]) : start + len(lines[1]) + 40] = b"\0" * 40
    path.write_bytes(data)
    again = open_log(tmp_path, settings(), log.state)
    assert again.found.torn is None
    assert again.found.missing == (MissingRecords(2, 3),)
    assert path.read_bytes() == bytes(data)
    assert seqs(read_after(again, 0).items) == [1, (2, 3), 4, 5]
    assert seqs(last(again, 4).items) == [1, (2, 3), 4, 5]
    assert seqs(last(again, 2).items) == [4, 5]
    assert seqs(tuple(append(again, 1))) == [6]


def test_segments_roll_by_size_and_readers_cross_them(tmp_path: Path) -> None:
    log = open_log(tmp_path, settings(rotate=300), None)
    for number in range(10):
        append(log, 2, second=number)
    names = [s.first_seq for s in list_segments(tmp_path)]
    assert len(names) > 2
    assert seqs(read_after(log, 0).items) == list(range(1, 21))
    assert seqs(last(log, 20).items) == list(range(1, 21))
    for start in range(21):
        assert seqs(read_after(log, start).items) == list(range(start + 1, 21))
        assert seqs(last(log, start).items) == list(range(21 - start, 21))
    for number in range(10):
        assert seqs(read_since(log, stamp(number)).items) == list(range(2 * number + 1, 21))
    assert seqs(read_since(log, stamp(11)).items) == []


def test_trimming_takes_whole_old_segments(tmp_path: Path) -> None:
    log = open_log(tmp_path, settings(rotate=1), None)
    for number in range(4):
        append(log, 2, second=number)
    assert log.trim_before(2).first_seq == 1
    assert log.trim_before(5) == Bounds(log.state.log_id, 5, 8)
    assert seqs(read_after(log, 4).items) == [5, 6, 7, 8]
    assert log.trim_before(1000) == Bounds(log.state.log_id, 7, 8)
    again = open_log(tmp_path, settings(), log.close(stamp(99)))
    assert again.bounds().first_seq == 7


@pytest.mark.parametrize("what", ["folder", "pipe", "link"])
def test_a_file_that_is_no_file_is_a_gap(tmp_path: Path, what: str) -> None:
    log = open_log(tmp_path, settings(rotate=1), None)
    for number in range(3):
        append(log, 2, second=number)
    path = list_segments(tmp_path)[1].path
    path.unlink()
    {"folder": path.mkdir, "pipe": lambda: os.mkfifo(path), "link": lambda: path.symlink_to("x")}[
        what
    ]()
    assert seqs(read_after(log, 0).items) == [1, 2, (3, 4), 5, 6]
    assert seqs(last(log, 6).items) == [1, 2, (3, 4), 5, 6]
    assert seqs(read_since(log, stamp(1)).items) == [5, 6]
    assert log.trim_before(1).first_seq == 1


def test_a_page_backwards_has_no_more_than_was_asked_for(tmp_path: Path) -> None:
    log = open_log(tmp_path, settings(), None)
    lines = append(log, 6)
    path = list_segments(tmp_path)[0].path
    data = bytearray(path.read_bytes())
    data[sum(map(len, lines[:4])) + 40] ^= 1  # record 5
    path.write_bytes(data)
    assert seqs(last(log, 2).items) == [(5, 5), 6]
    assert seqs(last(log, 3).items) == [4, (5, 5), 6]


def test_the_remains_of_a_killed_compressor_are_removed(tmp_path: Path) -> None:
    log = open_log(tmp_path, settings(), None)
    append(log, 1)
    left = tmp_path / f"{list_segments(tmp_path)[0].path.name}.zst.new"
    left.write_bytes(b"half")
    (tmp_path / "mine.new").write_bytes(b"foreign")
    open_log(tmp_path, settings(), log.state)
    assert not left.exists() and (tmp_path / "mine.new").exists()


def test_the_clock_may_step_back(tmp_path: Path) -> None:
    log = open_log(tmp_path, settings(), None)
    append(log, 1, second=1000)
    small = append(log, 1, second=900)[0]
    assert timestamp_of(small).decode() == stamp(1000)
    assert len(list_segments(tmp_path)) == 1
    large = append(log, 1, second=10)[0]
    assert timestamp_of(large).decode() == stamp(10)
    assert len(list_segments(tmp_path)) == 2
    assert seqs(read_since(log, stamp(5)).items) == [1, 2, 3]
    assert seqs(read_since(log, stamp(999)).items) == [1, 2, 3]  # a superset, never a miss


def test_recovery_reads_only_behind_the_checkpoint(tmp_path: Path) -> None:
    log = open_log(tmp_path, settings(), None)
    assert not log.wants_checkpoint
    append(log, 1)
    assert log.wants_checkpoint
    log.note_checkpoint()
    assert not log.wants_checkpoint
    log.append_many([body("y" * CHECKPOINT_BYTES)], stamp(1))
    assert log.wants_checkpoint
    state = log.note_checkpoint()
    path = list_segments(tmp_path)[0].path
    with open(path, "r+b") as file:  # damage before the checkpoint is not looked at
        file.seek(60)
        file.write(b"!")
    again = open_log(tmp_path, settings(), state)
    assert again.found.missing == ()
    assert again.bounds().last_seq == 2


def test_foreign_files_are_left_alone(tmp_path: Path) -> None:
    for name in ("notes.txt", "1-2.jsonl", "00000000000000000001-20261123T000200Z.jsonl.torn-5"):
        (tmp_path / name).write_text("x")
    log = open_log(tmp_path, settings(), None)
    append(log, 1)
    log.trim_before(100)
    assert len(list(tmp_path.iterdir())) == 4


def test_a_query_by_time_follows_an_exchanged_file(tmp_path: Path) -> None:
    log = open_log(tmp_path, settings(rotate=1), None)
    for number in range(3):
        append(log, 2, second=number)
    segment = log.closed_segments[0][0]
    fresh = segment.path.with_name(segment.name + ".gz.new")
    compress(segment.path, fresh, Compression.GZIP, lambda: True)
    landmarks = Landmarks()
    listed = list_segments(tmp_path)[0]
    assert log.take_compressed(segment.name, Compression.GZIP)
    assert landmarks.last_stamp(listed) == b""  # listed before the exchange, opened after it
    reader = LogReader(tmp_path, landmarks)
    assert reader.seq_before(stamp(0), 6) == 0
    assert landmarks.last_stamp(list_segments(tmp_path)[0]).decode() == stamp(0)
