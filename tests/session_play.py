"""Send the requests of a recorded session to a hub, and compare what comes back.

A line of a session is an object: `hub` starts, stops, kills or damages one, `client` with `sends`,
`gets` or `connects` is a client's. Names such as `$execution-1` are those of session_shape.py.
"""

import json
import signal
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.harness import HubProcess, WireClient
from tests.session_shape import Names, differences
from tests.test_ssh import keygen, proof, public

FILE = Path(__file__).with_name("data") / "v1-session.jsonl"
Line = dict[str, Any]


def key_of(message: Line) -> tuple[object, ...]:
    """Return what two messages have in common that say the same in two sessions."""
    if message["type"] != "update":
        return (message["type"] == "welcome", message.get("id"))
    payload = message["payload"]
    data = payload["data"]
    if payload.get("seq") is not None:
        return (payload["project_id"], payload["seq"])
    shown = data.get("project", {}).get("status") if isinstance(data, dict) else None
    status = data.get("status") if payload["update_type"] == "status" else shown
    return (payload["update_type"], payload["project_id"], status)


class Play:
    """A session on a hub of its own, and on those that follow it in the same data folder."""

    def __init__(self, scratch: Path) -> None:
        self.hub: HubProcess | None = None
        self._scratch = scratch
        (scratch / "roots").mkdir(exist_ok=True)
        self._clients: dict[str, WireClient] = {}
        self._waiting: dict[str, list[Line]] = {}
        self._keys = {name: keygen(scratch, name=name) for name in ("owner", "guest")}
        self._allowed = scratch / "authorized_keys"
        guest = 'claudehub="read-only" ' + public(self._keys["guest"])
        self._allowed.write_text(public(self._keys["owner"]) + guest)
        self.roots = str((scratch / "roots").resolve())
        self.names = Names({"$roots": self.roots, "$missing": f"{self.roots}-missing"})

    def close(self) -> None:
        """Close all clients and stop the hub."""
        assert self._end(signal.SIGTERM) == 0

    def _end(self, number: int) -> int:
        code = 0 if self.hub is None else self.hub.stop(number)
        for client in self._clients.values():
            client.close()
        self._clients.clear()
        return code

    def play(self, lines: Iterable[Line]) -> list[str]:
        """Return all differences, each with the number of its line."""
        found = []
        for number, line in enumerate(lines, 1):
            found += [f"line {number}: {problem}" for problem in self.do(line)]
        return found

    def do(self, line: Line) -> list[str]:
        """Do what a line says. Return the differences, if it is a message of the hub."""
        match line:
            case {"hub": "starts", "settings": settings}:
                self._start(settings)
            case {"hub": "stops"}:
                self.close()
            case {"hub": "dies"}:
                self._end(signal.SIGKILL)
            case {"hub": "damage", "project_id": project_id, "seq": seq}:
                self._damage(project_id, seq)
            case {"hub": "folder", "name": name}:
                (Path(self.roots) / name).mkdir(parents=True, exist_ok=True)
            case {"client": name, "connects": True}:
                self._connect(name)
            case {"client": name, "sends": message}:
                self._send(name, message)
            case {"client": name, "gets": message}:
                return list(differences(message, self._next(name, message), self.names))
            case _:
                raise AssertionError(line)
        return []

    def _start(self, settings: Mapping[str, str]) -> None:
        given = dict(settings)
        if given.pop("keys", None):
            given["AUTHORIZED_KEYS"] = str(self._allowed)
        self.hub = HubProcess(self._scratch, **given).start()

    def _damage(self, project_id: str, seq: int) -> None:
        """Break one stored record, as a bad sector would."""
        assert self.hub is not None
        for file in (self.hub.data / "projects" / project_id / "log").glob("*.jsonl"):
            content = file.read_bytes()
            file.write_bytes(content.replace(b'"seq":%d,' % seq, b'"seq":%dx' % seq))

    def _connect(self, name: str) -> None:
        assert self.hub is not None
        client = self._clients[name] = self.hub.client()
        self._waiting[name] = [{"type": "welcome", "payload": client.welcome}]

    def _send(self, name: str, message: Any) -> None:
        client = self._clients[name]
        if (
            isinstance(message, dict)
            and message["type"] == "authenticate"
            and client.welcome["auth"]
        ):
            key = self._keys[message["payload"]["key"]]
            given = proof(key, client.welcome["auth"]["challenge"], client.host)
            message = {**message, "payload": given}
        client.send(message if isinstance(message, str) else self.names.filled(message))

    def received(self, name: str) -> Line:
        """Return the next message of a client that was not taken yet."""
        waiting = self._waiting[name]
        return waiting.pop(0) if waiting else self._clients[name].receive()

    def _next(self, name: str, recorded: Line) -> Line:
        """Return the message that says what the recorded one said; wait for it."""
        waiting = self._waiting[name]
        seen = 0
        while True:
            while seen < len(waiting):
                if key_of(waiting[seen]) == key_of(recorded):
                    return waiting.pop(seen)
                seen += 1
            try:
                waiting.append(self._clients[name].receive())
            except TimeoutError:
                raise AssertionError(f"no {recorded} came for {name}, but {waiting}") from None


def session() -> list[Line]:
    """Return the recorded session."""
    return [json.loads(line) for line in FILE.read_text("utf-8").splitlines()]
