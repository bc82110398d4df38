"""What becomes of prompts whose key is taken out, expires or loses its right."""

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from actors import messages
from actors.access.keyring import Keyring
from actors.access.prompt_keys import EXPIRY_LOOK_MAX_S, EXPIRY_LOOK_MIN_S, Standing
from actors.ports import Caller, Credential
from actors.watch.stamps import ReloadFailed
from protocol import requests
from protocol.ssh import Certificate, PublicKey, parse_certificate, parse_public_key
from tests.harness import HubProcess
from tests.processes import wait_until
from tests.project_setup import ProjectSetup, execute, frozen
from tests.test_access import Keys, close_of, enter, keys
from tests.test_hub_actor import Setup as HubSetup
from tests.test_ssh import keygen, public
from tests.test_storage import a_meta

__all__ = ["frozen", "keys"]


class Revoking:
    """A project with the keys of ann and bob, whose clients are gone already."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
        self.keys = {name: keygen(root, name=name) for name in ("ann", "bob")}
        self.file = root / "authorized_keys"
        self.lines = {name: public(key) for name, key in self.keys.items()}
        self.file.write_text("".join(self.lines.values()))
        self.keyring = Keyring(self.file)
        settings = {"standing": Standing(self.keyring), "max_queue": 10, **settings}
        self.project = ProjectSetup(root, monkeypatch, **settings)
        self.timers = self.project.timers

    def caller(self, name: str, shown: PublicKey | Certificate | None = None) -> Caller:
        shown = shown or parse_public_key(public(self.keys[name]))[0]
        return Caller(f"c-{name}", user=name, credential=Credential(shown, "10.0.0.1"))

    def change(self, **lines: str) -> None:
        """Write other lines for these, as if somebody had, and tell the project as the Hub does."""
        self.write(**lines)
        self.project.tell(messages.LookAtKeys())

    def write(self, **lines: str) -> None:
        self.lines |= lines
        self.file.write_text("".join(self.lines.values()))
        self.keyring.reload()

    def prompt(self, name: str, text: str = "x", **options: Any) -> str:
        return self.send(self.caller(name), text, **options)

    def send(self, caller: Caller, text: str = "x", **options: Any) -> str:
        self.project.ask(execute(text, **options), caller=caller)
        answer = self.project.answers()[-1]
        assert "execution_id" in answer, answer
        return str(answer["execution_id"])

    def ends(self) -> dict[str, str]:
        """The outcome of each execution that has ended: exactly one."""
        found = [
            (line["data"]["execution_id"], line["data"]["outcome"])
            for line in self.project.lines()
            if line["update_type"] == "execution_finished"
        ]
        assert len(dict(found)) == len(found)
        return dict(found)

    def told(self, kind: type) -> list[str]:
        return [m.execution_id for m in self.project.executor.take() if isinstance(m, kind)]

    def fire(self) -> None:
        self.timers.fire(messages._PromptKeyDue)
        self.project.handle_own()

    def delays_s(self) -> list[float]:
        """Of the timers for keys that still count."""
        return [
            timer.delay_s
            for timer in self.timers.pending
            if timer.message == messages._PromptKeyDue() and not timer.cancelled
        ]


@pytest.fixture
def revoking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Revoking]:
    made = Revoking(tmp_path, monkeypatch)
    yield made
    made.project.project.release()


@pytest.fixture
def killing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Revoking]:
    made = Revoking(tmp_path, monkeypatch, revoke_kills=True)
    yield made
    made.project.project.release()


def test_what_waits_by_a_removed_key_is_cancelled_and_what_runs_goes_on(revoking: Revoking) -> None:
    running = revoking.prompt("ann")
    first, between, last = (revoking.prompt(name) for name in ("ann", "bob", "ann"))
    revoking.change(ann="# gone\n")
    assert revoking.ends() == {first: "cancelled", last: "cancelled"}
    results = [r["data"] for r in revoking.project.lines() if r["data"].get("outcome")]
    assert [(r["result"], r["exit_code"]) for r in results] == [(None, None)] * 2
    assert revoking.told(messages.KillRun) == []
    revoking.project.end(running)
    revoking.project.end(between)
    assert revoking.ends() == {
        running: "success", first: "cancelled", between: "success", last: "cancelled",
    }  # fmt: skip


def test_what_runs_is_killed_with_revoke_kills(killing: Revoking) -> None:
    running, waiting = killing.prompt("ann"), killing.prompt("bob")
    killing.change(bob="")
    assert killing.ends() == {waiting: "cancelled"} and killing.told(messages.KillRun) == []
    killing.change(ann="")
    assert killing.told(messages.KillRun) == [running]


@pytest.mark.parametrize(
    ("options", "is_cancelled"),
    [
        ('claudehub="read-only"', True),
        ('claudehub="projects=other"', True),
        ('claudehub="projects=p"', False),  # it may still do that
        ('from="10.0.0.2"', True),  # no more from where it was sent
        ('from="10.0.0.0/8"', False),
        ('expiry-time="202611241159Z"', True),
        ('expiry-time="202611241201Z"', False),
        ("no-pty", True),  # a line that is not understood is none
        ("cert-authority", True),
    ],
)
def test_a_prompt_waits_on_while_its_key_has_the_right_to_it(
    revoking: Revoking, options: str, is_cancelled: bool
) -> None:
    running, waiting = revoking.prompt("bob"), revoking.prompt("ann")
    revoking.change(ann=f"{options} {public(revoking.keys['ann'])}")
    assert revoking.ends() == ({waiting: "cancelled"} if is_cancelled else {})
    revoking.project.end(running)
    assert (waiting in revoking.told(messages.StartRun)) is not is_cancelled


def test_another_comment_or_line_changes_nothing(revoking: Revoking) -> None:
    revoking.prompt("bob")
    revoking.prompt("ann")
    line = public(revoking.keys["ann"])
    revoking.change(ann=line.replace("ann@laptop", "renamed"))
    revoking.change(ann=f'from="10.0.0.9" {line}{line}')  # the second line still admits it
    assert revoking.ends() == {}


def test_a_prompt_with_folders_needs_a_key_for_all_projects(revoking: Revoking) -> None:
    revoking.prompt("bob")
    (revoking.project.folder.parent / "more").mkdir()
    more = revoking.prompt("ann", add_dirs=[str(revoking.project.folder.parent / "more")])
    plain = revoking.prompt("ann")
    revoking.change(ann=f'claudehub="projects=p" {public(revoking.keys["ann"])}')
    assert revoking.ends() == {more: "cancelled"}
    assert plain not in revoking.ends()


def test_a_file_without_keys_cancels_everything_that_waits(revoking: Revoking) -> None:
    running = revoking.prompt("ann")
    waiting = [revoking.prompt("bob") for _ in range(10)]
    revoking.file.unlink()
    with pytest.raises(ReloadFailed):
        revoking.keyring.reload()
    revoking.project.tell(messages.LookAtKeys())
    assert revoking.ends() == dict.fromkeys(waiting, "cancelled")
    revoking.project.end(running)
    assert revoking.told(messages.StartRun) == [running]


def test_a_prompt_without_a_key_is_nobodys_to_revoke(revoking: Revoking) -> None:
    """It came over the Unix socket."""
    running = revoking.prompt("ann")
    local = revoking.send(Caller("c-local"))
    revoking.change(ann="", bob="")
    revoking.project.end(running)
    assert revoking.told(messages.StartRun) == [running, local]


def test_a_prompt_that_arrives_after_the_change_is_refused(revoking: Revoking) -> None:
    """Its Client had let it through before it knew."""
    revoking.write(ann=f'claudehub="read-only" {public(revoking.keys["ann"])}', bob="")
    for name, code in (("ann", "forbidden"), ("bob", "unauthenticated")):
        revoking.project.ask(execute(), caller=revoking.caller(name))
        assert revoking.project.answers()[-1]["code"] == code
    assert revoking.project.lines() == []


def test_a_prompt_on_its_way_to_the_disk_is_cancelled(revoking: Revoking) -> None:
    revoking.project.ask(execute(), caller=revoking.caller("ann"), handle=False)
    revoking.change(ann="")
    assert list(revoking.ends().values()) == ["cancelled"]
    assert revoking.project.answers()[-1]["state"] == "finished"
    assert revoking.told(messages.StartRun) == []


def test_a_key_that_expires_while_its_prompt_waits(revoking: Revoking, frozen: Any) -> None:
    revoking.write(ann=f'expiry-time="202611241300Z" {public(revoking.keys["ann"])}')
    running = revoking.prompt("bob")
    assert revoking.delays_s() == []
    waiting = revoking.prompt("ann")
    assert revoking.delays_s() == [3600.0]
    frozen.tick(3599.9)  # a timer may fire a little early
    revoking.fire()
    assert revoking.ends() == {} and revoking.delays_s() == [EXPIRY_LOOK_MIN_S]
    frozen.tick(0.1)
    revoking.fire()
    assert revoking.ends() == {waiting: "cancelled"}
    assert revoking.delays_s() == []
    revoking.project.end(running)
    assert revoking.told(messages.StartRun) == [running]


def test_one_timer_waits_for_the_first_key_that_expires(revoking: Revoking, frozen: Any) -> None:
    line = public(revoking.keys["ann"])
    revoking.write(
        ann=f'expiry-time="202611241210Z" {line}',
        bob=f'expiry-time="202611241205Z" {public(revoking.keys["bob"])}',
    )
    running = revoking.send(Caller("c-local"))
    revoking.prompt("ann")
    waiting = revoking.prompt("bob")
    assert revoking.delays_s() == [300.0]
    revoking.prompt("ann")
    assert revoking.delays_s() == [300.0]
    frozen.tick(300)
    revoking.fire()
    assert revoking.ends() == {waiting: "cancelled"} and revoking.delays_s() == [300.0]
    revoking.change(ann=f'expiry-time="20991231Z" {line}')
    assert revoking.delays_s() == [EXPIRY_LOOK_MAX_S]
    assert running not in revoking.ends()


def test_the_last_look_is_before_the_start(revoking: Revoking, frozen: Any) -> None:
    """The clock was set, and no timer has fired: what waits is looked at all the same."""
    revoking.write(ann=f'expiry-time="202611241300Z" {public(revoking.keys["ann"])}')
    running = revoking.prompt("bob")
    expired = [revoking.prompt("ann") for _ in range(4)]
    good = revoking.prompt("bob")
    frozen.move_to("2026-11-25T12:00:00Z")
    revoking.project.end(running)
    assert revoking.ends() == {running: "success", **dict.fromkeys(expired, "cancelled")}
    assert revoking.told(messages.StartRun) == [running, good]


def test_a_running_prompt_is_killed_when_its_key_expires(killing: Revoking, frozen: Any) -> None:
    killing.write(ann=f'expiry-time="202611241300Z" {public(killing.keys["ann"])}')
    running = killing.prompt("ann")
    assert killing.delays_s() == [3600.0]
    frozen.tick(3600)
    killing.fire()
    assert killing.told(messages.KillRun) == [running]
    assert killing.delays_s() == []


def test_a_certificate_expires_and_an_authority_is_taken_out(
    revoking: Revoking, frozen: Any, tmp_path: Path
) -> None:
    authority = keygen(tmp_path, name="ca")
    command = ["ssh-keygen", "-q", "-s", str(authority), "-I", "ann", "-n", "ann"]
    command += ["-V", "20261124000000Z:20261124123000Z", str(revoking.keys["ann"]) + ".pub"]
    subprocess.run(command, check=True, capture_output=True)
    shown = parse_certificate((tmp_path / "ann-cert.pub").read_text())
    assert shown.expires_at == datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
    caller = revoking.caller("ann", shown)
    line = f'cert-authority,principals="ann" {public(authority)}'
    revoking.write(ann=line)
    running, waiting = revoking.prompt("bob"), revoking.send(caller)
    assert revoking.delays_s() == [1800.0]
    revoking.change(ann="")
    assert revoking.ends() == {waiting: "cancelled"}
    revoking.write(ann=line)
    waiting = revoking.send(caller)
    frozen.tick(1800)
    revoking.fire()
    assert revoking.ends()[waiting] == "cancelled" and running not in revoking.ends()


def test_the_hub_has_every_project_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setup = HubSetup(tmp_path, monkeypatch)
    projects = [setup.made(name) for name in ("a", "b")]
    setup.hub.on_receive(messages.KeysChanged())
    for project in projects:
        assert project.take() == [messages.LookAtKeys()]


def test_a_create_that_waited_for_a_deletion_needs_its_key(
    revoking: Revoking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hub").mkdir()
    setup = HubSetup(tmp_path / "hub", monkeypatch, standing=Standing(revoking.keyring))
    project = setup.made("a")
    setup.ask(requests.ProjectDelete(project_id="a"))
    deletion = project.take()[-1]
    assert isinstance(deletion, messages.DeleteProject)
    body = requests.ProjectCreate(path=setup.folder("a"))
    setup.ask(body, caller=revoking.caller("ann"))
    setup.ask(body, caller=revoking.caller("bob"))
    assert setup.answers() == []
    revoking.write(ann="")
    setup.hub.on_receive(
        messages.ProjectClosed(project_id="a", meta=a_meta("a"), deletion=deletion)
    )
    assert [answer["code"] for answer in setup.answers()] == ["unauthenticated"]
    assert setup.projects["a"] is not project, "the other one is made"


@pytest.mark.parametrize("kills", ["no", "yes"])
def test_a_removed_key_leaves_nothing_in_the_queue(keys: Keys, start_hub: Any, kills: str) -> None:
    """Over real sockets, with the connection gone before the key."""
    other = keygen(keys.scratch, name="other")
    keys.write(public(keys.key) + public(other))
    hub: HubProcess = start_hub(AUTHORIZED_KEYS=str(keys.file), REVOKE_KILLS=kills)
    with hub.client() as watcher:
        enter(watcher, other)
        watcher.request("project_create", path=hub.folder("p"))
        watcher.request("project_join", project_id="p")
        with hub.client() as client:
            enter(client, keys.key)
            ids = [
                client.request("execute", project_id="p", prompt="[[hang]]")["execution_id"]
                for _ in range(3)
            ]
        watcher.wait_for("execution_started", execution_id=ids[0])
        with hub.client() as client:
            enter(client, keys.key)
            keys.write(public(other))
            assert close_of(client)[0] == 1008
        for waiting in ids[1:]:
            end = watcher.wait_for("execution_finished", execution_id=waiting)
            assert end["data"]["outcome"] == "cancelled"
        if kills == "no":
            project = watcher.request("project_list")["projects"][0]
            assert (project["execution_id"], project["queue"]) == (ids[0], [])
            watcher.request("agent_kill", project_id="p")
        end = watcher.wait_for("execution_finished", execution_id=ids[0])
        assert end["data"]["outcome"] == "killed"
    told = 'outcome=cancelled reason="the key is not in AUTHORIZED_KEYS"'
    wait_until(lambda: told in hub.errors.read_text())
