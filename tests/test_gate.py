"""Authentication, unstarted: the gate, the keyring, and the rights of each kind of key."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import freezegun
import pytest

from actors import messages
from actors.access.keyring import Keyring
from actors.access.prompt_keys import EXPIRY_LOOK_MAX_S
from actors.watch.stamps import ReloadFailed
from protocol import requests
from protocol.requests import MODELS
from protocol.rights import Rights
from tests.test_client_actor import AUTH_TIMEOUT_S, Setup
from tests.test_ssh import keygen, proof, public, signed

PAYLOADS: dict[str, dict[str, Any]] = {
    "project_create": {"path": "/tmp/x"},
    "project_trust": {"project_id": "p", "trusted": False},
    "execute": {"project_id": "p", "prompt": "x"},
    "permission_answer": {"project_id": "p", "permission_id": "q", "decision": "allow"},
    "project_list": {},
    "watch": {},
    "unwatch": {},
    "health_check": {},
}
# What is answered with something else than a refusal of the gate.
READING = {
    "ping",
    "project_list",
    "project_join",
    "project_leave",
    "watch",
    "unwatch",
    "get_messages",
}


def requests_of_every_kind() -> list[tuple[str, dict[str, Any]]]:
    kinds = [*(kind for kind in MODELS if kind != "authenticate"), "ping"]
    return [(kind, PAYLOADS.get(kind, {"project_id": "p"})) for kind in kinds]


class Locked:
    """A connection in front of a keyring of one line."""

    def __init__(self, folder: Path, options: str = "") -> None:
        self.folder = folder
        self.key = keygen(folder)
        self.file = folder / "authorized_keys"
        self.write(options)
        self.keyring = Keyring(self.file)
        self.setup = Setup(self.keyring)
        self.setup.client.started()
        self.setup.hub.take()

    def write(self, options: str = "", *, line: str | None = None) -> None:
        before = f"{options} " if options else ""
        self.file.write_text(before + (public(self.key) if line is None else line))

    def proof(self, key: Path | None = None) -> dict[str, str]:
        key = key or self.key
        offer = self.setup.gate.offer
        challenge = offer.challenge if offer is not None else "none"
        return proof(key, challenge)

    def enter(self, **payload: str) -> Any:
        self.setup.say("authenticate", **(payload or self.proof()))
        return self.setup.sent()[-1]

    def ask(self, kind: str, **payload: Any) -> str | None:
        """The code of the refusal; None where it was passed on, or answered."""
        self.setup.say(kind, **payload)
        passed = self.setup.hub.take() + self.setup.project.take()
        sent = self.setup.sent()
        assert bool(passed) != bool(sent)
        return sent[-1]["payload"].get("code") if sent else None


@pytest.fixture
def locked(tmp_path: Path) -> Locked:
    return Locked(tmp_path)


@pytest.mark.parametrize(("kind", "payload"), requests_of_every_kind())
def test_nothing_works_before_authentication(tmp_path: Path, kind: str, payload: Any) -> None:
    locked = Locked(tmp_path)
    assert locked.ask(kind, **payload) == "unauthenticated"
    assert locked.ask(kind) == "unauthenticated"  # nor is it said what is missing


def test_a_malformed_message_gets_its_usual_error(locked: Locked) -> None:
    assert locked.ask("no_such_thing") == "unauthenticated"
    assert locked.ask("authenticate") == "invalid_message"


def test_a_signed_challenge_works_once(locked: Locked) -> None:
    offer = locked.setup.gate.offer
    assert offer is not None and (offer.method, offer.namespace) == ("ssh", "claudehub")
    proof = locked.proof()
    locked.setup.has_room = False
    refusal = locked.enter(**proof)["payload"]
    assert refusal["code"] == "unauthenticated" and "MAX_CONN" in refusal["message"]
    locked.setup.has_room = True
    assert locked.enter(**proof)["payload"] == {"user": "ann@laptop"}
    assert locked.enter(**proof)["payload"]["code"] == "invalid_message"
    assert locked.setup.gate.offer is None
    locked.setup.say("execute", project_id="p", prompt="x")
    caller = locked.setup.project.take()[-1].caller
    assert (caller.client_id, caller.user) == ("c1", "ann@laptop")


def test_a_signature_counts_with_its_host(locked: Locked) -> None:
    """A hub that the client dialled under another name may have passed on this challenge."""
    offer = locked.setup.gate.offer
    assert offer is not None and offer.version == 2
    other = proof(locked.key, offer.challenge, "evil.example:80")
    refused = locked.enter(**other)["payload"]
    assert refused["code"] == "unauthenticated"
    assert "PUBLIC_NAMES=evil.example where" in refused["message"]
    changed = locked.enter(**{**other, "host": "hub.example:80"})["payload"]
    assert changed["code"] == "unauthenticated" and "not made by that key" in changed["message"]
    assert locked.enter()["payload"] == {"user": "ann@laptop"}


def test_the_first_form_of_the_signature_is_refused(locked: Locked) -> None:
    """It was over the challenge alone."""
    offer = locked.setup.gate.offer
    assert offer is not None
    old = {**locked.proof(), "signature": signed(locked.key, offer.challenge.encode())}
    assert locked.enter(**old)["payload"]["code"] == "unauthenticated"


@pytest.mark.parametrize("host", [None, "", "hub.example", "Hub.Example:80", "hub.example:80\n"])
def test_a_host_that_is_none_is_named_as_the_fault(locked: Locked, host: str | None) -> None:
    given: dict[str, Any] = {**locked.proof(), "host": host}
    refused = locked.enter(**given)["payload"]
    assert refused["code"] == "invalid_message"
    assert refused["details"] == {"field": "payload.host"}
    assert locked.enter()["type"] == "result"


def test_every_connection_has_a_challenge_of_its_own(locked: Locked) -> None:
    other = Setup(locked.keyring)
    assert locked.setup.gate.offer != other.gate.offer
    other.say("authenticate", **locked.proof())
    assert other.sent()[-1]["payload"]["code"] == "unauthenticated"


def test_a_failed_try_may_be_repeated(locked: Locked, tmp_path: Path) -> None:
    stranger = keygen(tmp_path, name="stranger")
    refused = locked.enter(**locked.proof(stranger))["payload"]
    assert refused["code"] == "unauthenticated" and "not in AUTHORIZED_KEYS" in refused["message"]
    refused = locked.enter(**{**locked.proof(), "signature": "x"})["payload"]
    assert refused["code"] == "unauthenticated" and refused["message"].startswith("signature: ")
    mixed = {**locked.proof(stranger), "public_key": public(locked.key)}
    assert "another key" in locked.enter(**mixed)["payload"]["message"]
    assert locked.enter()["type"] == "result"


def test_the_user_is_the_comment_of_the_file(locked: Locked) -> None:
    proof = locked.proof()
    proof["public_key"] = proof["public_key"].replace("ann@laptop", "root")
    assert locked.enter(**proof)["payload"] == {"user": "ann@laptop"}


def test_without_keys_there_is_nothing_to_authenticate(tmp_path: Path) -> None:
    setup = Setup()
    setup.client.started()
    assert setup.gate.offer is None and setup.timers.pending == []
    setup.say("authenticate", public_key="x", signature="y", host="x:1")
    assert setup.sent()[-1]["payload"]["code"] == "invalid_message"


def test_a_client_that_authenticates_too_late_is_closed(locked: Locked) -> None:
    assert [timer.delay_s for timer in locked.setup.timers.pending] == [AUTH_TIMEOUT_S]
    locked.setup.client.on_receive(messages._AuthenticationDue())
    assert not locked.setup.outbox.is_open
    assert b"\x03\xf0not authenticated in time" in locked.setup.transport.sent  # 1008


def test_the_deadline_does_not_close_an_authenticated_client(locked: Locked) -> None:
    locked.enter()
    locked.setup.client.on_receive(messages._AuthenticationDue())
    assert locked.setup.outbox.is_open


@pytest.mark.parametrize(("kind", "payload"), requests_of_every_kind())
def test_a_read_only_key_may_read(tmp_path: Path, kind: str, payload: Any) -> None:
    locked = Locked(tmp_path, 'claudehub="read-only"')
    locked.enter()
    assert locked.ask(kind, **payload) == (None if kind in READING else "forbidden")


@pytest.mark.parametrize(("kind", "payload"), requests_of_every_kind())
def test_a_key_for_some_projects_may_use_those(tmp_path: Path, kind: str, payload: Any) -> None:
    locked = Locked(tmp_path, 'claudehub="projects=p,q"')
    locked.enter()
    if "project_id" in payload and kind != "ping":
        for project_id in ("other", "no-such-project"):
            refused = locked.ask(kind, **{**payload, "project_id": project_id})
            assert refused == "forbidden", "whether it is there is not told"
    of_all = kind in ("project_create", "health_check")
    assert locked.ask(kind, **payload) == ("forbidden" if of_all else None)


@pytest.mark.parametrize(
    ("options", "expected"),
    [("", None), ('claudehub="projects=p"', "forbidden"), ('claudehub="read-only"', "forbidden")],
)
def test_only_a_key_with_all_rights_may_call_a_project_trusted(
    tmp_path: Path, options: str, expected: str | None
) -> None:
    locked = Locked(tmp_path, options)
    locked.enter()
    assert locked.ask("project_trust", project_id="p", trusted=True) == expected


def test_every_request_has_its_rights() -> None:
    """A new request needs a key with all rights until somebody decides."""
    for model in MODELS.values():
        assert issubclass(model, requests.Payload)
    assert {kind for kind, _ in requests_of_every_kind()} >= READING
    assert Rights().sees("anything") and not Rights(projects=frozenset()).sees("p")


def test_a_list_shows_the_keys_own_projects(tmp_path: Path) -> None:
    locked = Locked(tmp_path, 'claudehub="projects=p"')
    locked.enter()
    locked.setup.say("project_list")
    assert locked.setup.hub.take()[-1].caller.rights == Rights(projects=frozenset({"p"}))


@pytest.mark.parametrize("change", ["", "# gone", 'claudehub="read-only"', 'from="10.0.0.2"'])
def test_a_removed_or_changed_key_closes_its_connections(locked: Locked, change: str) -> None:
    locked.enter()
    if change == "":
        locked.file.unlink()
        with pytest.raises(ReloadFailed):
            locked.keyring.reload()
    else:
        locked.write(change, line="" if change.startswith("#") else None)
        assert locked.keyring.reload()
    locked.setup.client.on_receive(messages.LookAtKey())
    assert not locked.setup.outbox.is_open and b"\x03\xf0" in locked.setup.transport.sent
    locked.setup.say("execute", project_id="p", prompt="x")
    assert locked.setup.project.take() == [], "it comes too late"


def test_other_changes_close_no_connection(locked: Locked) -> None:
    locked.enter()
    locked.write(line="# more\n" + public(locked.key))
    assert locked.keyring.reload() and not locked.keyring.reload()
    locked.setup.client.on_receive(messages.LookAtKey())
    assert locked.setup.outbox.is_open
    unknown = Setup(locked.keyring)
    unknown.client.on_receive(messages.LookAtKey())
    assert unknown.outbox.is_open


def test_an_expired_key_closes_its_connections(tmp_path: Path) -> None:
    with freezegun.freeze_time("2026-11-25T12:00:00Z") as now:
        locked = Locked(tmp_path, 'expiry-time="202611251300Z"')
        locked.enter()
        timer = locked.setup.timers.pending[-1]
        assert (timer.delay_s, timer.message) == (3600.0, messages._KeyExpiryDue())
        now.tick(3599.9)  # a timer may fire a little early
        locked.setup.client.on_receive(timer.message)
        assert locked.setup.outbox.is_open
        again = locked.setup.timers.pending[-1]
        assert again is not timer and again.message == timer.message
        now.tick(0.1)
        locked.setup.client.on_receive(timer.message)
        assert not locked.setup.outbox.is_open
        again = Setup(locked.keyring)
        again.say("authenticate", **locked.proof())
        assert "has expired" in again.sent()[-1]["payload"]["message"]


def test_a_far_expiry_uses_short_timers(tmp_path: Path) -> None:
    """The system cannot wait so long at a time."""
    locked = Locked(tmp_path, 'expiry-time="99990101Z"')
    locked.enter()
    assert locked.setup.timers.pending[-1].delay_s == EXPIRY_LOOK_MAX_S


def test_the_second_line_of_a_key_may_admit(tmp_path: Path) -> None:
    locked = Locked(tmp_path, 'from="10.9.9.9"')
    assert "may not be used from 10.0.0.1" in locked.enter()["payload"]["message"]
    locked.file.write_text(locked.file.read_text() + 'from="10.0.0.*" ' + public(locked.key))
    locked.keyring.reload()
    assert locked.enter()["type"] == "result"


def test_a_file_writable_by_others_has_no_keys(locked: Locked) -> None:
    os.chmod(locked.file, 0o664)
    with pytest.raises(ReloadFailed, match="chmod go-w"):
        locked.keyring.reload()
    assert "not in AUTHORIZED_KEYS" in locked.enter()["payload"]["message"]
    os.chmod(locked.file, 0o644)
    assert locked.keyring.reload()


def test_unusable_lines_are_logged_by_number(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    locked = Locked(tmp_path, "no-pty")
    assert "line 1: the option 'no-pty' is not understood" in caplog.text
    assert "no client can authenticate" in str(locked.keyring.problem(datetime.now(UTC)))


@pytest.mark.parametrize("what", ["file", "folder", "above", "shared", "link"])
def test_the_keys_file_must_belong_to_the_user_or_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """As with sshd's StrictModes: its owner, and anyone who can replace it, could let themselves
    in."""
    folder = tmp_path / "above" / "keys"
    folder.mkdir(parents=True)
    file = folder / "authorized_keys"
    file.write_text("")
    Keyring(file)
    if what == "link":
        shared = tmp_path / "shared"
        shared.mkdir()
        (shared / "link").symlink_to(file)
        shared.chmod(0o777)
        file = shared / "link"
    elif what == "shared":
        folder.chmod(0o777)
    else:
        owned = {"file": file, "folder": folder, "above": folder.parent}[what]
        real = os.stat, os.fstat

        def others(status: os.stat_result) -> Any:
            is_it = status.st_ino == real[0](owned).st_ino
            return os.stat_result((*status[:4], 4242, *status[5:])) if is_it else status

        monkeypatch.setattr(os, "stat", lambda *a, **k: others(real[0](*a, **k)))
        monkeypatch.setattr(os, "fstat", lambda fd: others(real[1](fd)))
    with pytest.raises(ReloadFailed, match=r"belongs to uid 4242|which other users can write"):
        Keyring(file)
    folder.chmod(0o1777)  # as /tmp: nobody can replace what is not theirs
    if what == "shared":
        Keyring(file)


def test_a_pipe_has_no_keys_and_delays_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "keys")
    with pytest.raises(ReloadFailed, match="is no file"):
        Keyring(tmp_path / "keys")


def test_a_bound_key_cannot_add_folders(tmp_path: Path) -> None:
    locked = Locked(tmp_path, 'claudehub="projects=p"')
    locked.enter()
    options = {"add_dirs": ["/home/other"]}
    assert locked.ask("execute", project_id="p", prompt="x", options=options) == "forbidden"
    assert locked.ask("execute", project_id="p", prompt="x") is None
