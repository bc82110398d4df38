"""Frozen time that pykka and subprocess do not see, and a check that nothing is left behind."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import freezegun
import psutil
import pykka
import pytest

from tests.harness import HubProcess

freezegun.configure(extend_ignore_list=["pykka", "subprocess", "websockets", "threading"])

LEFTOVER_WAIT_S = 5.0


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Fails a test that leaves a thread, an actor or a child process."""
    before = set(threading.enumerate())
    yield
    assert not pykka.ActorRegistry.get_all()
    for thread in set(threading.enumerate()) - before:
        thread.join(LEFTOVER_WAIT_S)
        assert not thread.is_alive(), f"{thread} is left"
    children = psutil.Process().children(recursive=True)
    _, alive = psutil.wait_procs(children, timeout=LEFTOVER_WAIT_S)
    assert not alive, f"{alive} are left"


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    return tmp_path.resolve()


@pytest.fixture
def hub(scratch: Path) -> Iterator[HubProcess]:
    """A running hub; it must stop in order."""
    process = HubProcess(scratch).start()
    yield process
    assert process.stop() == 0


@pytest.fixture
def start_hub(scratch: Path) -> Iterator[Any]:
    """Starts a hub with settings of its own; it must stop in order, unless the test ended it."""
    started: list[HubProcess] = []

    def start(**settings: str) -> HubProcess:
        process = HubProcess(scratch, **settings).start()
        started.append(process)
        return process

    yield start
    assert [process.stop() for process in started] == [0] * len(started)
