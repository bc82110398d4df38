"""A client of version 0, for tests over real sockets."""

import json
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.harness import TIMEOUT_S, HubProcess

Frame = dict[str, Any]


class Client0:
    """One connection to `/ws`."""

    def __init__(self, hub: HubProcess, **options: Any) -> None:
        self._url, self._options = hub.url.rstrip("/") + "/ws", options

    def __enter__(self) -> "Client0":
        self.socket: ClientConnection = connect(self._url, **self._options).__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, kind: str, project_id: str | None = None, **data: Any) -> None:
        about = {} if project_id is None else {"project_id": project_id}
        self.socket.send(json.dumps({"type": kind, **about, "data": data}))

    def receive(self, timeout_s: float = TIMEOUT_S) -> Frame:
        frame: Frame = json.loads(self.socket.recv(timeout=timeout_s))
        return frame

    def wait_for(self, kind: str, **wanted: Any) -> Frame:
        """Return the next frame of a type whose data has these values; drop those before it."""
        while True:
            frame = self.receive()
            data = frame["data"]
            if frame["type"] == kind and all(data.get(k) == v for k, v in wanted.items()):
                return frame

    def until(self, kind: str, **wanted: Any) -> list[Frame]:
        """Return all frames up to that one."""
        frames: list[Frame] = []
        while True:
            frames.append(self.receive())
            data = frames[-1]["data"]
            if frames[-1]["type"] == kind and all(data.get(k) == v for k, v in wanted.items()):
                return frames

    def create(self, path: str) -> str:
        self.send("project_create", path=path)
        return str(self.wait_for("project_state")["project_id"])

    def join(self, project_id: str) -> Frame:
        self.send("project_join", project_id=project_id)
        return self.wait_for("project_join")["data"]
