"""Requests of version 0 that nobody would send, to a real hub: each gets its answer.

python -m tests.v0_fuzz --requests 100000 [--seed 1]
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter, deque
from pathlib import Path
from typing import Any

from tests.harness import HubProcess
from tests.v0_client import Client0, Frame

WINDOW = 32  # requests on their way
ANSWERS = {
    "project_create": ("project_state",),
    "project_list": ("project_list",),
    "project_join": ("project_join",),
    "project_leave": ("project_leave",),
    "execute": ("execute",),
    "agent_kill": ("agent_kill",),
    "agent_new_session": ("agent_new_session",),
    "project_delete": ("project_deleted",),
    "get_messages": ("get_messages",),
    "health_check": ("health_check",),
}
_ODD: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1 << 70,
    1.5,
    "",
    "x",
    "../..",
    "\u0000",
    "\ud800",
    [],
    {},
    [1],
    {"a": [None]},
    "yesterday",
    "2026-11-23T08:14:33Z",
    "x" * 300,
)
_NO_REQUEST = ("", "{", "[]", "7", '{"type":5}', "{}", "\ud7ff", '{"a":1}')
_FIELDS = (
    "path",
    "prompt",
    "options",
    "project_id",
    "since",
    "limit",
    "offset",
    "direction",
    "made_up",
)
_OPTIONS = ("model", "permission_mode", "allowed_tools", "add_dirs", "mcp_config", "odd")


class Sender:
    """Texts of requests, one after the other."""

    def __init__(self, seed: int, hub: HubProcess, project_ids: list[str]) -> None:
        self._chance = random.Random(seed)
        self._paths = [hub.folder(name) for name in "apq"]
        self._project_ids = project_ids

    def next(self) -> tuple[str | None, str]:
        """Return a request's type (None: it is none) and its text."""
        chance = self._chance
        if chance.random() < 0.1:
            return None, chance.choice(
                ("", "{", "[]", "7", '{"type":5}', "{}", "\ud7ff", '{"a":1}')
            )
        kind = chance.choice([*ANSWERS, "heartbeat", "ping"])
        message: dict[str, Any] = {"type": kind}
        if chance.random() < 0.5:
            message["project_id"] = self._value("project_id")
        if chance.random() < 0.9:
            message["data"] = self._data()
        return kind, json.dumps(message)

    def _data(self) -> Any:
        chance = self._chance
        if chance.random() < 0.1:
            return chance.choice(_ODD)
        names = chance.sample(_FIELDS, chance.randrange(len(_FIELDS)))
        return {name: self._value(name) for name in names}

    def _value(self, name: str) -> Any:
        chance = self._chance
        if chance.random() < 0.4:
            return chance.choice(_ODD)
        if name == "project_id":
            return chance.choice(self._project_ids)
        if name == "path":
            return chance.choice(self._paths)
        if name == "options":
            return {key: chance.choice(_ODD) for key in chance.sample(_OPTIONS, 2)}
        if name == "direction":
            return chance.choice(("all", "client", "claude", "other"))
        return chance.choice((1, 7, "say it", *_ODD))


def is_answer(kind: str | None, frame: Frame) -> bool:
    data = frame["data"]
    if frame["type"] == "error":
        return data.get("details", {}).get("message_type") == kind
    return frame["type"] in ANSWERS.get(kind or "", ())


class Fuzz:
    """One connection. `answers` counts each code or type that came as an answer."""

    def __init__(self, client: Client0, hub: HubProcess, seed: int) -> None:
        self.answers: Counter[str] = Counter()
        self._client = client
        self._project_ids = [client.create(hub.folder(name)) for name in "pq"]
        self._sender = Sender(seed, hub, self._project_ids)

    def run(self, count: int) -> None:
        """Send so many requests. Raise AssertionError for one that gets no answer. Behind each one
        goes a request that has only one answer, so that silence is seen."""
        waiting: deque[tuple[int, str | None, str]] = deque()
        for number in range(count):
            kind, text = self._sender.next()
            self._client.socket.send(text)
            self._client.socket.send(json.dumps({"type": f"end-{number}"}))
            waiting.append((number, kind, text))
            if len(waiting) == WINDOW:
                self._take(*waiting.popleft())
        while waiting:
            self._take(*waiting.popleft())

    def _take(self, number: int, kind: str | None, text: str) -> None:
        found: list[str] = []
        while True:
            frame = self._client.receive()
            data = frame["data"]
            if data.get("details", {}).get("message_type") == f"end-{number}":
                break
            if frame["type"] == "project_state" and frame["project_id"] not in self._project_ids:
                self._project_ids[number % 2] = frame["project_id"]
            if is_answer(kind, frame):
                found.append(data.get("code") or frame["type"])
        assert found, f"no answer to {text[:300]}"
        self.answers[found[-1]] += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="claudehub-v0-fuzz-") as folder:
        hub = HubProcess(Path(folder), PROTOCOL_V0="on", LOG_LEVEL="error").start()
        began_s = time.monotonic()
        try:
            with Client0(hub, max_size=None) as client:
                fuzz = Fuzz(client, hub, args.seed)
                fuzz.run(args.requests)
        finally:
            code = hub.stop()
        said = hub.errors.read_text()
    print(f"{args.requests} requests in {time.monotonic() - began_s:.0f} s, seed {args.seed}:")
    for name, number in fuzz.answers.most_common():
        print(f"  {number:>7}  {name}")
    if code or "Traceback" in said:
        sys.exit(f"the hub ended with {code}:\n{said[-2000:]}")


if __name__ == "__main__":
    main()
