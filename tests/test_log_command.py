"""`claudehub log`, as a user types it: beside a running hub, and on the files of a stopped one."""

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from claudehub.cli.log_commands import LogCommandError, parse_since
from claudehub.cli.main import main
from storage.compressor import compress
from storage.layout import DataLayout
from storage.message_log import open_log
from storage.projects import ProjectStore
from storage.segments import Compression, list_segments
from tests.harness import TIMEOUT_S, HubProcess
from tests.test_command_line import spawn
from tests.test_message_log import append, settings
from tests.test_storage import a_meta


def log(data: Path, *arguments: str) -> Any:
    return CliRunner().invoke(main, ["log", *arguments, "--data-dir", str(data)])


def make(root: Path, name: str = "p", batches: int = 6, rotate: int = 400) -> DataLayout:
    """A stopped server's data: a project whose log has several files."""
    layout = DataLayout(root)
    layout.create()
    store = ProjectStore(layout)
    written = open_log(layout.log(name), settings(rotate=rotate), None)
    for number in range(batches):
        append(written, 4, second=60 * number)
    state = written.close("2026-11-23T01:00:00.000000Z")
    store.save(a_meta(name).model_copy(update={"log": state}))
    return layout


def test_verify_finds_nothing_wrong_with_a_whole_log(tmp_path: Path) -> None:
    make(tmp_path), make(tmp_path, "other")
    ran = log(tmp_path, "verify")
    assert ran.exit_code == 0, ran.output
    assert "other: whole, 24 records, 1 to 24" in ran.output
    assert "p: whole, 24 records, 1 to 24" in ran.output
    assert "other" not in log(tmp_path, "verify", "p").output


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


def test_verify_finds_and_names_each_fault(tmp_path: Path) -> None:
    layout = make(tmp_path)
    segments = list_segments(layout.log("p"))
    flip(segments[0].path, 100)
    segments[2].path.unlink()
    with open(segments[-1].path, "ab") as file:
        file.write(b"half a record")  # just being written, for all one can tell
    (layout.log("p") / f"{segments[-1].path.name}.torn-7").write_bytes(b"junk")
    ran = log(tmp_path, "verify")
    assert ran.exit_code == 1
    lines = ran.output.splitlines()
    assert any(line.startswith("p: DAMAGED, ") for line in lines)
    assert any("bytes at byte 0 are no record" in line for line in lines)
    assert any("record 1 is missing or damaged" in line for line in lines)
    gone = segments[2].first_seq
    assert any(f"the file that begins with record {gone} is gone" in line for line in lines)
    assert any("torn-7: 4 bytes were set aside" in line for line in lines)


def test_verify_reports_a_file_that_it_cannot_open_and_goes_on(
    tmp_path: Path,
) -> None:
    layout = make(tmp_path, "a")
    make(tmp_path, "b")
    path = list_segments(layout.log("a"))[1].path
    path.unlink()
    path.mkdir()
    ran = log(tmp_path, "verify")
    assert ran.exit_code == 1
    assert f"{path.name}: is no file" in ran.output
    assert "records 5 to 8 are missing or damaged" in ran.output
    assert "b: whole, 24 records" in ran.output


def test_verify_still_reports_a_loss_that_a_start_has_noted(tmp_path: Path) -> None:
    """The metadata agrees with the files again, because the start has noted the loss."""
    layout = make(tmp_path)
    store = ProjectStore(layout)
    list_segments(layout.log("p"))[-1].path.unlink()
    meta = store.load("p")
    assert meta is not None
    opened = open_log(layout.log("p"), settings(), meta.log)
    state = opened.note_missing(opened.found.missing)
    opened.abandon()
    store.save(meta.model_copy(update={"log": state}))
    ran = log(tmp_path, "verify")
    assert ran.exit_code == 1 and "records 21 to 24 were found to be gone" in ran.output


def test_new_id_covers_kept_histories(tmp_path: Path) -> None:
    layout = make(tmp_path)
    store = ProjectStore(layout)
    meta = store.load("p")
    assert meta is not None and meta.log is not None
    store.keep(meta)
    ran = log(tmp_path, "new-id")
    assert ran.exit_code == 0, ran.output
    kept = store.take_kept("p", meta.path)
    assert kept is not None and kept.log is not None
    assert kept.log.log_id != meta.log.log_id and kept.log.log_id in ran.output
    assert kept.log.model_copy(update={"log_id": meta.log.log_id}) == meta.log


def test_verify_reports_records_that_only_the_metadata_knows(tmp_path: Path) -> None:
    layout = make(tmp_path, batches=1)
    path = list_segments(layout.log("p"))[0].path
    os.truncate(path, path.read_bytes().index(b"\n") + 1)
    ran = log(tmp_path, "verify")
    assert ran.exit_code == 1 and "the log ends at 1, but record 4 was stored" in ran.output
    (layout.project("p") / "meta.json").write_text("{")
    assert "metadata: " in log(tmp_path, "verify").output


@pytest.mark.parametrize("compression", [Compression.GZIP, Compression.ZSTD])
def test_compressed_segments_are_verified_and_shown_like_others(
    tmp_path: Path, compression: Compression
) -> None:
    layout = make(tmp_path)
    plain = log(tmp_path, "export", "p").output
    for segment in list_segments(layout.log("p"))[:-1]:
        target = Path(f"{segment.path}{compression.suffix}")
        compress(segment.path, target, compression, lambda: True)
        if compression is Compression.GZIP:
            assert gzip.decompress(target.read_bytes()) == segment.path.read_bytes()
        segment.path.unlink()
    assert log(tmp_path, "export", "p").output == plain
    assert log(tmp_path, "verify").exit_code == 0
    first = list_segments(layout.log("p"))[0].path
    flip(first, first.stat().st_size // 2 + 20)
    ran = log(tmp_path, "verify")
    assert ran.exit_code == 1 and "records 1 to 4 are missing or damaged" in ran.output


def test_stats_counts_records_bytes_and_files(tmp_path: Path) -> None:
    make(tmp_path)
    output = log(tmp_path, "stats").output.splitlines()
    assert output[0].split() == ["project", "records", "size", "files", "first", "last", "a", "day"]
    assert output[1].split()[:2] == ["p", "24"]
    facts = json.loads(log(tmp_path, "stats", "p", "--json").output)
    assert (facts["records"], facts["first_seq"], facts["last_seq"]) == (24, 1, 24)
    assert facts["first"] == "2026-11-23T00:00:00.000000Z"
    assert facts["records_per_day"] == pytest.approx(24 * 24 * 60 / 5)


def seqs(output: str) -> list[int]:
    return [json.loads(line)["seq"] for line in output.splitlines()]


def test_show_begins_at_the_given_place(tmp_path: Path) -> None:
    make(tmp_path)

    def shown(*options: str) -> list[int]:
        return seqs(log(tmp_path, "show", "p", "--json", *options).output)

    assert shown() == list(range(5, 25))
    assert shown("--last", "3") == [22, 23, 24]
    assert shown("--last", "0") == []
    assert shown("--after", "20") == [21, 22, 23, 24]
    assert shown("--after", "99") == []
    assert shown("--since", "2026-11-23T00:05:00Z") == [21, 22, 23, 24]
    assert shown("--since", "2026-11-23T01:05:00+01:00") == [21, 22, 23, 24]
    assert shown("--type", "prompt") == []
    assert len(shown("--type", "prompt", "--type", "claude")) == 20


def test_show_names_a_faulty_argument(tmp_path: Path) -> None:
    assert "there are no logs in" in log(tmp_path, "show", "p").output
    make(tmp_path)
    assert "there is no log of 'q'; there are: p" in log(tmp_path, "show", "q").output
    assert "is no time; examples" in log(tmp_path, "show", "p", "--since", "soon").output
    assert "is none of" in log(tmp_path, "show", "p", "--type", "nonsense").output
    both = log(tmp_path, "show", "p", "--last", "1", "--after", "1")
    assert both.exit_code == 2 and "exclude each other" in both.output


def test_since_takes_times_dates_and_durations() -> None:
    now = datetime(2026, 11, 24, 12, tzinfo=UTC)
    assert parse_since("2h30m", now) == "2026-11-24T09:30:00.000000Z"
    assert parse_since("2026-11-24T08:00:00+02:00", now) == "2026-11-24T06:00:00.000000Z"
    midnight = datetime(2026, 11, 23).astimezone(UTC)
    assert parse_since("2026-11-23", now) == midnight.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    for text in ("", "yesterday", "9999-99-99"):
        with pytest.raises(LogCommandError, match="is no time"):
            parse_since(text, now)


def test_an_export_states_its_gaps(tmp_path: Path) -> None:
    layout = make(tmp_path)
    segments = list_segments(layout.log("p"))
    segments[1].path.unlink()
    target = tmp_path / "out.jsonl"
    ran = log(tmp_path, "export", "p", "-o", str(target))
    assert ran.exit_code == 1 and "cannot be read" in ran.output
    lines = [json.loads(line) for line in target.read_text().splitlines()]
    gaps = [line["data"] for line in lines if line["update_type"] == "gap"]
    assert gaps == [{"first_seq": segments[1].first_seq, "last_seq": segments[2].first_seq - 1}]
    assert target.stat().st_mode & 0o777 == 0o600
    assert [line.get("seq") for line in lines[:2]] == [1, 2]


def test_log_commands_work_beside_a_running_hub(hub: HubProcess) -> None:
    with hub.client() as client:
        client.request("project_create", path=hub.folder("p"))
        client.request("project_join", project_id="p")
        client.run("p", "[[text:HELLO]]")
        shown = log(hub.data, "show", hub.folder("p"), "--last", "100")
        assert "> [[text:HELLO]]" in shown.output and "done in" in shown.output
        updates = [u for u in client.updates if "seq" in u]
        exported = log(hub.data, "export", "p").output.splitlines()
        assert [json.loads(line) for line in exported] == updates
        assert log(hub.data, "verify").exit_code == 0
        assert "uses" in log(hub.data, "new-id").output  # the server must not run
        start = ("--after", str(updates[-1]["seq"]), "--follow", "--json")
        follower = spawn("log", "show", "p", *start, "--data-dir", str(hub.data))
        assert follower.stdout is not None
        client.run("p", "[[text:AGAIN]]")
        kinds = []
        while "execution_finished" not in kinds:
            kinds.append(json.loads(follower.stdout.readline())["update_type"])
        follower.send_signal(signal.SIGINT)
        assert follower.wait(TIMEOUT_S) == 0
        assert kinds[0] == "prompt"
        for pipe in (follower.stdout, follower.stderr):
            assert pipe is not None
            pipe.close()


def test_a_copy_made_while_the_hub_runs_can_be_restored(start_hub: Any, scratch: Path) -> None:
    """docs/message-log.md, Backup."""
    hub = start_hub()
    with hub.client() as client:
        client.request("project_create", path=hub.folder("p"))
        client.request("project_join", project_id="p")
        client.run("p", "[[lines:200]]")
        client.take()
        client.request("execute", project_id="p", prompt="[[lines:3000]][[pace:0.0003]]")
        client.wait_for("claude")
        before = max(u["seq"] for u in client.updates if "seq" in u)
        copy = scratch / "copy" / "data"
        shutil.copytree(hub.data, copy)
        client.wait_for("execution_finished")
        original = log(hub.data, "export", "p").output.splitlines()
        old_id = client.request("project_join", project_id="p")["log_id"]
    assert log(copy, "verify").exit_code == 0
    renewed = log(copy, "new-id")
    assert renewed.exit_code == 0 and renewed.output.startswith("p: ")
    restored = HubProcess(scratch / "copy", PROJECT_ROOTS=str(hub.roots)).start()
    try:
        with restored.client() as client:
            error = client.refused("project_join", project_id="p", after_seq=before, log_id=old_id)
            assert error["code"] == "history_gone"
            answer = client.request("get_messages", project_id="p", limit=1)
            last = answer["last_seq"]
            client.request("project_join", project_id="p", after_seq=0)
            client.wait_for("execution_finished", outcome="lost")  # it ran when the copy was made
            seen = [u for u in client.updates if "seq" in u]
            assert [u["seq"] for u in seen] == list(range(1, last + 1))
            assert seen[:before] == [json.loads(line) for line in original[:before]]
    finally:
        assert restored.stop() == 0


def test_a_closed_pipe_ends_a_command_quietly(tmp_path: Path) -> None:
    make(tmp_path, batches=400, rotate=1 << 20)
    command = f"{sys.executable} -m claudehub log export p --data-dir {tmp_path} | head -n 1"
    ran = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert ran.stdout.count("\n") == 1
    assert ran.stderr == ""
