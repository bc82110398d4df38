"""A hub whose actors and threads fail when a test says so, and what is checked after each death."""

import contextlib
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from websockets.exceptions import ConnectionClosed

from tests.harness import TIMEOUT_S, HubProcess, WireClient
from tests.processes import wait_until

SERVER = Path(__file__).with_name("failing_server.py")


class FailingHub(HubProcess):
    """A hub under tests/failing_server.py."""

    def __init__(self, scratch: Path, **settings: Any) -> None:
        super().__init__(scratch, LOG_FORMAT="json", **settings)
        self._faults = scratch / "faults"
        self._faults.mkdir(exist_ok=True)
        self._armed = 0

    def command(self) -> list[str]:
        return [sys.executable, str(SERVER), str(self._faults), "serve"]

    def failed_start(self) -> int:
        """Start it where it ends by itself; return the exit code."""
        with open(self.errors, "a") as errors:
            done = subprocess.run(
                self.command(),
                env=self.environment(),
                stdout=subprocess.PIPE,
                stderr=errors,
                timeout=TIMEOUT_S,
                check=False,
            )
        return done.returncode

    def client(self, **options: Any) -> WireClient:
        """Return a client that waits for no answer to its close: it may have stopped reading."""
        return super().client(close_timeout=0.1, **options)

    # -- faults ------------------------------------------------------------------------------

    def arm(self, point: str, times: int = 1) -> None:
        """Have the next `times` passages of a point fail."""
        for _ in range(times):
            self._armed += 1
            (self._faults / f"{point}.{self._armed}").touch()

    @property
    def armed(self) -> list[str]:
        """Return the faults that have not happened yet."""
        return [path.name for path in self._faults.iterdir()]

    def have_happened(self) -> None:
        """Wait until every armed fault has happened."""
        wait_until(lambda: not self.armed)

    # -- the log -----------------------------------------------------------------------------

    def said(self, begin: int = 0) -> list[dict[str, Any]]:
        """Return the lines of the log, from a place in it."""
        lines = self.errors.read_bytes()[begin:].split(b"\n")[:-1]
        return [json.loads(line) for line in lines if line.startswith(b"{")]

    def mark(self) -> int:
        """Return the present place in the log."""
        return self.errors.stat().st_size

    def death(self, begin: int, kind: str, phase: str) -> dict[str, Any]:
        """Return the line of a death, the only one of that kind and phase since `begin`."""

        def found() -> list[dict[str, Any]]:
            lines = self.said(begin)
            died = [x for x in lines if x["event"] == "an actor has died" and x["kind"] == kind]
            return [x for x in died if phase in (x["during"], x.get("message"))]

        wait_until(lambda: bool(found()))
        (line,) = found()
        is_handler = phase not in ("start", "release")
        assert line["during"] == ("handler" if is_handler else phase), line
        assert line.get("message") == (phase if is_handler else None), line
        assert line["error"].startswith(f"InjectedFault: injected at {kind}.{phase}"), line
        assert line["actor"] and line["level"] == "error", line
        return line


class Project:
    """A project, and the executions that its hub has accepted."""

    def __init__(self, hub: HubProcess, client: WireClient, name: str) -> None:
        self.hub, self.client, self.name = hub, client, name
        self.accepted: list[str] = []
        client.request("project_create", path=hub.folder(name))
        client.request("project_join", project_id=name)

    def execute(self, prompt: str) -> str:
        answer = self.client.request("execute", project_id=self.name, prompt=prompt)
        self.accepted.append(answer["execution_id"])
        return self.accepted[-1]

    def run(self, prompt: str) -> dict[str, Any]:
        return self.client.wait_for("execution_finished", execution_id=self.execute(prompt))["data"]

    def check(self, client: WireClient | None = None, *, outcomes: set[str] | None = None) -> None:
        """A prompt runs, and each execution has exactly one end."""
        with client or self.hub.client() as reader:
            reader.request("project_join", project_id=self.name, after_seq=0)
            end = reader.run(self.name, "[[text:again]]")
            assert (end["outcome"], end["result"]) == ("success", "again")
            updates = reader.take()
        seqs = [u["seq"] for u in updates if "seq" in u]
        assert seqs == list(range(1, len(seqs) + 1))
        ends = [u["data"] for u in updates if u["update_type"] == "execution_finished"]
        begun = [u["data"] for u in updates if u["update_type"] == "execution_started"]
        counted = Counter(end["execution_id"] for end in ends)
        assert set(self.accepted) <= counted.keys()
        assert {one["execution_id"] for one in begun} <= counted.keys()
        assert set(counted.values()) == {1}
        if outcomes is not None:
            of_state = {e["outcome"] for e in ends if e["execution_id"] in self.accepted}
            assert of_state <= outcomes, ends


class Volley:
    """Requests that a client sends at once, without waiting."""

    def __init__(self, client: WireClient) -> None:
        self.client = client
        self._sent: list[str] = []
        self.answers: dict[str, dict[str, Any]] = {}

    def send(self, kind: str, **payload: Any) -> None:
        self._sent.append(f"v{len(self._sent)}")
        with contextlib.suppress(ConnectionClosed):  # `take` sees it
            self.client.send({"type": kind, "id": self._sent[-1], "payload": payload})

    def take(self) -> bool:
        """Take the answers: exactly one each. Return False if the connection was closed first."""
        try:
            for request_id in self._sent:
                answer = self.client.reply()
                assert answer["id"] == request_id, answer  # in their order, and none twice
                self.answers[request_id] = answer
            self.client.request("ping")  # the next answer is that of the next request
        except ConnectionClosed:
            return False
        return True

    def codes(self) -> list[str]:
        """Return the codes of errors, `result` for the others, in their order."""
        return [
            a["payload"]["code"] if a["type"] == "error" else "result"
            for a in self.answers.values()
        ]

    def accepted(self) -> list[str]:
        """Return the executions that were accepted."""
        found = [a["payload"] for a in self.answers.values() if a["type"] == "result"]
        return [payload["execution_id"] for payload in found if "execution_id" in payload]

    def close(self) -> None:
        self.client.close()
