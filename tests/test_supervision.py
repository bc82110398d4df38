"""Every kind of actor is killed in the states that matter, on a real hub: what clients see, what
the log says, and that nothing is lost or left."""

import contextlib
import itertools
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from websockets.exceptions import ConnectionClosed

from actors.runtime.restarts import RESTARTS_MAX
from tests.failing_hub import FailingHub, Project, Volley
from tests.harness import WireClient
from tests.processes import is_cli, marked, wait_until

NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FailingHub]:
    """The hub of the cases that leave it whole."""
    hub = FailingHub(tmp_path_factory.mktemp("hub").resolve())
    hub.is_shared = True
    hub.start()
    yield hub
    assert hub.stop() == 0
    assert marked(hub.data) == []


@pytest.fixture
def client(failing: FailingHub) -> Iterator[WireClient]:
    with failing.client() as client:
        yield client


@pytest.fixture
def project(failing: FailingHub, client: WireClient) -> Iterator[Project]:
    """Return a project, which can be deleted at the end, whatever has happened to it."""
    made = Project(failing, client, f"p{next(NUMBERS)}")
    yield made
    with failing.client() as last:
        last.request("project_delete", project_id=made.name)


# -- states --------------------------------------------------------------------------------------


def idle(project: Project) -> None:
    project.run("[[text:first]]")


def executing(project: Project) -> None:
    begun = project.execute("[[hang]]")
    project.client.wait_for("execution_started", execution_id=begun)


def asking(project: Project) -> None:
    begun = project.execute("[[tool:Bash:touch made]]")
    project.client.wait_for("permission_request", execution_id=begun)


def queued(project: Project) -> None:
    executing(project)
    for _ in range(2):
        project.execute("[[text:queued]]")


STATES = (idle, executing, asking, queued)
Enter = Callable[[Project], None]


def agents(project: Project) -> list[psutil.Process]:
    """Return the processes that take prompts in the project's folder."""
    found = []
    for process in psutil.Process(project.hub.pid).children(recursive=True):
        try:
            if process.cwd() == project.hub.folder(project.name) and is_cli(process):
                found.append(process)
        except psutil.Error:
            continue
    return found


def volley(project: Project, sent: Volley | None = None) -> Volley:
    """Send requests of all sorts at once, from a client that has not joined."""
    sent = sent or Volley(project.hub.client())
    sent.send("get_messages", project_id=project.name)
    sent.send("execute", project_id=project.name, prompt="[[text:late]]")
    sent.send("get_messages", project_id=project.name)
    sent.send("health_check")
    sent.send("project_list")
    return sent


def assert_gone(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=5)
    assert not alive


def closed_with(client: WireClient) -> int | None:
    """Read to the end of a connection; return the code of its close."""
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            client.updates.append(client.receive()["payload"])
    return None if closed.value.rcvd is None else closed.value.rcvd.code


# -- a Project -----------------------------------------------------------------------------------


def status_of(project: Project, client: WireClient) -> str:
    listed = client.request("project_list")["projects"]
    status: str = next(p for p in listed if p["project_id"] == project.name)["status"]
    return status


def come_back(project: Project, client: WireClient) -> None:
    """Have a project that was set aside come back."""
    assert status_of(project, client) == "error"
    answer = client.request("execute", project_id=project.name, prompt="[[text:back]]")
    project.accepted.append(answer["execution_id"])


@pytest.mark.parametrize("enter", STATES)
@pytest.mark.parametrize("also", ["", "release", "start"])
def test_a_project_dies(failing: FailingHub, project: Project, enter: Enter, also: str) -> None:
    enter(project)
    before, begin = agents(project), failing.mark()
    failing.arm("Project.ProjectRequest")
    if also:
        failing.arm(f"Project.{also}")
    sent = volley(project)
    assert sent.take()
    assert sent.codes()[0] == "internal" and sent.codes()[3:] == ["result", "result"]
    project.accepted += sent.accepted()
    failing.have_happened()
    if also == "start":
        failing.death(begin, "Project", "start")
        come_back(project, sent.client)
    else:
        failing.death(begin, "Project", "ProjectRequest")
    assert closed_with(project.client) == 1011
    project.check(outcomes={"success", "lost"})
    assert_gone(before)
    sent.close()
    if also == "release":
        (line,) = [x for x in failing.said(begin) if "release of a dead" in x["event"]]
        assert line["actor"] == f"project {project.name}"


@pytest.mark.parametrize("message", ["RunBegan", "AgentOutput", "RunEnded", "PermissionAsked"])
def test_a_project_dies_of_what_its_agent_says(
    failing: FailingHub, project: Project, message: str
) -> None:
    idle(project)
    begin = failing.mark()
    failing.arm(f"Project.{message}")
    project.execute("[[tool:Bash:touch made]]" if message == "PermissionAsked" else "[[text:x]]")
    failing.death(begin, "Project", message)
    assert closed_with(project.client) == 1011
    project.check(outcomes={"success", "lost"})


def test_a_project_that_dies_too_often_is_set_aside_and_comes_back(
    failing: FailingHub, project: Project
) -> None:
    executing(project)
    failing.arm("Project.ProjectRequest", RESTARTS_MAX + 1)
    with failing.client() as client:

        def refused() -> bool:
            fault = client.refused("get_messages", project_id=project.name)
            assert fault["code"] == "internal"
            return not failing.armed

        wait_until(refused)
        wait_until(lambda: status_of(project, client) == "error")
        come_back(project, client)
    project.check(outcomes={"success", "lost"})


def test_a_project_dies_while_a_client_is_in_the_middle_of_a_replay(
    failing: FailingHub, project: Project
) -> None:
    for _ in range(6):
        project.run("[[big:1000000]]")
    with socket.socket() as narrow:
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        narrow.connect(("127.0.0.1", int(failing.url.rpartition(":")[2])))
        with failing.client(sock=narrow, max_queue=1) as reader:
            joined = reader.request("project_join", project_id=project.name, after_seq=0)
            failing.arm("Project.ProjectRequest")
            sent = volley(project)
            assert sent.take()
            project.accepted += sent.accepted()
            assert closed_with(reader) == 1011
            seqs = [update["seq"] for update in reader.updates if "seq" in update]
    sent.close()
    assert seqs == list(range(1, len(seqs) + 1))
    assert 1 < len(seqs) < joined["last_seq"]
    project.check()


def test_a_project_dies_during_a_drain(scratch: Path) -> None:
    hub = FailingHub(scratch, STOP_GRACE="1h").start()
    with hub.client() as client, hub.client() as other:
        project = Project(hub, client, "p")
        queued(project)
        begin = hub.mark()
        os.kill(hub.pid, signal.SIGTERM)
        wait_until(lambda: any(line["event"] == "draining" for line in hub.said(begin)))
        hub.arm("Project.ProjectRequest")
        assert other.refused("get_messages", project_id="p")["code"] == "internal"
        hub.death(begin, "Project", "ProjectRequest")
    assert hub.wait() == 0
    assert marked(hub.data) == []
    hub.start()
    with hub.client() as client:
        project.check(outcomes={"lost", "cancelled"})
    assert hub.stop() == 0


# -- an Executor ---------------------------------------------------------------------------------


def start_another(project: Project) -> None:
    project.execute("[[text:another]]")


def interrupt(project: Project) -> None:
    project.client.request("agent_interrupt", project_id=project.name)


def kill(project: Project) -> None:
    project.client.request("agent_kill", project_id=project.name)


def answer(project: Project) -> None:
    question = project.client.wait_for("permission_request")["data"]["permission_id"]
    project.client.request(
        "permission_answer", project_id=project.name, permission_id=question, decision="allow"
    )


@pytest.mark.parametrize("also", ["", "release"])
@pytest.mark.parametrize(
    ("enter", "message", "provoke"),
    [
        (None, "start", start_another),
        (None, "StartRun", start_another),
        (idle, "StartRun", start_another),
        (idle, "_OutputRead", start_another),
        (executing, "InterruptRun", interrupt),
        (queued, "InterruptRun", interrupt),
        (queued, "KillRun", kill),
        (asking, "AnswerPermission", answer),
    ],
)
def test_an_executor_dies(
    failing: FailingHub,
    project: Project,
    enter: Enter | None,
    message: str,
    provoke: Enter,
    also: str,
) -> None:
    if enter is not None:
        enter(project)
    before, begin = agents(project), failing.mark()
    failing.arm(f"Executor.{message} of executor {project.name}")
    if also:
        failing.arm(f"Executor.{also} of executor {project.name}")
    provoke(project)
    failing.have_happened()
    assert failing.death(begin, "Executor", message)["project"] == project.name
    (failed,) = {
        end["data"]["execution_id"]
        for end in [project.client.wait_for("execution_finished", outcome="error")]
    }
    assert failed in project.accepted
    assert_gone(before)
    project.client.request("ping")  # it stays connected
    project.check(outcomes={"success", "error"})


def test_an_executor_dies_when_its_project_is_deleted(
    failing: FailingHub, project: Project
) -> None:
    idle(project)
    (warm,), begin = agents(project), failing.mark()
    failing.arm(f"Executor.LetGo of executor {project.name}")
    project.client.request("project_delete", project_id=project.name)
    failing.death(begin, "Executor", "LetGo")
    assert_gone([warm])
    project.client.wait_for("project_deleted")
    project.client.request("project_create", path=failing.folder(project.name))
    project.accepted.clear()
    project.check(outcomes={"success"})


def test_an_executor_dies_when_its_warm_process_is_let_go(scratch: Path) -> None:
    hub = FailingHub(scratch, WARM_SESSIONS="1").start()
    with hub.client() as client:
        project, other = (Project(hub, client, name) for name in ("p", "q"))
        idle(project)
        (warm,), begin = agents(project), hub.mark()
        hub.arm("Executor.LetGo of executor p")
        idle(other)
        hub.death(begin, "Executor", "LetGo")
        assert_gone([warm])
        assert agents(other)
        project.check(outcomes={"success"})
        other.check(outcomes={"success"})
    assert hub.stop() == 0


def test_an_executor_dies_too_often(failing: FailingHub, project: Project) -> None:
    failing.arm("Executor.StartRun", RESTARTS_MAX + 1)
    for _ in range(RESTARTS_MAX + 1):
        assert project.run("[[text:never]]")["outcome"] == "error"
    refused = project.client.refused("execute", project_id=project.name, prompt="x")
    assert refused["code"] == "internal"


def test_an_executor_dies_again_after_it_was_given_up(scratch: Path) -> None:
    hub = FailingHub(scratch, GIVEN_UP_S="0.2").start()
    with hub.client() as client:
        project = Project(hub, client, "p")

        def comes_back() -> bool:
            answer = client.ask("execute", project_id="p", prompt="[[text:back]]")
            if answer["type"] == "error":
                assert answer["payload"]["code"] == "internal"
                return False
            project.accepted.append(answer["payload"]["execution_id"])
            end = client.wait_for("execution_finished", execution_id=project.accepted[-1])
            return bool(end["data"]["outcome"] == "success")

        hub.arm("Executor.StartRun", RESTARTS_MAX + 1)
        wait_until(comes_back)
        begin = hub.mark()
        hub.arm("Executor.StartRun")  # the minute is not over: it is given up at once
        wait_until(comes_back)
        hub.death(begin, "Executor", "StartRun")
        project.check(outcomes={"success", "error"})
    assert not hub.armed
    assert hub.stop() == 0
    assert marked(hub.data) == []


# -- a Client ------------------------------------------------------------------------------------


@pytest.mark.parametrize("enter", STATES)
@pytest.mark.parametrize("message", ["RequestReceived", "HistorySnapshot", "Replied"])
def test_a_client_dies(failing: FailingHub, project: Project, enter: Enter, message: str) -> None:
    enter(project)
    begin = failing.mark()
    sent = Volley(failing.client())
    failing.arm(f"Client.{message}")
    volley(project, sent)
    assert not sent.take()
    failing.death(begin, "Client", message)
    sent.close()
    project.client.request("ping")  # the others stay
    if enter is not idle:
        kill(project)
    project.check()


def test_a_client_dies_in_the_middle_of_a_replay(failing: FailingHub, project: Project) -> None:
    project.run("[[lines:200]]")
    begin = failing.mark()
    with failing.client() as reader:
        failing.arm("Client._PumpReplay")
        reader.send(
            {"type": "project_join", "payload": {"project_id": project.name, "after_seq": 0}}
        )
        closed_with(reader)
    failing.death(begin, "Client", "_PumpReplay")
    project.check()


@pytest.mark.parametrize("enter", STATES)
def test_a_client_dies_at_its_start_and_in_its_release(
    failing: FailingHub, project: Project, enter: Enter
) -> None:
    enter(project)
    begin = failing.mark()
    failing.arm("Client.start")
    with contextlib.suppress(ConnectionClosed), failing.client() as doomed:
        closed_with(doomed)
    failing.death(begin, "Client", "start")
    with failing.client() as member:
        member.request("project_join", project_id=project.name)
        begin = failing.mark()
        failing.arm("Client.release")
    failing.death(begin, "Client", "release")
    if enter is not idle:
        kill(project)
    project.check()
    wait_until(lambda: project.client.request("health_check")["connections"] == 1)


# -- a FileWatcher -------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["start", "_PathsChanged", "release"])
@pytest.mark.parametrize("enter", [idle, executing])
def test_a_file_watcher_dies(
    failing: FailingHub, client: WireClient, enter: Enter, phase: str
) -> None:
    begin = failing.mark()
    if phase == "start":
        failing.arm("FileWatcher.start")
    project = Project(failing, client, f"p{next(NUMBERS)}")
    enter(project)
    folder = Path(failing.folder(project.name))
    if phase == "_PathsChanged":
        failing.arm("FileWatcher._PathsChanged")
        (folder / "first").touch()
    elif phase == "release":
        failing.arm("FileWatcher.release")
        client.request("project_leave", project_id=project.name)
    failing.death(begin, "FileWatcher", phase)
    if phase == "release":
        client.request("project_join", project_id=project.name)
    wait_until(lambda: client.request("health_check")["status"] == "ok")
    client.take()

    def is_told() -> bool:
        (folder / "second").write_text("x")
        client.request("ping")
        return any(update["update_type"] == "files_changed" for update in client.updates)

    wait_until(is_told)
    if enter is executing:
        kill(project)
    project.check()


# -- threads -------------------------------------------------------------------------------------


# No thread more than RESTARTS_MAX times: the next one would end the hub.
@pytest.mark.parametrize(
    ("point", "enter"),
    [
        ("thread accept", idle),
        ("thread accept", queued),
        ("thread caretaker", idle),
        ("thread caretaker", queued),
        ("thread readiness", idle),
        ("thread readiness at poll", queued),
        ("thread readiness with a turn", asking),
    ],
)
def test_a_thread_fails_and_goes_on(
    failing: FailingHub, project: Project, point: str, enter: Enter
) -> None:
    enter(project)
    begin = failing.mark()
    failing.arm(point)

    def is_over() -> bool:
        project.client.request("ping")  # from a connection that the readiness thread has to wake
        return not failing.armed

    wait_until(is_over)
    wait_until(lambda: "goes on" in failing.errors.read_text()[begin:])
    (line,) = [x for x in failing.said(begin) if x["event"] == "a thread has failed, and goes on"]
    assert line["thread"] == point.split()[1] and line["level"] == "error"
    assert line["error"] == f"InjectedFault: injected at {point}"
    if enter is not idle:
        kill(project)
    project.check()
