"""The audit log while others move, delete or cut its file, and while a new file cannot be begun."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import freezegun
import pytest

from actors.audit.auditor import WITHOUT_MAX_S
from actors.messages.audit import _AuditSyncDue
from storage.audit import AuditLog, older_files, read_lines
from tests.harness import HubProcess
from tests.processes import wait_until
from tests.test_audit import NOW, Audited, line, lines_of

LATER = ["second", "third"]


def names_in(path: Path) -> list[str]:
    return [json.loads(found)["a"] for found in path.read_bytes().splitlines()]


def keep(log: AuditLog, *names: str) -> None:
    for name in names:
        log.append(line(name), NOW)


def refuse(patch: pytest.MonkeyPatch, call: str, error: int, nth: int | None = None) -> None:
    """Let a call of os fail: each time, or only the nth time."""
    real: Callable[..., Any] = getattr(os, call)
    calls = iter(range(1, 1 << 20))

    def fail(*arguments: Any, **options: Any) -> Any:
        if nth is None or next(calls) == nth:
            raise OSError(error, os.strerror(error))
        return real(*arguments, **options)

    patch.setattr(os, call, fail)


def test_lines_behind_a_moved_file_begin_a_new_one(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, 1 << 20)
    keep(log, "first")
    (tmp_path / "audit.jsonl").rename(tmp_path / "audit.jsonl.1")  # as logrotate does
    keep(log, *LATER)
    assert names_in(tmp_path / "audit.jsonl.1") == ["first"]
    assert names_in(tmp_path / "audit.jsonl") == LATER
    assert (tmp_path / "audit.jsonl").stat().st_mode & 0o777 == 0o600
    log.close()


@pytest.mark.parametrize("way", ["deleted", "exchanged", "cut"])
def test_lines_behind_a_lost_file_are_kept(tmp_path: Path, way: str) -> None:
    log = AuditLog(tmp_path, 1 << 20)
    keep(log, "first")
    path = tmp_path / "audit.jsonl"
    match way:
        case "deleted":
            path.unlink()
        case "exchanged":
            (tmp_path / "other").write_bytes(line("other"))
            (tmp_path / "other").replace(path)
        case _:
            os.truncate(path, 0)  # logrotate's copytruncate
    keep(log, *LATER)
    assert names_in(path) == (["other", *LATER] if way == "exchanged" else LATER)
    log.close()


def test_a_cut_file_gets_no_hole_when_a_write_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = AuditLog(tmp_path, 1 << 20)
    keep(log, "first")
    os.truncate(tmp_path / "audit.jsonl", 0)
    with monkeypatch.context() as patch:
        refuse(patch, "write", errno.ENOSPC)
        with pytest.raises(OSError, match="No space"):
            keep(log, "lost")
    keep(log, "second")
    assert names_in(tmp_path / "audit.jsonl") == ["second"]
    log.close()


def test_lines_go_on_into_a_moved_file_while_no_other_can_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = AuditLog(tmp_path, 1 << 20)
    keep(log, "first")
    (tmp_path / "audit.jsonl").rename(tmp_path / "moved")
    with monkeypatch.context() as patch:
        refuse(patch, "open", errno.EMFILE)
        keep(log, "second")
    assert log.problem is not None and "cannot be made again" in log.problem
    keep(log, "third")
    assert log.problem is None
    assert names_in(tmp_path / "moved") == ["first", "second"]
    assert names_in(tmp_path / "audit.jsonl") == ["third"]
    log.close()


def test_a_line_is_not_written_into_a_deleted_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = AuditLog(tmp_path, 1 << 20)
    (tmp_path / "audit.jsonl").unlink()
    with monkeypatch.context() as patch:
        refuse(patch, "open", errno.EMFILE)
        with pytest.raises(OSError, match="Too many"):
            keep(log, "lost")
    keep(log, "second")
    assert names_in(tmp_path / "audit.jsonl") == ["second"]
    log.close()


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.EIO])
@pytest.mark.parametrize(("call", "nth"), [("open", 1), ("rename", 1), ("rename", 2), ("fsync", 1)])
def test_a_roll_that_fails_is_tried_again_and_costs_no_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, nth: int, error: int
) -> None:
    log = AuditLog(tmp_path, rotate_bytes=len(line("00")))
    keep(log, "00")
    with monkeypatch.context() as patch:
        refuse(patch, call, error, nth)
        keep(log, "01")
    keep(log, "02", "03")
    assert log.problem is None
    log.close()
    assert [json.loads(found)["a"] for found in read_lines(tmp_path)] == ["00", "01", "02", "03"]
    assert not list(tmp_path.glob("*.new"))


def test_rolls_at_one_moment_keep_every_file(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, 1 << 20)
    for name in ("a", "b", "c"):
        keep(log, name)
        log.roll(NOW)
    assert [names_in(path) for path in older_files(tmp_path)] == [["a"], ["b"], ["c"]]
    log.close()


# -- the actor -------------------------------------------------------------------------------------


def test_health_names_a_roll_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    audited = Audited(tmp_path)
    audited.auditor._log._rotate_bytes = 1
    audited.trail.record("first")
    audited.handle()
    with monkeypatch.context() as patch:
        refuse(patch, "rename", errno.EIO)
        for _ in range(3):
            audited.trail.record("second")
        audited.handle()
        assert audited.problems.now() == [
            "audit log: a new file cannot be begun: Input/output error"
        ]
    audited.trail.record("third")
    audited.handle()
    assert audited.problems.now() == [] and audited.died == []
    found = [entry["action"] for entry in lines_of(tmp_path)]
    assert found == ["first", "second", "second", "second", "third"]
    audited.auditor.on_stop()


def test_health_names_a_flush_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    audited = Audited(tmp_path)
    audited.trail.record("first")
    audited.handle()
    with monkeypatch.context() as patch:
        refuse(patch, "fdatasync", errno.EIO)
        audited.timers.fire(_AuditSyncDue)
        audited.handle()
    assert "cannot be flushed" in audited.problems.now()[0]
    audited.trail.record("second")
    audited.handle()
    assert audited.problems.now() == []
    assert len(older_files(tmp_path)) == 1
    audited.auditor.on_stop()


@pytest.mark.parametrize("error", [errno.EIO, errno.EROFS, errno.ENOSPC])
def test_a_hub_whose_audit_log_takes_nothing_for_a_minute_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    with freezegun.freeze_time(NOW) as clock:
        audited = Audited(tmp_path)

        def fail() -> None:
            with monkeypatch.context() as patch:
                refuse(patch, "write", error)
                audited.trail.record("lost")
                audited.handle()

        fail()
        clock.tick(WITHOUT_MAX_S - 1)
        fail()
        assert audited.died == []
        audited.trail.record("kept")  # and the minute begins anew
        audited.handle()
        assert audited.problems.now() == []
        fail()
        clock.tick(WITHOUT_MAX_S - 1)
        fail()
        assert audited.died == []
        clock.tick(1)
        fail()
        assert bool(audited.died) == (error != errno.ENOSPC)  # a full disk is waited for
        assert "cannot be written" in audited.problems.now()[0]
        audited.auditor.on_stop()


def test_two_failures_with_nothing_between_are_no_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with freezegun.freeze_time(NOW) as clock:
        audited = Audited(tmp_path)
        for _ in range(3):
            with monkeypatch.context() as patch:
                refuse(patch, "write", errno.EIO)
                audited.trail.record("lost")
                audited.handle()
            clock.tick(WITHOUT_MAX_S + 1)
        assert audited.died == []
        audited.auditor.on_stop()


def test_a_server_keeps_its_audit_log_behind_a_rotation_from_outside(scratch: Path) -> None:
    hub = HubProcess(scratch).start()
    path = hub.data / "audit.jsonl"
    with hub.client() as client:
        client.request("project_list")
        wait_until(lambda: b"project_list" in path.read_bytes())
        path.rename(hub.data / "rotated")
        client.request("health_check")
        client.request("project_list")
    assert hub.stop() == 0
    found = [json.loads(entry)["action"] for entry in path.read_bytes().splitlines()]
    assert found[:2] == ["health_check", "project_list"]
