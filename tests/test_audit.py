"""The audit log: its lines, what it never holds, and its limits."""

import errno
import json
import os
import signal
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import freezegun
import pytest
from click.testing import CliRunner
from websockets.exceptions import InvalidStatus

from actors import messages
from actors.audit import trail as trail_module
from actors.audit.auditor import CHECK_PERIOD_S, SYNC_S, Auditor, AuditSettings
from actors.audit.trail import FLOOD_LINES_PER_S, AuditTrail
from actors.hub.metadata import error_info
from actors.limits.peer import Peer
from actors.messages.audit import AuditEntry, _AuditCheckDue, _AuditSyncDue
from actors.runtime.problems import Problems
from claudehub.cli.main import main
from protocol import codec, requests
from protocol.errors import ErrorCode, RequestRefused
from protocol.requests import MODELS
from storage import audit as audit_module
from storage.audit import AuditLog, older_files, read_lines
from tests.fakes import FrozenClock, ManualTimers, Probe, inbox_of
from tests.harness import HubProcess, WireClient
from tests.processes import wait_until
from tests.project_setup import fail_with
from tests.test_access import Keys, enter
from tests.test_client_actor import Setup
from tests.test_gate import Locked, requests_of_every_kind
from tests.test_storage import a_meta

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
SECRET = "a-secret-that-nobody-keeps"


def lines_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in read_lines(folder)]


# -- the file --------------------------------------------------------------------------------


def line(text: str = "x") -> bytes:
    return json.dumps({"timestamp": "2026-11-20T00:00:00.000000Z", "a": text}).encode() + b"\n"


def test_files_are_private_and_roll_by_size(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, rotate_bytes=150)
    for number in range(4):
        log.append(line(str(number)), NOW + timedelta(seconds=number))
    log.close()
    assert [json.loads(found)["a"] for found in read_lines(tmp_path)] == ["0", "1", "2", "3"]
    assert len(older_files(tmp_path)) == 1
    for path in tmp_path.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600


def test_files_roll_by_age_and_are_deleted(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    log = AuditLog(tmp_path, rotate_bytes=1 << 20)
    log.roll_if_older(NOW, NOW)
    assert older_files(tmp_path) == []  # it is empty
    for day in range(3):
        log.append(line("x" * 100), NOW)
        log.roll(NOW + timedelta(days=day))
    log.append(line(), NOW)
    log.roll_if_older(datetime(2026, 11, 19, tzinfo=UTC), NOW)
    assert len(older_files(tmp_path)) == 3
    log.roll_if_older(NOW + timedelta(seconds=1), NOW + timedelta(days=3))
    assert len(older_files(tmp_path)) == 4  # by its first line, although it was empty when opened
    small = AuditLog(tmp_path / "small", rotate_bytes=100)
    for _ in range(2):
        small.append(line("x" * 90), NOW)  # rolled by size in between
    small.roll_if_older(NOW + timedelta(seconds=1), NOW + timedelta(days=3))
    assert len(older_files(tmp_path / "small")) == 2
    small.close()
    first, second, *_ = older_files(tmp_path)
    os.utime(first, (0, 0))
    log.retain(NOW - timedelta(days=365), 0)
    assert older_files(tmp_path)[0] == second
    log.retain(None, 250)
    assert len(older_files(tmp_path)) == 2
    log.close()


def test_a_reader_beside_a_roll_sees_each_line_once(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, rotate_bytes=1 << 20)
    written = []
    for number in range(4):
        for name in ("a", "b"):
            written.append(line(f"{name}{number}"))
            log.append(written[-1], NOW)
        if number < 3:
            log.roll(NOW + timedelta(seconds=number))
    reading = read_lines(tmp_path)
    found = [next(reading)]
    log.roll(NOW + timedelta(days=1))
    log.append(line("later"), NOW)
    found += reading
    assert found == written
    log.close()


def test_a_roll_between_opening_and_listing_repeats_no_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = AuditLog(tmp_path, rotate_bytes=1 << 20)
    log.append(line("one"), NOW)

    def listed(folder: Path) -> list[Path]:
        log.roll(NOW)
        return older_files(folder)

    monkeypatch.setattr(audit_module, "older_files", listed)
    assert list(read_lines(tmp_path)) == [line("one")]
    log.close()


def test_a_torn_line_damages_no_other_line(tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").write_bytes(line() + b'{"timestamp":"20')
    log = AuditLog(tmp_path, rotate_bytes=1 << 20)
    log.append(line("next"), NOW)
    log.close()
    assert list(read_lines(tmp_path))[-1] == line("next")


def test_a_half_written_line_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = AuditLog(tmp_path, rotate_bytes=1 << 20)
    log.append(line("first"), NOW)
    write = os.write
    with monkeypatch.context() as patch:
        calls = iter([5])

        def half(fd: int, data: bytes) -> int:
            if (size := next(calls, None)) is None:
                raise OSError(errno.ENOSPC, "full")
            return write(fd, data[:size])

        patch.setattr(os, "write", half)
        with pytest.raises(OSError, match="full"):
            log.append(line("second"), NOW)
    log.append(line("third"), NOW)
    log.close()
    assert [json.loads(found)["a"] for found in read_lines(tmp_path)] == ["first", "third"]


def test_a_failed_roll_is_tried_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = AuditLog(tmp_path, rotate_bytes=1 << 20)
    log.append(line("first"), NOW)
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", lambda *_: fail_with(errno.EMFILE)(0, b""))
        with pytest.raises(OSError, match="Too many"):
            log.roll(NOW)
    log.append(line("second"), NOW)
    log.close()
    assert [json.loads(found)["a"] for found in read_lines(tmp_path)] == ["first", "second"]


# -- the actor -------------------------------------------------------------------------------


class Audited:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.timers = ManualTimers()
        self.trail = AuditTrail(FrozenClock())
        self.died: list[str] = []
        self.problems = Problems()
        self.auditor = Auditor(
            settings=AuditSettings(folder, 1 << 20, 30, retain_days=90, retain_bytes=0),
            trail=self.trail,
            clock=FrozenClock(),
            timers=self.timers,
            died=self.died.append,
            problems=self.problems,
        )
        self.trail.goes_to(self.auditor.actor_ref)
        self.auditor.started()

    def handle(self) -> None:
        for message in inbox_of(self.auditor):
            self.auditor.on_receive(message)


def test_lines_are_written_at_once_and_flushed_together(tmp_path: Path) -> None:
    audited = Audited(tmp_path)
    for number in range(3):
        audited.trail.record(f"a{number}", peer=Peer(address="10.0.0.1"))
    audited.handle()
    assert [found["action"] for found in lines_of(tmp_path)] == ["a0", "a1", "a2"]
    assert [timer.delay_s for timer in audited.timers.pending] == [CHECK_PERIOD_S, SYNC_S]
    audited.timers.fire(_AuditSyncDue)
    audited.handle()
    audited.timers.fire(_AuditCheckDue)
    audited.handle()
    audited.auditor.on_stop()


def test_the_next_line_counts_lines_that_could_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    audited = Audited(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fail_with(errno.ENOSPC))
        for _ in range(3):
            audited.trail.record("lost")
        audited.handle()
        audited.auditor.on_receive(AuditEntry(timestamp="", action="lost", suppressed=5))
    audited.trail.record("kept")
    audited.handle()
    (found,) = lines_of(tmp_path)
    assert (found["action"], found["suppressed"]) == ("kept", 9)
    assert audited.trail.dropped == 4  # of this test's own entry, nobody has counted the five
    assert caplog.text.count("cannot be written") == 1
    audited.auditor.on_stop()


def test_a_new_file_begins_after_a_failed_flush(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audited = Audited(tmp_path)
    audited.trail.record("before")
    audited.handle()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", lambda _fd: fail_with(errno.EIO)(0, b""))
        audited.timers.fire(_AuditSyncDue)
        audited.handle()
    assert len(older_files(tmp_path)) == 1
    audited.auditor.on_stop()


def test_a_hub_without_an_audit_log_does_not_go_on(tmp_path: Path) -> None:
    audited = Audited(tmp_path)
    audited.auditor.on_failure(ValueError, ValueError("bug"), None)
    assert audited.died == ["the audit log failed: ValueError: bug"]


def died_of_a_bug(audited: Audited, monkeypatch: pytest.MonkeyPatch, *bad: str) -> None:
    """Have the Auditor die of the first entry that cannot be encoded."""
    dumps = codec.dumps

    def picky(facts: Any) -> bytes:
        if facts["action"] in bad:
            raise ValueError(facts["action"])
        return dumps(facts)

    monkeypatch.setattr(codec, "dumps", picky)
    try:
        while True:
            audited.auditor.on_receive(audited.auditor.actor_inbox.get().message)
    except ValueError as error:
        audited.auditor.on_failure(ValueError, error, error.__traceback__)
    audited.trail.report_lost()


def test_an_auditor_that_dies_writes_what_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    audited = Audited(tmp_path)
    for action in ("first", "bad", "second", "third"):
        audited.trail.record(action)
    died_of_a_bug(audited, monkeypatch, "bad")
    assert [found["action"] for found in lines_of(tmp_path)] == ["first", "second", "third"]
    assert audited.trail.dropped == 1
    assert caplog.text.count("entries of the audit log are lost count=1") == 1


def test_what_a_dead_auditor_cannot_write_is_counted_and_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    audited = Audited(tmp_path)
    for action in ("first", "bad", "second", "worse", "third", "fourth"):
        audited.trail.record(action)
    died_of_a_bug(audited, monkeypatch, "bad", "worse")
    assert [found["action"] for found in lines_of(tmp_path)] == ["first", "second"]
    assert audited.trail.dropped == 4
    assert "the release of a dead actor has failed" in caplog.text
    assert "entries of the audit log are lost count=4" in caplog.text
    audited.trail.record("late")
    assert audited.trail.dropped == 5
    audited.trail.report_lost()
    assert "entries of the audit log are lost count=1" in caplog.text


def test_a_stopped_auditor_has_written_what_came_behind_the_stop(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    audited = Audited(tmp_path)
    audited.auditor.actor_ref.stop(block=False)
    audited.trail.record("late")
    audited.auditor._actor_loop()  # as in a thread of its own
    audited.trail.report_lost()
    assert [found["action"] for found in lines_of(tmp_path)] == ["late"]
    assert audited.trail.dropped == 0 and "lost" not in caplog.text


@freezegun.freeze_time("2026-11-25T12:00:00Z")
def test_strangers_write_a_limited_number_of_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    auditor, trail = Probe(), AuditTrail(FrozenClock())
    trail.goes_to(auditor.actor_ref)
    monkeypatch.setattr(trail_module, "WAITING_MAX", 10_000)
    for _ in range(100):
        trail.record("handshake_refused", ok=False, code="403")
    assert len(auditor.take()) == 2 * FLOOD_LINES_PER_S
    trail.record("execute")
    assert auditor.take()[-1].suppressed == 100 - 2 * FLOOD_LINES_PER_S
    # Noise of one kind, or from one address, hides nothing of another.
    for number in range(100):
        trail.record("authenticate", ok=False, code="unauthenticated")
        trail.record("ping", ok=False, code="unauthenticated")
        peer = Peer(address=f"192.0.2.{number}")
        trail.record("handshake_refused", peer=peer, ok=False, code="403")
    kept = Counter(entry.action for entry in auditor.take())
    assert kept == {
        "authenticate": 2 * FLOOD_LINES_PER_S,
        "ping": 2 * FLOOD_LINES_PER_S,
        "handshake_refused": 100,
    }
    trail.record("execute")
    auditor.take()
    waiting = trail._waiting
    monkeypatch.setattr(trail_module, "WAITING_MAX", waiting + 4)
    for _ in range(30):
        trail.record("execute")
    assert len(auditor.take()) == 4
    for _ in range(waiting + 4):
        trail.written()
    trail.record("execute")
    assert auditor.take()[-1].suppressed == 26


# -- requests --------------------------------------------------------------------------------


def last_entry(setup: Setup) -> AuditEntry:
    entry = setup.auditor.take()[-1]
    assert isinstance(entry, AuditEntry)
    return entry


@pytest.mark.parametrize(("kind", "payload"), requests_of_every_kind())
def test_every_request_leaves_a_line(kind: str, payload: Any) -> None:
    setup = Setup()
    setup.client.started()
    setup.hub.take()
    setup.say(kind, **payload)
    passed = [*setup.hub.take(), *setup.project.take()]
    if passed:
        setup.client.on_receive(answer_to(passed[0]))
    entry = last_entry(setup)
    assert (entry.action, entry.ok, entry.code) == (kind, True, None)
    assert (entry.client_id, entry.address) == ("c1", "10.0.0.1")
    if kind != "ping":
        assert entry.project_id == (
            "made" if kind == "project_create" else payload.get("project_id")
        )
    runs = kind in ("execute", "agent_interrupt", "agent_kill")
    assert entry.execution_id == ("e" if runs else None)


def answer_to(request: Any) -> Any:
    number, body = request.reply_to.number, request.body
    if type(body).__name__ == "ProjectLeave":
        return messages.Left(number=number, project_id="p")
    project = error_info(a_meta("made"))
    payload = {"execution_id": "e", "project": codec.plain(project)}
    return messages.Replied(number=number, payload=payload)


@pytest.mark.parametrize("kind", [*MODELS, "ping"])
def test_every_refusal_leaves_a_line(tmp_path: Path, kind: str) -> None:
    locked = Locked(tmp_path)
    locked.setup.say(kind, public_key="x", signature="y", host="x:1")
    entry = last_entry(locked.setup)
    assert (entry.action, entry.ok, entry.code) == (kind, False, "unauthenticated")


def test_authentications_and_failures_leave_a_line(tmp_path: Path) -> None:
    locked = Locked(tmp_path)
    stranger = locked.proof()
    stranger["signature"] = "x"
    locked.enter(**stranger)
    refused = last_entry(locked.setup)
    assert (refused.user, refused.code) == (None, "unauthenticated")
    locked.enter()
    entered = last_entry(locked.setup)
    assert entered.user == "ann@laptop" and entered.fingerprint == refused.fingerprint
    assert str(entered.fingerprint).startswith("SHA256:")
    locked.write("# gone", line="")
    locked.keyring.reload()
    locked.setup.client.on_receive(messages.LookAtKey())
    assert last_entry(locked.setup).action == "key_revoked"


def test_a_request_without_an_answer_leaves_a_line() -> None:
    setup = Setup()
    setup.say("execute", project_id="p", prompt="x")
    setup.client.release()
    entry = last_entry(setup)
    assert (entry.action, entry.ok, entry.code) == ("execute", None, "unanswered")


def test_a_malformed_message_is_not_copied_into_the_log() -> None:
    setup = Setup()
    setup.say(SECRET)
    assert last_entry(setup).action == "unknown"


# -- the whole -------------------------------------------------------------------------------


def test_a_whole_session_leaves_lines_without_secrets(scratch: Path, start_hub: Any) -> None:
    keys = Keys(scratch)
    hub = start_hub(AUTHORIZED_KEYS=str(keys.file))
    with pytest.raises(InvalidStatus):
        hub.client(origin="http://evil.example")
    with hub.client() as client:
        client.refused("ping")
        enter(client, keys.key)
        client.request("project_create", path=hub.folder("p"))
        end = client.run_after_join("p", SECRET)
        hub_kill(client)
    hub.stop(signal.SIGKILL)
    found = lines_of(hub.data)
    by_action = {entry["action"]: entry for entry in found}
    assert set(by_action) >= {
        "config_changed", "handshake_refused", "ping", "authenticate", "project_create", "execute",
        "agent_kill",
    }  # fmt: skip
    run = by_action["execute"]
    assert (run["user"], run["project_id"], run["ok"]) == ("ann@laptop", "p", True)
    assert run["address"] == "127.0.0.1" and run["key"].startswith("SHA256:")
    assert end["execution_id"] in [entry["execution_id"] for entry in found]
    assert (by_action["handshake_refused"]["ok"], by_action["handshake_refused"]["code"]) == (
        False, "403",
    )  # fmt: skip
    everything = b"".join(read_lines(hub.data)) + hub.errors.read_bytes()
    for planted in (SECRET, "BEGIN SSH SIGNATURE", keys.key.read_text().splitlines()[2]):
        assert planted.encode() not in everything


def hub_kill(client: WireClient) -> None:
    client.request("execute", project_id="p", prompt="[[hang]]")
    client.wait_for("execution_started")
    client.request("agent_kill", project_id="p")
    client.wait_for("execution_finished", outcome="killed")


def test_a_changed_configuration_leaves_a_line(start_hub: Any) -> None:
    hub = start_hub()

    def noted() -> list[Any]:
        found = lines_of(hub.data)
        return [e["details"]["set"] for e in found if e["action"] == "config_changed"]

    hub.stop()  # behind which all is written
    assert len(noted()) == 1 and "DATA_DIR" in noted()[0]
    hub.start()
    hub.stop()
    assert len(noted()) == 1
    hub.start(MAX_QUEUE="3")
    hub.stop()
    assert len(noted()) == 2 and "MAX_QUEUE" in noted()[1]


def test_a_change_of_the_keys_leaves_a_line(scratch: Path, start_hub: Any) -> None:
    keys = Keys(scratch)
    hub = start_hub(AUTHORIZED_KEYS=str(keys.file))
    keys.write("# nobody\n")
    wait_until(lambda: '"read_again":"AUTHORIZED_KEYS"' in (hub.data / "audit.jsonl").read_text())


def test_the_command_shows_and_filters(hub: HubProcess) -> None:
    with hub.client() as client:
        client.request("project_create", path=hub.folder("p"))
        client.refused("project_join", project_id="none")
        client.run_after_join("p", "x")

    def shown(*arguments: str) -> list[str]:
        done = CliRunner().invoke(main, ["audit", "--data-dir", str(hub.data), *arguments])
        assert done.exit_code == 0, done.output
        return list(done.output.splitlines())

    wait_until(lambda: len(shown("--action", "execute")) == 1)
    (run,) = shown("--action", "execute", "--project", "p")
    assert shown("--action", "execute", "--project", "q") == []
    assert "  execute  ok  c-" in run and "127.0.0.1  p  " in run
    (refused,) = shown("--failed")
    assert "project_join  project_not_found" in refused
    assert json.loads(shown("--failed", "--json")[0])["project_id"] == "none"
    assert shown("--user", "nobody") == [] and shown("--since", "2099-01-01") == []
    assert len(shown("--since", "1h")) == len(shown())
    with open(hub.data / "audit.jsonl", "ab") as file:
        file.write(b'{"torn')
    assert "torn" in shown()[-1]
    wrong = CliRunner().invoke(main, ["audit", "--data-dir", str(hub.data), "--since", "x"])
    assert wrong.exit_code == 1
    nowhere = CliRunner().invoke(main, ["audit", "--data-dir", str(hub.data / "none")])
    assert nowhere.exit_code == 1 and "no audit log" in nowhere.output


def test_a_client_over_a_limit_leaves_a_line() -> None:
    setup = Setup()
    body = requests.AgentKill(project_id="p")
    meant = requests.Request("agent_kill", "1", body)
    refusal = RequestRefused(ErrorCode.RATE_LIMITED, "too many")
    too_many = codec.Undecodable(refusal, "1", meant=meant)
    setup.client.on_receive(messages.RequestReceived(request=too_many))
    entry = last_entry(setup)
    assert (entry.action, entry.project_id, entry.code) == ("agent_kill", "p", "rate_limited")
    setup.say("project_delete", project_id="p")
    setup.say("agent_kill", project_id="p")  # waits for the end of the deletion
    setup.client.release()
    lost = {e.action: (e.project_id, e.code) for e in setup.auditor.take()}
    assert lost["project_delete"] == lost["agent_kill"] == ("p", "unanswered")


def test_the_auditor_rolls_and_deletes_by_age(tmp_path: Path) -> None:
    with freezegun.freeze_time("2026-11-25T12:00:00Z") as now:
        audited = Audited(tmp_path)
        audited.trail.record("ping")
        audited.handle()
        audited.auditor.on_receive(_AuditCheckDue())
        assert older_files(tmp_path) == []
        now.tick(timedelta(days=31))
        audited.auditor.on_receive(_AuditCheckDue())
        (older,) = older_files(tmp_path)
        os.utime(older, (0, 0))
        audited.auditor.on_receive(_AuditCheckDue())
        assert older_files(tmp_path) == []
        audited.auditor.release()
