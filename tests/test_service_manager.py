"""What systemd hears: sd_notify, over a real socket."""

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actors import messages
from actors.server.liveness import PERIOD_MIN_S, STATUS_PERIOD_S, Liveness
from actors.server.service_manager import STATUS_CHARACTERS_MAX, ServiceManager
from tests.fakes import FrozenClock, ManualTimers, Probe
from tests.notify_socket import NotifySocket, notify_socket

__all__ = ["notify_socket"]


def test_nothing_is_sent_without_a_manager() -> None:
    service = ServiceManager.taken_from({"PATH": "/bin"}, FrozenClock())
    assert not service.is_there
    service.ready("listening")
    service.alive()


def test_every_notice_is_one_datagram_of_lines(notify_socket: NotifySocket) -> None:
    service = ServiceManager(notify_socket.address, FrozenClock())
    service.ready("listening\nREADY=0")
    service.reloading()
    service.stopping("x" * 1000)
    service.status("busy")
    service.alive()
    service.extend(1.5, "draining")
    ready, reloading, stopping, status, alive, extend = notify_socket.take(6)
    assert ready == ["READY=1", "STATUS=listening READY=0"], "one line, whatever it says"
    assert reloading[0] == "RELOADING=1"
    assert reloading[1] == f"MONOTONIC_USEC={round(FrozenClock().monotonic() * 1e6)}"
    assert stopping == ["STOPPING=1", "STATUS=" + "x" * STATUS_CHARACTERS_MAX]
    assert status == ["STATUS=busy"]
    assert alive == ["WATCHDOG=1"]
    assert extend == ["EXTEND_TIMEOUT_USEC=1500000", "STATUS=draining"]


@pytest.fixture(autouse=True)
def frozen() -> Iterator[None]:
    from freezegun import freeze_time

    with freeze_time("2026-11-24T12:00:00Z"):
        yield


def test_the_variables_are_taken_out_of_the_environment() -> None:
    environment = {
        "NOTIFY_SOCKET": "/run/x",
        "WATCHDOG_USEC": "30000000",
        "WATCHDOG_PID": str(os.getpid()),
        "PATH": "/bin",
    }
    service = ServiceManager.taken_from(environment, FrozenClock())
    assert environment == {"PATH": "/bin"}
    assert service.is_there and service.watchdog_s == 30.0


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "9" * 400},
        {"WATCHDOG_USEC": "9" * 5000},
        {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"},
    ],
)
def test_a_watchdog_of_another_process_or_none_is_not_fed(given: dict[str, str]) -> None:
    assert ServiceManager.taken_from(dict(given), FrozenClock()).watchdog_s is None


@pytest.mark.parametrize("address", ["relative", "vsock:2:1234", "17"])
def test_an_address_that_cannot_be_used_is_said_and_ignored(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    service = ServiceManager(address, FrozenClock())
    service.ready("listening")
    assert not service.is_there
    assert len(caplog.messages) == 1 and "NOTIFY_SOCKET" in caplog.messages[0]


def test_a_manager_that_is_gone_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    service = ServiceManager(str(tmp_path / "nobody"), FrozenClock())
    for _ in range(3):
        service.alive()
    assert len(caplog.messages) == 1


def test_a_manager_that_does_not_read_holds_nobody_up(
    notify_socket: NotifySocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.server.service_manager.SEND_TIMEOUT_S", 0.01)
    service = ServiceManager(notify_socket.address, FrozenClock())
    for _ in range(2000):  # more than the socket holds
        service.status("busy")
        if service._failed:
            break
    assert service._failed
    notify_socket.drain()
    service.status("busy")
    assert not service._failed


def test_what_agents_and_helpers_get_has_no_address(notify_socket: NotifySocket) -> None:
    """Whatever CLAUDE_ENV names: the variable is gone from the server's own environment."""
    from actors.executor.environment import agent_environment

    environment = {"NOTIFY_SOCKET": notify_socket.address, "HOME": "/home/me"}
    ServiceManager.taken_from(environment, FrozenClock())
    seen = agent_environment(environment, ["NOTIFY_SOCKET"], delta_hold_ms=0, background=True)
    assert seen == {"HOME": "/home/me"}


# -- the watchdog ----------------------------------------------------------------------------------


class LivenessSetup:
    def __init__(self, notify_socket: NotifySocket, watchdog_s: float | None) -> None:
        self.hub, self.timers = Probe(), ManualTimers()
        self.deaths: list[str] = []
        self.manager = notify_socket
        service = ServiceManager(notify_socket.address, FrozenClock(), watchdog_s)
        self.liveness = Liveness(
            hub=self.hub.actor_ref, service=service, timers=self.timers, died=self.deaths.append
        )
        self.liveness.started()

    def asked(self) -> list[int]:
        return [m.question for m in self.hub.take()]

    def answer(self, question: int, doing: str = "idle") -> None:
        self.liveness.on_receive(messages.HubIsAlive(question=question, doing=doing))

    def pass_time(self) -> None:
        self.liveness.on_receive(messages._LivenessDue())


@pytest.fixture
def setup(notify_socket: NotifySocket) -> LivenessSetup:
    return LivenessSetup(notify_socket, watchdog_s=20.0)


def test_the_watchdog_is_fed_when_the_hub_answers(setup: LivenessSetup) -> None:
    assert setup.timers.pending[-1].delay_s == 10.0, "twice within the manager's time"
    for _ in range(3):
        (question,) = setup.asked()
        assert setup.manager.waiting() == []
        setup.answer(question)
        assert ["WATCHDOG=1"] in setup.manager.waiting()
        setup.pass_time()


@pytest.mark.parametrize("usec", ["1", "18446744073709551615"])
def test_no_watchdog_is_fed_all_the_time_or_overflows_a_wait(
    notify_socket: NotifySocket, usec: str
) -> None:
    environment = {"NOTIFY_SOCKET": notify_socket.address, "WATCHDOG_USEC": usec}
    service = ServiceManager.taken_from(environment, FrozenClock())
    setup = LivenessSetup(notify_socket, service.watchdog_s)
    assert PERIOD_MIN_S <= setup.timers.pending[-1].delay_s <= threading.TIMEOUT_MAX


def test_a_hub_that_does_not_answer_starves_the_watchdog(setup: LivenessSetup) -> None:
    for _ in range(5):
        setup.pass_time()
    assert setup.asked() == [1, 2, 3, 4, 5, 6]
    assert setup.manager.waiting() == []


def test_a_late_answer_does_not_count(setup: LivenessSetup) -> None:
    setup.pass_time()
    setup.answer(1)
    assert setup.manager.waiting() == []
    setup.answer(2)
    assert setup.manager.waiting()[0] == ["WATCHDOG=1"]


def test_the_status_is_sent_when_it_changes(notify_socket: NotifySocket) -> None:
    setup = LivenessSetup(notify_socket, watchdog_s=None)
    assert setup.timers.pending[-1].delay_s == STATUS_PERIOD_S
    setup.answer(1, "1 clients")
    setup.answer(1, "1 clients")
    setup.answer(1, "2 clients")
    assert notify_socket.waiting() == [["STATUS=1 clients"], ["STATUS=2 clients"]]


def test_a_liveness_that_fails_ends_the_server(setup: LivenessSetup) -> None:
    """Nobody would feed the watchdog."""
    setup.liveness.failed("bug")
    assert setup.deaths == ["liveness failed: bug"]


def test_a_datagram_needs_no_reader_at_the_time(notify_socket: NotifySocket) -> None:
    """What the module builds on: the kernel keeps datagrams, in order, for a reader that comes
    later."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        target: Any = notify_socket.address.replace("@", "\0")
        for number in range(3):
            sender.sendto(b"%d" % number, target)
    assert notify_socket.waiting() == [["0"], ["1"], ["2"]]
