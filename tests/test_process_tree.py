"""Finding what an agent's process has started, with real processes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import psutil
import pytest

from actors.process_tree import census as census_module
from actors.process_tree import ends, tree
from actors.process_tree.census import Census
from actors.process_tree.ends import TERM_LOOKS, Ending
from actors.process_tree.tree import Look
from tests.harness import HubProcess
from tests.processes import marked, wait_until

SLEEP = "import signal; signal.pause()"
# Of this process alone: other tests that run meanwhile must not end its strays.
DATA = f"d{os.getpid()}"
MARK = f"{DATA}:run-1"


def start(stack: ExitStack, code: str, *, marked: bool = True, session: bool = False) -> int:
    """A leader, in a session of its own, that runs Python code; its children end with it."""
    environment = {**os.environ, **({tree.MARK: MARK} if marked else {})}
    process = subprocess.Popen(
        [sys.executable, "-c", code], env=environment, start_new_session=session
    )

    def end() -> None:
        if psutil.pid_exists(process.pid):
            ends.kill(tree.descendants(psutil.Process(process.pid)))
        process.kill()
        process.wait()

    stack.callback(end)
    return process.pid


def spawn(session: bool, env: str = "None") -> str:
    """Code that starts a sleeper and stays."""
    given = f"start_new_session={session}, env={env}"
    call = f"subprocess.Popen([sys.executable, '-c', {SLEEP!r}], {given})"
    return f"import signal, subprocess, sys; {call}; signal.pause()"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.mark.parametrize(
    ("session", "env", "found"),
    [(True, "None", 1), (True, "{}", 1), (False, "None", 0)],
    ids=["a command", "a command without an environment", "a helper of the CLI"],
)
def test_processes_that_a_turn_left_are_found(
    stack: ExitStack, session: bool, env: str, found: int
) -> None:
    census = Census()
    leader = start(stack, spawn(session, env), session=True)
    wait_until(lambda: len(tree.descendants(psutil.Process(leader))) == 1)

    def left() -> list[int]:
        return [p.pid for p in tree.left_by_turn(census.newcomers, tree.own_of(leader), MARK).found]

    wait_until(lambda: len(left()) == found)  # it begins its session a moment after its birth
    assert leader not in left()


def test_processes_of_a_helper_belong_to_the_helper(stack: ExitStack) -> None:
    """For example the browser of an MCP server, in a session of its own."""
    call = f"subprocess.Popen([sys.executable, '-c', {spawn(True)!r}])"
    code = f"import signal, subprocess, sys; {call}; signal.pause()"
    census = Census()
    leader = start(stack, code, session=True)
    wait_until(lambda: len(tree.descendants(psutil.Process(leader))) == 2)
    assert tree.left_by_turn(census.newcomers, tree.own_of(leader), MARK).found == []


def test_an_orphan_is_found_by_its_mark(stack: ExitStack) -> None:
    leader = start(stack, SLEEP, session=True)
    ours, others = start(stack, SLEEP), start(stack, SLEEP, marked=False)
    wait_until(lambda: psutil.pid_exists(ours))
    found = tree.left_by_turn(lambda: [ours, others], [leader], MARK).found
    assert [p.pid for p in found] == [ours]


def test_a_new_process_is_examined_until_it_is_settled(stack: ExitStack) -> None:
    census = Census()
    pid = start(stack, SLEEP)
    assert pid in census.newcomers()
    assert pid in census.newcomers()
    census.settle()
    assert pid not in census.newcomers()


def test_wrapped_process_numbers_make_every_process_new(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    census = Census()
    newest = census_module._newest_pid()
    assert newest is not None
    monkeypatch.setattr(census_module, "_newest_pid", lambda: 5)
    assert os.getpid() in census.newcomers()
    monkeypatch.setattr(census_module, "_newest_pid", lambda: None)
    assert os.getpid() in census.newcomers()


def test_strays_of_one_run_are_not_another_runs(stack: ExitStack) -> None:
    pid = start(stack, SLEEP)
    wait_until(lambda: pid in [p.pid for p in tree.look_for(f"{DATA}:run-").found])
    assert ends.end_strays(f"{DATA}:run-2") == 0
    assert ends.end_strays(MARK) == 1


def looks(monkeypatch: pytest.MonkeyPatch, *answers: Look) -> None:
    """What the first looks find; then it is the truth."""
    look_for, given = tree.look_for, iter(answers)
    monkeypatch.setattr(
        tree, "look_for", lambda prefix, **also: next(given, None) or look_for(prefix, **also)
    )


def test_a_stray_during_its_exec_is_examined_again(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a process once outlived a server that had died during its start."""
    pid = start(stack, SLEEP)
    looks(monkeypatch, Look(unreadable={pid}))
    assert ends.end_strays(MARK) == 1


def test_an_unreadable_process_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Look(unreadable={1}), Look(unreadable={1})]
    monkeypatch.setattr(tree, "look_for", lambda _prefix, **_: found.pop())
    assert ends.end_strays(f"{DATA}:none") == 0 and found == []


def test_a_process_that_forks_during_the_search_is_found() -> None:
    """The process ends before its turn in the search; its child once outlived the end."""
    there = iter([[1, 2], [1, 3], [3, 4], [4]])
    assert list(tree.rounds(lambda: next(there))) == [[1, 2], [3], [4]]
    endless = iter(range(10**6))
    assert len(list(tree.rounds(lambda: [next(endless)]))) == tree.LISTINGS_MAX


@pytest.mark.parametrize("way", ["exit", "kill"])
def test_a_double_fork_at_the_moment_of_the_end_is_ended(hub: HubProcess, way: str) -> None:
    """Try several moments around it. (Each takes a second: the child holds the output open.)"""
    with hub.client() as client:
        client.request("project_create", path=hub.folder(way))
        client.request("project_join", project_id=way)
        for number in range(2, 16, 3):
            words = "[[exit:3]]" if way == "exit" else "[[hang]]"
            prompt = f"[[latefork:{number}]]{words}"
            answer = client.request("execute", project_id=way, prompt=prompt)
            if way == "kill":
                client.wait_for("claude", subtype="init")
                client.request("agent_kill", project_id=way)
            client.wait_for("execution_finished", execution_id=answer["execution_id"])
            client.take()
            assert marked(hub.data) == [], number


def group_of_two(stack: ExitStack) -> tuple[psutil.Process, psutil.Process]:
    """Two processes of one group, which is theirs alone."""
    leader = start(stack, spawn(False), session=True)
    wait_until(lambda: len(tree.descendants(psutil.Process(leader))) == 1)
    (child,) = tree.descendants(psutil.Process(leader))
    return psutil.Process(leader), child


def is_gone(process: psutil.Process) -> bool:
    return Look().still([process]) == []


def test_a_group_gets_a_signal_at_once_only_if_all_of_it_is_to_end(stack: ExitStack) -> None:
    leader, child = group_of_two(stack)
    assert ends.send([child], signal.SIGTERM) == set()
    wait_until(lambda: is_gone(child))
    assert not is_gone(leader)
    leader, child = group_of_two(stack)
    assert ends.send([leader, child], signal.SIGTERM) == {leader.pid}
    wait_until(lambda: is_gone(leader) and is_gone(child))


def test_what_a_group_starts_to_clean_up_gets_no_signal_of_its_own(stack: ExitStack) -> None:
    """It was started after the group's SIGTERM, and ends with the group's second at the latest."""
    leader, child = group_of_two(stack)
    sent: list[tuple[int, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
        patch.setattr(os, "killpg", lambda group, number: sent.append((group, number)))
        ending = Ending()
        assert ending.go_on(Look(found=[leader]))
        assert sent == [(leader.pid, signal.SIGTERM)]  # the child is no part of it: one by one
        sent.clear()
        ending = Ending()
        assert ending.go_on(Look(found=[leader, child]))
        assert ending.go_on(Look(found=[child]))
        assert sent == [(leader.pid, signal.SIGTERM)]
        late = group_of_two(stack)[0]
        for _ in range(TERM_LOOKS):
            ending.go_on(Look(found=[child, late]))
        assert (late.pid, signal.SIGTERM) in sent[1:]
        assert (child.pid, signal.SIGKILL) in sent[1:]


def test_a_signal_never_reaches_this_process_or_process_1(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, _: sent.append(pid))
    monkeypatch.setattr(os, "killpg", lambda group, _: sent.append(group))
    ends.kill([psutil.Process(1), psutil.Process(os.getpid())])
    assert sent == []


def test_what_comes_at_the_last_look_is_killed_too() -> None:
    """A process that starts another one again and again must not have the last word."""
    late = subprocess.Popen(["sleep", "60"], start_new_session=True)
    ending = Ending()
    while ending.go_on(Look(failed=False, fleeting=True, found=[])):
        pass
    ending._looks = ending.looks_max
    assert not ending.go_on(Look(found=[psutil.Process(late.pid)]))
    assert late.wait(10) == -signal.SIGKILL
