"""Each actor gives back all that it holds, whichever step of its release fails, and wherever its
start has failed."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.frames import CloseCode, Opcode

from actors import messages
from actors.client.actor import Client
from actors.executor.actor import Executor
from actors.feed.project_log import ProjectLog
from actors.hub.actor import Hub
from actors.project import Project
from actors.project.executor_link import ExecutorLink
from actors.runtime.base import Actor
from actors.watch.project_files import FileWatcher
from storage.message_log import MessageLog
from storage.request_keys import RequestKeyFile
from tests.executor_setup import settings as executor_settings
from tests.fakes import FrozenClock, ManualTimers, Probe
from tests.project_setup import ProjectSetup
from tests.test_client_actor import Setup as ClientSetup

WAIT_S = 5.0


class Broken(Exception):
    """What a step of a release raises here."""


def broken(*_: Any, **__: Any) -> None:
    raise Broken


def subclasses(kind: type[Any]) -> Iterator[type[Any]]:
    for each in kind.__subclasses__():
        yield each
        yield from subclasses(each)


def test_no_actor_has_a_release_of_one_block() -> None:
    """`release` of the base class runs the steps. Whoever overrides it loses that."""
    kinds = [each for each in subclasses(Actor) if each.__module__.startswith("actors.")]
    assert {Hub, FileWatcher} <= set(kinds)
    assert [each.__name__ for each in kinds if "release" in vars(each)] == []


@pytest.mark.parametrize("number", range(8))
def test_a_client_leaves_and_says_so_whichever_step_of_its_release_fails(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = ClientSetup()
    setup.say("project_join", project_id="p")
    setup.project.take()
    setup.say("agent_kill", "1", project_id="p")
    setup.project.take()
    steps = list(setup.client.release_steps())
    assert len(steps) == 8
    steps[number] = broken
    monkeypatch.setattr(setup.client, "release_steps", lambda: steps)
    with pytest.raises(Broken):
        setup.client.release()
    assert setup.transport.aborted is (number != 1)
    assert (setup.project.take() != []) is (number != 3)
    assert (setup.hub.take() == [messages.ClientGone(client_id="c1")]) is (number != 6)


def open_files(folder: Path) -> set[str]:
    """Return the files below a folder that this process has open."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:
            continue
        if target.startswith(str(folder)):
            found.add(target)
    return found


@pytest.mark.parametrize("fault", ["parts", "recovery"])
def test_a_project_that_cannot_start_gives_its_log_back(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = ProjectSetup(tmp_path, monkeypatch)
    setup.project.release()
    owner, name = {"parts": (Project, "_make_parts"), "recovery": (RequestKeyFile, "load")}[fault]
    monkeypatch.setattr(owner, name, broken)
    given_back: list[MessageLog] = []

    def append(log: MessageLog) -> None:
        given_back.append(log)

    monkeypatch.setattr(MessageLog, "abandon", append)
    with pytest.raises(Broken):
        setup.open()
    setup.project.release()
    assert len(given_back) == 1


def test_subscribers_hear_of_a_failed_project_although_its_log_cannot_be_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = ProjectSetup(tmp_path, monkeypatch)
    subscriber = setup.join()
    with monkeypatch.context() as patch:
        patch.setattr(ProjectLog, "abandon", broken)
        with pytest.raises(Broken):
            setup.project.release()
    assert subscriber.closed_with == "the project failed; join again"
    setup.project.release()


def test_a_project_whose_close_fails_gives_its_log_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = ProjectSetup(tmp_path, monkeypatch)
    setup.end(setup.execute())
    assert open_files(setup.layout.log("p"))
    with monkeypatch.context() as patch:
        patch.setattr(ProjectLog, "close", broken)
        with pytest.raises(Broken):
            setup.tell(messages.StopProject())
    setup.project.release()
    assert not open_files(setup.layout.log("p"))


def died(client: Client) -> None:
    """Let a Client that is not started die."""
    try:
        raise Broken
    except Broken as error:
        client.on_failure(Broken, error, error.__traceback__)


def close_codes(stream: bytes) -> list[int]:
    """Return the codes of the Close frames in what was sent to a client, which are short."""
    found = []
    while stream:
        first, second = stream[:2]
        head, size = 2, second
        if second >= 126:
            head = 4 if second == 126 else 10
            size = int.from_bytes(stream[2:head])
        payload, stream = stream[head : head + size], stream[head + size :]
        if first & 0x0F == Opcode.CLOSE:
            found.append(int.from_bytes(payload[:2]))
    return found


def test_a_client_that_dies_closes_with_1011_and_then_cuts() -> None:
    setup = ClientSetup()
    setup.say("ping", "1")
    died(setup.client)
    assert close_codes(setup.transport.sent) == [CloseCode.INTERNAL_ERROR]
    assert setup.transport.aborted


def test_a_client_that_dies_cuts_although_the_socket_is_full() -> None:
    setup = ClientSetup()
    setup.transport.room = 0
    died(setup.client)
    assert setup.transport.sent == b"" and setup.transport.aborted
    assert setup.hub.take()[0] == messages.ClientGone(client_id="c1")


def test_a_client_whose_connection_is_lost_sends_no_close() -> None:
    setup = ClientSetup()
    setup.client.on_stop()
    assert close_codes(setup.transport.sent) == [] and setup.transport.aborted


def test_a_failed_project_waits_until_the_process_of_its_executor_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pykka calls the Executor stopped before it has killed the process."""
    in_release, may_kill, waits = threading.Event(), threading.Event(), threading.Event()
    order: list[str] = []

    def kill(executor: Executor) -> None:
        in_release.set()
        may_kill.wait(WAIT_S)
        order.append("killed")

    monkeypatch.setattr(Executor, "_kill_process", kill)
    link = ExecutorLink(
        project=Probe().actor_ref,
        hub=Probe().actor_ref,
        project_id="p",
        folder=str(tmp_path),
        settings=executor_settings(),
        clock=FrozenClock(),
        timers=ManualTimers(),
    )

    def wait() -> None:
        waits.set()
        link.wait_until_stopped()
        order.append("waited")

    executor = link._started()
    link.stop()
    waiting = threading.Thread(target=wait)
    waiting.start()
    assert waits.wait(WAIT_S) and in_release.wait(WAIT_S)
    assert executor.actor_stopped.is_set() and order == []
    waiting.join(0.05)  # it goes on at once if it waits for pykka alone
    may_kill.set()
    waiting.join(WAIT_S)
    assert order == ["killed", "waited"]
