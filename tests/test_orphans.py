"""Orphans that the kernel hands to the server, its own children, the number that the kernel keeps,
and the guardian that must not be missing."""

import contextlib
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import simplejson

from actors.executor import process as process_module
from actors.executor.process import AgentProcess, ProcessSpec
from actors.executor.worker import CLI_CLEANS_S
from actors.process_tree import children, ends, kernel_mark, tree
from actors.process_tree.census import Census
from actors.runtime.clock import SystemClock
from actors.runtime.problems import Problems
from actors.server.caretaker import GUARDIAN_PERIOD_S, GUARDIAN_STARTS_MAX, Caretaker, _end_of
from tests.fakes import Probe
from tests.harness import ROOT, HubProcess
from tests.processes import is_cli, marked, no_descriptors, wait_until
from tests.scraping import ScrapedHub

WAIT = ["sh", "-c", "read x"]
DATA = f"o{os.getpid()}"
MARK = f"{DATA}:run-1"
# A process of its own number 1; who is not root needs a user namespace for it.
_AS_ROOT = () if os.geteuid() == 0 else ("--user", "--map-root-user")
NAMESPACE = ("unshare", *_AS_ROOT, "--pid", "--fork", "--mount-proc")
# Runs in a process of its own: being a subreaper cannot be taken back for the suite's.
ADOPTING = """
import os, subprocess, sys
from actors.process_tree import children
assert children.adopt_orphans() is None
"""


def run_adopting(code: str, *before: str) -> str:
    done = subprocess.run(
        [*before, sys.executable, "-c", ADOPTING + code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def started() -> Iterator[list["subprocess.Popen[bytes]"]]:
    found: list[subprocess.Popen[bytes]] = []
    yield found
    for process in found:
        ends.end_strays(MARK)
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


# -- the number ------------------------------------------------------------------------------


def test_numbers_of_a_prefix_hold_those_of_its_marks() -> None:
    mark = kernel_mark.numbers_of("data:run-1a2b")
    run, data = kernel_mark.numbers_of("data:run-"), kernel_mark.numbers_of("data:")
    assert len(mark) == 1
    assert run.start <= mark.start < run.stop and data.start <= run.start and run.stop <= data.stop
    assert kernel_mark.numbers_of("data:run-1a2c") != mark
    assert kernel_mark.numbers_of("data:other-1a2b").start not in run
    assert kernel_mark.numbers_of("other:run-1a2b").start not in data
    assert data.start >= 1 << 62 and data.stop <= 1 << 63  # it fits the limit


def test_a_number_survives_what_takes_a_mark_off(
    started: list["subprocess.Popen[bytes]"],
) -> None:
    """An environment without it, a session of its own, a double fork, and the end as a zombie."""
    before = resource.getrlimit(resource.RLIMIT_RTTIME)
    code = "env -i setsid sh -c 'sleep 60 > /dev/null & echo $!'"
    child = children.start(
        ["sh", "-c", code], mark=MARK, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    started.append(child)
    assert resource.getrlimit(resource.RLIMIT_RTTIME) == before
    assert child.stdout is not None
    grandchild = int(child.stdout.readline())
    (number,) = kernel_mark.numbers_of(MARK)
    assert kernel_mark.read(grandchild) == number
    wait_until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE)
    assert kernel_mark.read(child.pid) == number
    # It is not left behind, and nobody waits for it.
    look = tree.look_for(MARK)
    assert [process.pid for process in look.found] == [grandchild] and not look.fleeting
    assert kernel_mark.read(os.getpid()) is None
    child.wait()
    assert kernel_mark.read(child.pid) is None


def test_a_child_without_a_mark_gets_no_number(
    started: list["subprocess.Popen[bytes]"],
) -> None:
    child = children.start(WAIT, stdin=subprocess.PIPE)
    started.append(child)
    assert kernel_mark.read(child.pid) is None
    assert child.pid in children.own()
    child.kill()
    child.wait()
    assert child.pid not in children.own()


def test_where_the_limit_is_lower_processes_start_without_a_number() -> None:
    code = f"""
import resource
resource.setrlimit(resource.RLIMIT_RTTIME, (1000, 1000))
from actors.process_tree import kernel_mark
child = children.start(["true"], mark={MARK!r})
print(kernel_mark.works(), children.keeps_strangers(), child.wait())
"""
    assert run_adopting(code) == "False False 0"


# -- reaping ---------------------------------------------------------------------------------

ORPHANS = """
def orphan():
    child = children.start(["sh", "-c", "sh -c 'exit 3' & exec sh -c 'exit 4'"])
    return child
made = [orphan() for _ in range(20)]
for child in made[:10]:
    assert child.wait() == 4, child.returncode
def mine():
    found = {}
    for pid in [int(name) for name in os.listdir("/proc") if name.isdigit()]:
        try:
            state, parent = children._state_of(pid)
        except OSError:
            continue
        if parent == os.getpid():
            found[pid] = state
    return found
own = {child.pid: b"Z" for child in made[10:]}
while mine() != own:  # their orphans may still run
    children.reap()
for child in made[10:]:
    assert child.wait() == 4, child.returncode  # nobody else has taken it
print("reaped", mine())
"""


@pytest.mark.parametrize("before", [(), NAMESPACE], ids=["subreaper", "process 1"])
def test_orphans_are_reaped_and_own_children_are_not(before: tuple[str, ...]) -> None:
    """As a child subreaper, and as process 1."""
    assert run_adopting(ORPHANS, *before) == "reaped {}"


class AsProcess1(HubProcess):
    """A hub that is process 1 of a namespace, as in a container without an init."""

    def command(self) -> list[str]:
        return [*NAMESPACE, *super().command()]

    def inner(self) -> psutil.Process:
        (found,) = psutil.Process(self.pid).children()
        return found

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.inner().send_signal(number)
        assert self._process is not None
        self._process.wait()
        return super().stop(number)


def zombies(parent: psutil.Process) -> list[int]:
    found = []
    for child in parent.children():
        try:
            if child.status() == psutil.STATUS_ZOMBIE:
                found.append(child.pid)
        except psutil.Error:
            continue
    return found


def test_as_process_1_the_hub_reaps_what_agents_leave(scratch: Path) -> None:
    hub = AsProcess1(scratch).start()
    with hub.client() as client:
        client.request("project_create", path=hub.folder("p"))
        client.request("project_join", project_id="p")
        for _ in range(5):
            end = client.run("p", "[[doublefork]][[grandchild]][[latefork:1]]")
            assert end["outcome"] == "success"
        assert marked(hub.data) != []  # the agent
        inner = hub.inner()
        wait_until(lambda: zombies(inner) == [])
    assert hub.stop() == 0
    assert marked(hub.data) == []


def test_the_hub_reaps_what_agents_leave(hub: HubProcess) -> None:
    with hub.client() as client:
        client.request("project_create", path=hub.folder("reaped"))
        client.request("project_join", project_id="reaped")
        for _ in range(3):
            assert client.run("reaped", "[[doublefork]][[grandchild]]")["outcome"] == "success"
        wait_until(lambda: zombies(psutil.Process(hub.pid)) == [])


# -- without descriptors ---------------------------------------------------------------------


def test_a_look_without_descriptors_has_failed_and_raises_nothing(
    started: list["subprocess.Popen[bytes]"],
) -> None:
    child = children.start(WAIT, mark=MARK, stdin=subprocess.PIPE, start_new_session=True)
    started.append(child)
    leader, census = psutil.Process(child.pid), Census()
    with no_descriptors():
        looks = [
            tree.look_for(MARK),
            tree.left_by_turn(census.newcomers, [os.getpid()], MARK),
            tree.left_by_process(census.newcomers, [leader], child.pid, MARK),
        ]
        below = tree.descendants(leader)
        ends.send([leader], signal.SIGTERM)  # a signal needs none
    assert [look.failed for look in looks] == [True] * 3 and below == []
    assert child.wait() == -signal.SIGTERM


def waiting(folder: Path) -> ProcessSpec:
    """Return a process that waits, in a folder."""
    return ProcessSpec(
        process_name="run-1",
        argv=WAIT,
        folder=str(folder),
        environment=dict(os.environ),
        mark=MARK,
        max_line_bytes=1000,
    )


def test_an_owner_that_fails_ends_its_process_without_descriptors(
    scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look once came before the kill: the agent lived on, and the next prompt started another
    one beside it."""
    monkeypatch.setattr(ends, "FAILED_LOOKS_MAX", 2)
    spec = waiting(scratch)
    owner = Probe()
    process = AgentProcess(spec, owner.actor_ref)
    with no_descriptors():
        process.kill_now()
        assert not psutil.pid_exists(process.pid)  # when it returns
    for thread in process._threads.values():
        thread.join()


@pytest.mark.parametrize("hidden", [2, None])
def test_a_process_may_be_hidden_at_its_start(
    hidden: int | None, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`hidden`: how many looks come too early; None: all, and then it is ended."""
    looks = []

    def look(pid: int) -> psutil.Process:
        looks.append(pid)
        if hidden is None or len(looks) <= hidden:
            raise (psutil.NoSuchProcess(pid) if len(looks) % 2 else FileNotFoundError(pid))
        return real(pid)

    real = psutil.Process
    monkeypatch.setattr(
        process_module, "psutil", SimpleNamespace(**vars(psutil) | {"Process": look})
    )
    monkeypatch.setattr(process_module, "SHOWN_LOOKS_MAX", 4)
    monkeypatch.setattr(process_module, "SHOWN_PAUSE_S", 0)
    spec = waiting(scratch)
    owner = Probe()
    if hidden is None:
        before = os.listdir("/proc/self/fd")
        with pytest.raises(OSError, match="cannot be looked after"):
            AgentProcess(spec, owner.actor_ref)
        assert not psutil.pid_exists(looks[0])
        assert len(os.listdir("/proc/self/fd")) == len(before)
        return
    process = AgentProcess(spec, owner.actor_ref)
    process.kill_now()
    for thread in process._threads.values():
        thread.join()
    assert looks == [process.pid] * 3


def test_a_process_that_gets_no_descriptors_leaves_none_behind(scratch: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    spec = waiting(scratch / "none")
    owner = Probe()
    with pytest.raises(OSError):
        AgentProcess(spec, owner.actor_ref)
    with no_descriptors(), pytest.raises(OSError):
        AgentProcess(spec, owner.actor_ref)
    assert len(os.listdir("/proc/self/fd")) == before


def test_without_descriptors_an_execution_still_ends_with_its_processes(start_hub: Any) -> None:
    hub: HubProcess = start_hub()
    with hub.client() as client:
        client.request("project_create", path=hub.folder("poor"))
        client.request("project_join", project_id="poor")
        prompt = "[[grandchild]][[doublefork]][[hang]]"
        execution_id = client.request("execute", project_id="poor", prompt=prompt)["execution_id"]
        wait_until(lambda: len(marked(hub.data)) == 3)
        (leader,) = [pid for pid in marked(hub.data) if is_cli(psutil.Process(pid))]
        with no_descriptors(hub.pid):
            client.request("agent_kill", project_id="poor")
            wait_until(lambda: leader not in marked(hub.data))
        end = client.wait_for("execution_finished", execution_id=execution_id)
        assert end["data"]["outcome"] == "killed"
        assert marked(hub.data) == []
        assert client.run("poor", "x")["outcome"] == "success"


# -- the guardian ----------------------------------------------------------------------------


def test_a_guardian_that_is_killed_is_started_again(start_hub: Any) -> None:
    hub: HubProcess = start_hub()
    first = hub.guardian()
    assert first is not None
    with hub.client() as client:
        client.request("project_create", path=hub.folder("p"))
        client.request("execute", project_id="p", prompt="[[stubborn]][[doublefork]][[hang]]")
        wait_until(lambda: len(marked(hub.data)) == 2)
        first.kill()
        wait_until(lambda: (now := hub.guardian()) is not None and now.pid != first.pid)
        wait_until(lambda: "it works again part=guardian" in hub.errors.read_text())
    hub.stop(signal.SIGKILL)
    wait_until(lambda: marked(hub.data) == [])


def test_an_operator_sees_how_guardians_die_and_when_there_is_another_one(scratch: Path) -> None:
    hub = ScrapedHub(scratch, LOG_FORMAT="json").start()
    pids = []
    for _ in range(GUARDIAN_STARTS_MAX + 1):
        wait_until(lambda: hub.guardian() is not None)
        guardian = hub.guardian()
        assert guardian is not None
        pids.append(guardian.pid)
        guardian.kill()
        wait_until(lambda gone=guardian: not gone.is_running())
    with hub.client() as client:
        health = client.request("health_check")
        assert health["status"] == "degraded"
        (problem,) = health["problems"]
        assert problem.startswith("guardian: it has died, and is started again within ")
    lines = [simplejson.loads(line) for line in hub.errors.read_text().splitlines()]
    deaths = [line for line in lines if line["event"] == "the guardian has died"]
    assert [(line["pid"], line["signal"]) for line in deaths] == [(p, "SIGKILL") for p in pids]
    waits_s = [line["retry_in_s"] for line in deaths]
    assert waits_s[:-1] == [0.0] * GUARDIAN_STARTS_MAX and 0 < waits_s[-1] <= GUARDIAN_PERIOD_S
    scrape = hub.scrape()
    of_guardians = {"kind": "guardian"}
    assert scrape.value("claudehub_actor_deaths_total", **of_guardians) == len(pids)
    assert scrape.value("claudehub_actor_restarts_total", **of_guardians) == GUARDIAN_STARTS_MAX
    assert hub.stop() == 0


@pytest.mark.parametrize(
    ("status", "end"),
    [(1, {"exit_code": 1}), (-9, {"signal": "SIGKILL"}), (-40, {"signal": 40})],
)
def test_how_a_guardian_has_ended(status: int, end: dict[str, object]) -> None:
    assert _end_of(status) == end


def test_a_guardian_is_not_started_too_often_and_not_too_seldom() -> None:
    class Clock(SystemClock):
        now_s = 0.0

        def monotonic(self) -> float:  # type: ignore[override]
            return self.now_s

    tried: list[float] = []
    clock, problems = Clock(), Problems()
    has_room = True

    def start() -> Any:
        tried.append(clock.now_s)
        if not has_room:
            raise OSError("no processes left")

    care = Caretaker(start, clock, problems)
    for clock.now_s in (0.0, 1.0, 2.0, 3.0, 59.0, 60.5, 60.6, 61.5):
        care._start_again()
    assert tried == [0.0, 1.0, 2.0, 60.5, 61.5]
    has_room = False  # what does not start is no start
    for clock.now_s in (200.0, 201.0, 202.0, 203.0, 204.0):
        care._start_again()
    care._close()
    assert tried[5:] == [200.0, 201.0, 202.0, 203.0, 204.0]
    assert "no processes left" in problems.now()[0]


def test_the_guardian_holds_nothing_of_the_servers(hub: HubProcess) -> None:
    """Its lock and its sockets would keep the next server from starting."""
    guardian = hub.guardian()
    assert guardian is not None

    def held() -> list[str]:
        with contextlib.suppress(FileNotFoundError):  # it reads its modules at its start
            return [os.readlink(entry) for entry in Path(f"/proc/{guardian.pid}/fd").iterdir()]
        return []

    wait_until(lambda: len(held()) == 3)
    assert all(name.startswith(("pipe:", "/dev/null")) for name in held())


def test_a_hub_that_an_agent_of_its_own_folder_has_started_ends_neither_itself_nor_its_guardian(
    start_hub: Any,
) -> None:
    hub: HubProcess = start_hub()
    assert hub.stop() == 0
    data_id = (hub.data / "id").read_text().strip()
    hub.start(**{tree.MARK: f"{data_id}:old-1"})
    guardian = hub.guardian()
    assert guardian is not None and tree.MARK not in guardian.environ()
    with hub.client() as client:
        client.request("project_create", path=hub.folder("p"))
        client.request("project_join", project_id="p")
        assert client.run("p", "[[doublefork]]")["outcome"] == "success"
    assert hub.guardian() == guardian


# -- limits ----------------------------------------------------------------------------------


def test_the_page_about_agents_names_the_limits() -> None:
    text = " ".join((ROOT / "docs" / "agent.md").read_text().split())
    words = {1.0: "one second", 2.0: "for two seconds", 10.0: "for ten seconds"}
    assert all(words[limit] in text for limit in (ends.TERM_S, CLI_CLEANS_S, ends.FAILED_S))
    assert (GUARDIAN_STARTS_MAX, GUARDIAN_PERIOD_S) == (3, 60.0)
    assert "three times in a minute at most" in text
