"""What a hub frees without its garbage collector: memory that waits for it grows the heap."""

import socket
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.failing_hub import Project
from tests.harness import HubProcess
from tests.processes import wait_until

SERVER = Path(__file__).with_name("uncollected_server.py")
CLIENTS = 5


class UncollectedHub(HubProcess):
    """A hub under tests/uncollected_server.py."""

    @property
    def freed(self) -> Counter[str]:
        """Return how many objects of each class have gone."""
        return Counter((self.scratch / "freed").read_text().split())

    def command(self) -> list[str]:
        return [sys.executable, str(SERVER), str(self.scratch / "freed"), "serve"]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[UncollectedHub]:
    hub = UncollectedHub(tmp_path.resolve(), WARM_SESSIONS="0")
    hub.start()
    yield hub
    hub.stop()


def test_connections_and_processes_leave_nothing(hub: UncollectedHub) -> None:
    for number in range(CLIENTS):
        with hub.client() as client:
            Project(hub, client, f"p{number}").run("[[text:done]]")
            if number % 2:
                client.socket.socket.shutdown(socket.SHUT_RDWR)  # without a close frame
    kinds = ("Client", "Connection", "HubProtocol", "AgentProcess", "OutputReader")
    wait_until(lambda: hub.freed >= Counter(dict.fromkeys(kinds, CLIENTS)))
