"""Clients on bare sockets, so that no library's time counts, and the report of a row."""

import json
import socket
import statistics
import threading
import time
from collections.abc import Callable
from typing import Any

from tests.harness import HubProcess, WireClient


def median(values: list[float]) -> float:
    return statistics.median(values)


def report(name: str, value: float, target: str, **facts: float) -> None:
    told = ", ".join(f"{k.replace('_', ' ')} {v:.4g}" for k, v in facts.items())
    print(f"{name:58} {value:8.3f}  (target {target})  {told}", flush=True)


def make(hub: HubProcess, client: WireClient, name: str) -> str:
    project = client.request("project_create", path=hub.folder(name))["project"]
    client.request("project_join", project_id=project["project_id"])
    return str(project["project_id"])


def timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


class BareClient:
    """A client on a bare socket that has joined a project."""

    def __init__(self, hub: HubProcess, project_id: str) -> None:
        host, port = hub.url.split("//")[1].split(":")
        self._project_id = project_id
        self._socket = socket.create_connection((host, int(port)))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        self.read_to(b"welcome")
        self.send("project_join")
        self.read_to(b"log_id")

    def send(self, kind: str, **payload: str) -> None:
        message = {"type": kind, "payload": {"project_id": self._project_id, **payload}}
        text = json.dumps(message).encode()
        size = bytes([0x80 | len(text)]) if len(text) < 126 else b"\xfe" + len(text).to_bytes(2)
        self._socket.sendall(b"\x81" + size + bytes(4) + text)

    def read_to(self, text: bytes) -> None:
        data = b""
        while text not in data:
            data = data[-len(text) :] + self._socket.recv(1 << 20)

    def turn(self, prompt: str) -> None:
        self.send("execute", prompt=prompt)
        self.read_to(b"execution_finished")

    def close(self) -> None:
        self._socket.close()


class Reader(threading.Thread):
    """Read to the end of the next execution."""

    def __init__(self, hub: HubProcess, project_id: str) -> None:
        super().__init__()
        self._client = BareClient(hub, project_id)
        self.start()

    def run(self) -> None:
        self._client.read_to(b"execution_finished")
        self._client.close()
