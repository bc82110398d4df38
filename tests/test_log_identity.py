"""What a log's numbers and id live through: lost files, lost metadata, restarts of the system."""

from pathlib import Path

from storage.log_state import LogState, SyncPolicy
from storage.message_log import open_log
from storage.record import seq_of, timestamp_of
from storage.segments import list_segments
from tests.reading import read_after
from tests.test_message_log import append, seqs, settings, stamp


def test_a_missing_segment_changes_the_id_and_repeats_no_number(tmp_path: Path) -> None:
    log = open_log(tmp_path, settings(rotate=1), None)
    for number in range(3):
        append(log, 2, second=number)
    state = log.close(stamp(99))
    list_segments(tmp_path)[-1].path.unlink()
    again = open_log(tmp_path, settings(), state)
    assert again.bounds().log_id != state.log_id
    assert seqs(tuple(append(again, 1, second=9))) == [7]
    assert seqs(read_after(again, 0).items) == [1, 2, 3, 4, (5, 6), 7]
    list_segments(tmp_path)[0].path.unlink()
    reopened = open_log(tmp_path, settings(), again.close(stamp(99)))
    assert reopened.bounds().first_seq == 3


def test_numbers_of_lost_files_are_not_used_again(tmp_path: Path) -> None:
    log = open_log(tmp_path, settings(), None)
    append(log, 9)
    state = log.close(stamp(99))
    for segment in list_segments(tmp_path):
        segment.path.unlink()
    ids = [state.log_id]
    for _ in range(3):  # however often it is opened before something is written
        log = open_log(tmp_path, settings(), state)
        assert (log.bounds().first_seq, log.bounds().last_seq) == (10, 9)
        ids.append(log.bounds().log_id)
        state = log.close(stamp(99))
    assert ids[0] != ids[1] == ids[2] == ids[3]
    assert seqs(tuple(append(open_log(tmp_path, settings(), state), 1))) == [10]


def test_the_policy_of_the_writing_decides_after_a_reboot(tmp_path: Path) -> None:
    for before, after in (
        (SyncPolicy.INTERVAL, SyncPolicy.ALWAYS),
        (SyncPolicy.ALWAYS, SyncPolicy.NEVER),
    ):
        folder = tmp_path / before
        log = open_log(folder, settings(sync=before), None)
        append(log, 2)
        log.abandon()
        again = open_log(folder, settings(sync=after, boot="next"), log.state)
        is_changed = again.bounds().log_id != log.bounds().log_id
        assert is_changed == (before is SyncPolicy.INTERVAL)
        assert again.state.sync is after


def test_a_reboot_without_always_changes_the_id(tmp_path: Path) -> None:
    log = open_log(tmp_path, settings(sync=SyncPolicy.NEVER), None)
    append(log, 1)
    state = log.state
    same = open_log(tmp_path, settings(sync=SyncPolicy.NEVER), state)
    assert same.bounds().log_id == state.log_id
    rebooted = open_log(tmp_path, settings(sync=SyncPolicy.NEVER, boot="other"), state)
    assert rebooted.bounds().log_id != state.log_id


def test_lost_metadata_begins_a_new_id_and_keeps_the_records(tmp_path: Path) -> None:
    log = open_log(tmp_path, settings(), None)
    append(log, 3)
    state: LogState = log.close(stamp(99))
    again = open_log(tmp_path, settings(), None)
    assert again.bounds().log_id != state.log_id
    assert again.bounds().last_seq == 3


def test_an_empty_last_segment_keeps_numbers_and_time(tmp_path: Path) -> None:
    log = open_log(tmp_path, settings(), None)
    append(log, 3, second=100)
    state = log.note_checkpoint()
    log.roll()
    (tmp_path / "00000000000000000004-20261123T000200Z.jsonl").touch()
    again = open_log(tmp_path, settings(), state)
    line = append(again, 1, second=99)[0]
    assert seq_of(line) == 4
    assert timestamp_of(line).decode() == stamp(100)
