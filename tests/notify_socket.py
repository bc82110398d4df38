"""The service manager's end of NOTIFY_SOCKET."""

import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import TIMEOUT_S


class NotifySocket:
    """It takes datagrams; each is a list of lines."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.settimeout(TIMEOUT_S)

    def next(self) -> list[str]:
        return self.socket.recv(65536).decode().split("\n")

    def take(self, count: int) -> list[list[str]]:
        return [self.next() for _ in range(count)]

    def until(self, line: str) -> list[list[str]]:
        """Return the datagrams up to the one that has that line."""
        found = [self.next()]
        while line not in found[-1]:
            found.append(self.next())
        return found

    def waiting(self) -> list[list[str]]:
        """Return what has come so far, without waiting."""
        self.socket.setblocking(False)
        found = []
        try:
            while True:
                found.append(self.next())
        except BlockingIOError:
            return found
        finally:
            self.socket.settimeout(TIMEOUT_S)

    def drain(self) -> None:
        self.waiting()


@pytest.fixture(params=["path", "abstract"])
def notify_socket(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NotifySocket]:
    name = str(tmp_path / "notify") if request.param == "path" else f"@{secrets.token_hex(8)}"
    made = NotifySocket(name)
    yield made
    made.socket.close()
