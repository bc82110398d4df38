"""The deaths that end the server, and those of its other children and threads, on hubs of their
own: the exit code, the last line, and that the next start has lost nothing."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.runtime.restarts import RESTARTS_MAX
from actors.runtime.supervision import Rule
from actors.server import essential_threads
from tests import test_supervision as by_state
from tests.failing_hub import FailingHub, Project, Volley
from tests.failing_server import kinds
from tests.harness import TlsFiles, WireClient
from tests.notify_socket import NotifySocket
from tests.processes import marked, wait_until

# What each kind that ends the server fails with, and with which word the reason begins.
ENDS = {
    "Auditor": ("AuditEntry", "the audit log failed"),
    "FileReloader": ("ReadAgain", "reloader of AUTHORIZED_KEYS failed"),
    "Hub": ("HubRequest", "the hub failed"),
    "Liveness": ("HubIsAlive", "liveness failed"),
    "PlaceWatcher": ("_PlaceLookDue", "the place watcher failed"),
}
# The kinds whose deaths the server survives, and the test of each.
SURVIVED = {
    "Client": by_state.test_a_client_dies,
    "Executor": by_state.test_an_executor_dies,
    "FileWatcher": by_state.test_a_file_watcher_dies,
    "Project": by_state.test_a_project_dies,
}
RESTARTED = {"Rotator"}


def test_every_kind_of_actor_has_a_case() -> None:
    found = kinds()
    assert {kind.__name__ for kind in found} == {*ENDS, *SURVIVED, *RESTARTED}
    ending = {k.__name__ for k in found if k.rule in (Rule.EXIT, Rule.EXIT_OR_DEGRADE)}
    assert ending == set(ENDS)


@pytest.fixture
def hub(scratch: Path) -> Iterator[FailingHub]:
    """Return a hub that has every kind of actor, and has not started."""
    (scratch / "keys").write_text("")
    manager = NotifySocket(str(scratch / "notify"))
    made = FailingHub(
        scratch,
        AUTHORIZED_KEYS=str(scratch / "keys"),
        SOCKET=str(scratch / "socket"),
        NOTIFY_SOCKET=manager.address,
        WATCHDOG_USEC="400000",
    )
    yield made
    made.stop(signal.SIGKILL)
    manager.socket.close()


def client_of(hub: FailingHub) -> WireClient:
    return WireClient(f"unix:{hub.scratch / 'socket'}", close_timeout=0.1)


class Story:
    """A hub that works: an execution runs, others wait, and one client has not joined."""

    def __init__(self, hub: FailingHub, **settings: str) -> None:
        self.hub = hub
        hub.start(**settings)
        self.client = client_of(hub)
        self.project = Project(hub, self.client, "p")
        by_state.queued(self.project)
        self.bystander = Volley(client_of(hub))

    def drain(self) -> int:
        """Begin a drain; return the place in the log before it."""
        begin = self.hub.mark()
        os.kill(self.hub.pid, signal.SIGTERM)
        wait_until(lambda: any(line["event"] == "draining" for line in self.hub.said(begin)))
        return begin

    def ask(self) -> None:
        """Send requests of all sorts, which may or may not be answered."""
        by_state.volley(self.project, self.bystander)

    def send_until_faults_happen(self) -> None:
        """Send one thing after another: a connection that reads already is not woken for it."""

        def have_happened() -> bool:
            self.bystander.send("ping")
            return not self.hub.armed

        wait_until(have_happened)

    def ends(self, reason: str) -> None:
        """The server ends because of that, answers nothing twice, and leaves no process."""
        assert self.hub.wait() == 1
        assert_last_line(self.hub, reason)
        assert not self.bystander.take()
        self.project.accepted += self.bystander.accepted()
        by_state.closed_with(self.client)
        wait_until(lambda: marked(self.hub.data) == [])
        self.close()
        self.begins_again()

    def begins_again(self) -> None:
        """The next start loses nothing, and a prompt runs."""
        self.hub.start()
        with client_of(self.hub) as client:
            self.project.check(client, outcomes={"lost", "killed", "cancelled"})
        assert self.hub.stop() == 0
        assert marked(self.hub.data) == []

    def close(self) -> None:
        self.client.close()
        self.bystander.close()


def assert_last_line(hub: FailingHub, reason: str) -> None:
    last = hub.said()[-1]
    assert last["event"] == "stopped, because of a failure", last
    assert reason in last["reason"], last


@pytest.mark.parametrize("kind", sorted(ENDS))
def test_the_server_ends_when_a_handler_fails(hub: FailingHub, kind: str) -> None:
    message, reason = ENDS[kind]
    story = Story(hub)
    begin = hub.mark()
    hub.arm(f"{kind}.{message}")
    if kind in ("Auditor", "Hub"):
        story.ask()
    elif kind == "FileReloader":
        os.kill(hub.pid, signal.SIGHUP)
    story.ends(reason)
    hub.death(begin, kind, message)
    lost = [x["count"] for x in hub.said(begin) if x["event"].startswith("entries of the audit")]
    assert len(lost) == (kind == "Auditor")  # what it died of, and what came behind


def arm_thread(hub: FailingHub, name: str) -> None:
    """Have a thread fail so often that it does not go on."""
    threads = {"signals": 0, "timers": 0, "accept": 2}.get(name, 1)  # that go on
    hub.arm(f"thread {name}", threads * RESTARTS_MAX + 1)


def provoke(story: Story, name: str) -> None:
    """Have an actor or a thread do something, where it does nothing by itself."""
    if name in ("Auditor", "Hub"):
        story.ask()
    elif name == "FileReloader":
        (story.hub.scratch / "keys").write_text("# changed")
    elif name == "signals":
        os.kill(story.hub.pid, signal.SIGUSR1)
    elif name == "readiness":
        story.send_until_faults_happen()


@pytest.mark.parametrize("kind", sorted(ENDS))
def test_a_failure_ends_a_drain(hub: FailingHub, kind: str) -> None:
    """The execution that it waits for would go on for ever."""
    message, reason = {**ENDS, "FileReloader": ("_FileTouched", ENDS["FileReloader"][1])}[kind]
    story = Story(hub, STOP_GRACE="1h")
    begin = story.drain()
    hub.arm(f"{kind}.{message}")
    provoke(story, kind)
    story.ends(reason)
    hub.death(begin, kind, message)
    (drained,) = [line for line in hub.said(begin) if line["event"] == "drained"]
    assert drained["why"] == "a second signal, or a failure, ends it"


@pytest.mark.parametrize("name", sorted(essential_threads.NAMES))
def test_a_thread_that_fails_ends_a_drain(hub: FailingHub, name: str) -> None:
    story = Story(hub, STOP_GRACE="1h")
    story.drain()
    arm_thread(hub, name)
    provoke(story, name)
    story.ends(f"the thread {name} failed: InjectedFault: injected at thread {name}")


@pytest.mark.parametrize("message", ["DrainHub", "ProjectDrained", "StopHub", "ClientGone"])
def test_a_hub_that_fails_at_a_step_of_its_end_says_so(hub: FailingHub, message: str) -> None:
    story = Story(hub, STOP_GRACE="1h")
    begin = hub.mark()
    hub.arm(f"Hub.{message}")
    os.kill(hub.pid, signal.SIGTERM)
    if message != "DrainHub":
        wait_until(lambda: any(line["event"] == "draining" for line in hub.said(begin)))
        by_state.kill(story.project)  # nothing runs any more
    story.ends("the hub failed")
    hub.death(begin, "Hub", message)


@pytest.mark.parametrize("kind", sorted(ENDS))
def test_the_server_ends_when_a_start_fails(hub: FailingHub, kind: str) -> None:
    hub.arm(f"{kind}.start")
    assert hub.failed_start() == 1
    hub.death(0, kind, "start")
    assert_last_line(hub, ENDS[kind][1])


@pytest.mark.parametrize("kind", sorted(ENDS))
def test_a_stop_says_when_a_release_fails(hub: FailingHub, kind: str) -> None:
    story = Story(hub)
    begin = hub.mark()
    hub.arm(f"{kind}.release")
    os.kill(hub.pid, signal.SIGTERM)
    story.ends(ENDS[kind][1])
    hub.death(begin, kind, "release")


def test_a_stop_names_every_death_in_a_release(hub: FailingHub) -> None:
    """Those of the kinds that do not end the server, which stops as it does without them."""
    kinds_here = sorted({*SURVIVED, *RESTARTED})
    story = Story(hub)
    begin = hub.mark()
    for kind in kinds_here:
        hub.arm(f"{kind}.release")
    os.kill(hub.pid, signal.SIGTERM)
    assert hub.wait() == 0
    assert marked(hub.data) == []
    for kind in kinds_here:
        hub.death(begin, kind, "release")
    assert hub.said()[-1]["event"] == "stopped"
    story.close()
    story.begins_again()


@pytest.mark.parametrize("name", sorted(essential_threads.NAMES))
def test_the_server_ends_when_a_thread_fails(hub: FailingHub, name: str) -> None:
    story = Story(hub)
    arm_thread(hub, name)
    provoke(story, name)
    story.ends(f"the thread {name} failed: InjectedFault: injected at thread {name}")


@pytest.mark.parametrize(("times", "code"), [(1, 0), (RESTARTS_MAX + 1, 1)])
def test_the_readiness_thread_fails_while_the_server_stops(
    hub: FailingHub, times: int, code: int
) -> None:
    story = Story(hub)
    begin = hub.mark()
    hub.arm("thread readiness", times)  # the clients' close frames come through it
    os.kill(hub.pid, signal.SIGTERM)
    assert hub.wait() == code and not hub.armed
    gone_on = [x for x in hub.said(begin) if x["event"] == "a thread has failed, and goes on"]
    assert len(gone_on) == min(times, RESTARTS_MAX)
    assert {line["thread"] for line in gone_on} == {"readiness"}
    if code:
        assert_last_line(hub, "the thread readiness failed: InjectedFault")
    by_state.closed_with(story.client)
    story.close()
    story.begins_again()


def test_a_readiness_thread_that_cannot_go_on_ends_the_server(hub: FailingHub) -> None:
    story = Story(hub)
    hub.arm("thread readiness")
    hub.arm("thread readiness again", RESTARTS_MAX)
    story.send_until_faults_happen()
    story.ends("the thread readiness failed: InjectedFault: injected at thread readiness again")


# -- those that are started again ----------------------------------------------------------------


def test_a_rotator_that_fails_too_often_ends_the_server(hub: FailingHub) -> None:
    story = Story(hub)
    hub.arm("Rotator._RotationDue", RESTARTS_MAX + 1)
    story.ends("the rotator failed too often")


def test_a_rotator_is_started_again_and_a_killed_compressor_too(scratch: Path) -> None:
    hub = FailingHub(scratch, MSG_ROTATE_SIZE="1KiB", LOG_COMPRESS="gzip")
    hub.arm("Rotator.start")
    hub.arm("compressor")
    hub.start()
    hub.death(0, "Rotator", "start")
    with hub.client() as client:
        project = Project(hub, client, "p")
        for _ in range(3):
            project.run("[[lines:300]]")
        wait_until(lambda: not hub.armed)
        begin = hub.mark()
        hub.arm("Rotator._RotationDue")
        hub.death(begin, "Rotator", "_RotationDue")
        wait_until(lambda: bool(list(hub.data.rglob("*.gz"))))
        wait_until(lambda: client.request("health_check")["status"] == "ok")
        project.check()
    failed = [line for line in hub.said() if line["event"] == "a segment was not compressed"]
    assert len(failed) == 1 and failed[0]["project"] == "p"
    assert hub.stop() == 0


def test_without_the_reloader_of_the_certificate_the_old_one_stays(
    scratch: Path, tls_files: TlsFiles
) -> None:
    hub = FailingHub(scratch, tls=tls_files).start()
    begin = hub.mark()
    hub.arm("FileReloader.ReadAgain")
    os.kill(hub.pid, signal.SIGHUP)
    hub.death(begin, "FileReloader", "ReadAgain")
    with hub.client() as client:
        health = client.request("health_check")
        assert health["status"] == "degraded", health
        assert any("certificate" in problem for problem in health["problems"]), health
        Project(hub, client, "p").check()
    assert hub.stop() == 0


def test_a_killed_guardian_is_replaced(scratch: Path) -> None:
    hub = FailingHub(scratch).start()
    with hub.client() as client:
        project = Project(hub, client, "p")
        by_state.queued(project)
        before = hub.guardian()
        assert before is not None
        before.kill()
        wait_until(lambda: hub.guardian() not in (None, before))
        wait_until(lambda: client.request("health_check")["status"] == "ok")
        by_state.kill(project)
        project.check()
        by_state.executing(project)
    hub.stop(signal.SIGKILL)  # the new one does its work
    wait_until(lambda: marked(hub.data) == [])
