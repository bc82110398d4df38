"""The agent's way through the hub, against the agent alone.

    python -m bench.agent [--rounds 5] [--only turn,line,…] [--real 2.1.331=/path/to/claude]…

Each row is a ratio of medians, of so many interleaved rounds; what is compared stands in it. The
real CLI talks to tests/fake_messages_api.py on loopback; without --real the mock is measured.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from tests.agents import QUIET, Agent, fake_api, hub_with
from tests.harness import MOCK, HubProcess, WireClient

LINE_AGENT = f"{sys.executable} {Path(__file__).with_name('line_agent.py')}"
TURNS = 20
# Before each turn: what is done behind an end is not part of the next turn's time.
PAUSE_S = 0.02
TICKS = 200
BURST_LINES, LINE_BYTES = 102_400, 1024
MANY = 20


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
    """A client on a bare socket, joined: a library's own time is not measured."""

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
    """Reads to the end of the next execution."""

    def __init__(self, hub: HubProcess, project_id: str) -> None:
        super().__init__()
        self._client = BareClient(hub, project_id)
        self.start()

    def run(self) -> None:
        self._client.read_to(b"execution_finished")
        self._client.close()


# -- a turn ----------------------------------------------------------------------------------


class Bare:
    """The CLI with a pipe and nothing else."""

    ARGUMENTS = ("-p", "--input-format=stream-json", "--output-format=stream-json", "--verbose")

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str]) -> None:
        arguments = [*self.ARGUMENTS, "--include-partial-messages"]
        self._process = subprocess.Popen(
            [*command, *arguments, "--permission-prompt-tool=stdio"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def turn(self, prompt: str) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        message = {"role": "user", "content": prompt}
        line = {"type": "user", "message": message, "uuid": str(uuid.uuid4())}
        self._process.stdin.write(json.dumps(line).encode() + b"\n")
        self._process.stdin.flush()
        for text in self._process.stdout:
            if json.loads(text)["type"] == "result":
                return

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()


@contextmanager
def environment_of(agent: Agent, scratch: Path) -> Iterator[dict[str, str]]:
    home = scratch / "bare-home"
    home.mkdir()
    seen = {"PATH": os.environ["PATH"], "HOME": str(home), "CLAUDE_MOCK_VERSION": agent.version}
    seen |= {
        "CLAUDE_CODE_STREAM_EVENT_HOLD_MS": "50",
        "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
        "CLAUDE_CODE_DISABLE_CRON": "1",
    }
    if not agent.is_real:
        yield seen
        return
    with fake_api(scratch / "bare-requests") as address:
        yield {**seen, **QUIET, "ANTHROPIC_BASE_URL": address}


def turn(agent: Agent, rounds: int) -> None:
    """A warm turn through the hub, on the bare process, and with a process each time."""
    prompt = "[[text:HELLO]]"
    through, bare, cold = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder).resolve()
        with (
            environment_of(agent, scratch) as environment,
            hub_with(agent, scratch) as hub,
            hub.client() as client,
        ):
            project_id = make(hub, client, "p")
            command = agent.command.split()
            process = Bare(command, scratch, environment)
            once = [*command, *Bare.ARGUMENTS]
            line = {"type": "user", "message": {"role": "user", "content": prompt}, "uuid": "u"}
            process.turn(prompt)
            bare_client = BareClient(hub, project_id)
            bare_client.turn(prompt)
            for _ in range(rounds):
                for _ in range(TURNS):
                    time.sleep(PAUSE_S)
                    through.append(timed(lambda: bare_client.turn(prompt)))
                    time.sleep(PAUSE_S)
                    bare.append(timed(lambda: process.turn(prompt)))
                cold.append(
                    timed(
                        lambda: subprocess.run(
                            once,
                            input=json.dumps(line).encode() + b"\n",
                            env=environment,
                            cwd=scratch,
                            stdout=subprocess.DEVNULL,
                            check=True,
                        )
                    )
                )
            process.stop()
            bare_client.close()
    hub_ms, bare_ms, cold_ms = (1000 * median(v) for v in (through, bare, cold))
    report(f"{agent}: warm turn / claude -p each time", hub_ms / cold_ms, "<= 0.1", cold_ms=cold_ms)
    share_ms = hub_ms - bare_ms
    report(f"{agent}: hub's share of a warm turn, ms", share_ms, "<= 2", bare_ms=bare_ms)
    report(f"{agent}: hub's share / the turn", share_ms / hub_ms, "<= 0.1", through_ms=hub_ms)


# -- lines -----------------------------------------------------------------------------------


@contextmanager
def line_hub(**settings: str) -> Iterator[HubProcess]:
    with tempfile.TemporaryDirectory() as folder:
        hub = HubProcess(Path(folder).resolve(), CLAUDE_CMD=LINE_AGENT, **settings)
        hub.start()
        try:
            yield hub
        finally:
            hub.stop()


def line(rounds: int) -> None:
    """From the agent's write to a client's frame, against one fdatasync and one loopback send."""
    through, limit = [], []
    with line_hub(LOG_SYNC="always") as hub, hub.client() as client:
        project_id = make(hub, client, "p")
        for _ in range(rounds):
            client.take()
            prompt = f"ticks {TICKS} 0.004"
            client.request("execute", project_id=project_id, prompt=prompt)
            ended = False
            while not ended:
                update = client.updates.pop(0) if client.updates else client.receive()["payload"]
                if update["data"].get("type") == "tick":
                    through.append((time.monotonic_ns() - update["data"]["at"]) / 1e6)
                ended = update["update_type"] == "execution_finished"
            limit += sync_and_send(hub.scratch)
    report(
        "agent's line -> frame, p50 / fdatasync + loopback send",
        median(through) / median(limit),
        "<= 2",
        hub_ms=median(through),
        limit_ms=median(limit),
    )


def sync_and_send(folder: Path) -> list[float]:
    """The same in the plainest way: a line in at one end, flushed, and out at the other."""
    ours, theirs = socket.socketpair()
    record = b"x" * 250
    found = []
    with open(folder / "limit", "ab", buffering=0) as file, ours, theirs:
        for _ in range(TICKS):
            time.sleep(0.004)
            began = time.perf_counter()
            file.write(record)
            os.fdatasync(file.fileno())
            ours.send(record)
            theirs.recv(1000)
            found.append(1000 * (time.perf_counter() - began))
    return found


def burst(rounds: int) -> None:
    """100 MB of lines to ten clients, against `cat` through a pipe into flushed batches."""
    prompt = f"burst {BURST_LINES} {LINE_BYTES}"
    size_mb = BURST_LINES * LINE_BYTES / 1e6
    through, limit = [], []
    with line_hub(SLOW_CLIENT_BYTES="256MiB") as hub, hub.client() as client:
        project_id = make(hub, client, "p")
        for _ in range(rounds):
            readers = [Reader(hub, project_id) for _ in range(10)]
            began = time.perf_counter()
            client.request("project_leave", project_id=project_id)
            client.request("execute", project_id=project_id, prompt=prompt)
            for reader in readers:
                reader.join()
            through.append(size_mb / (time.perf_counter() - began))
            limit.append(size_mb / piped(hub.scratch))
    report(
        "burst of 1 KB lines to 10 clients / cat into fdatasync",
        median(through) / median(limit),
        ">= 0.3",
        hub_mb_s=median(through),
        cat_mb_s=median(limit),
    )


def piped(folder: Path) -> float:
    source = folder / "source"
    if not source.exists():
        source.write_bytes((b"x" * (LINE_BYTES - 1) + b"\n") * BURST_LINES)
    began = time.perf_counter()
    with subprocess.Popen(["cat", str(source)], stdout=subprocess.PIPE) as cat:
        assert cat.stdout is not None
        with open(folder / "copy", "wb", buffering=0) as file:
            while data := cat.stdout.read(1 << 20):
                file.write(data)
                os.fdatasync(file.fileno())
    return time.perf_counter() - began


def many(rounds: int) -> None:
    """20 projects at once against one: all their lines, and the slowest of them."""
    lines = 12_800
    one, all_of_them, fairness = [], [], []
    with (
        line_hub(SLOW_CLIENT_BYTES="256MiB", WARM_SESSIONS=str(MANY)) as hub,
        hub.client() as client,
    ):
        projects = [make(hub, client, f"p{number}") for number in range(MANY)]
        for project_id in projects:
            client.run(project_id, "burst 64 200")
            client.request("project_leave", project_id=project_id)
        for _ in range(rounds):
            one.append(lines / max(together(hub, projects[:1], lines)))
            took = together(hub, projects, lines)
            all_of_them.append(lines * MANY / max(took))
            speeds = [lines / seconds for seconds in took]
            fairness.append(min(speeds) / statistics.mean(speeds))
    ratio = median(all_of_them) / median(one)
    report("20 projects at once / one, lines a second", ratio, ">= 1", one=median(one))
    report("slowest project / the mean", median(fairness), ">= 0.5")


def together(hub: HubProcess, projects: list[str], lines: int) -> list[float]:
    readers = [Reader(hub, project_id) for project_id in projects]
    began = time.perf_counter()
    took: dict[int, float] = {}

    def wait(number: int) -> None:
        readers[number].join()
        took[number] = time.perf_counter() - began

    waiters = [threading.Thread(target=wait, args=(n,)) for n in range(len(projects))]
    with hub.client() as client:
        for project_id in projects:
            client.request("execute", project_id=project_id, prompt=f"burst {lines} 1024")
        for waiter in waiters:
            waiter.start()
        for waiter in waiters:
            waiter.join()
    return list(took.values())


def deltas(agent: Agent, rounds: int) -> None:
    """The hub's processor time for 2,000 deltas, with DELTA_HOLD against without."""
    spent: dict[str, list[float]] = {"50ms": [], "0": []}
    for _ in range(rounds):
        for hold, found in spent.items():
            with tempfile.TemporaryDirectory() as folder:
                scratch = Path(folder).resolve()
                with hub_with(agent, scratch, DELTA_HOLD=hold) as hub, hub.client() as client:
                    project_id = make(hub, client, "p")
                    client.run(project_id, "[[text:x]]")
                    before = cpu_s(hub)
                    client.run(project_id, "[[deltas:2000:8]]")
                    found.append(cpu_s(hub) - before)
    ratio = median(spent["50ms"]) / median(spent["0"])
    report(f"{agent}: 2,000 deltas, CPU with DELTA_HOLD / without", ratio, "<= 0.1")


def cpu_s(hub: HubProcess) -> float:
    times = psutil.Process(hub.pid).cpu_times()
    return times.user + times.system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="turn,line,burst,many,deltas")
    parser.add_argument("--real", action="append", default=[], metavar="VERSION=PATH")
    given = parser.parse_args()
    real = [Agent(*named.split("=", 1), is_real=True) for named in given.real]
    mock = Agent("2.1.331", f"{sys.executable} {MOCK}", is_real=False)
    wanted = given.only.split(",")
    for agent in [*real, mock]:
        if "turn" in wanted:
            turn(agent, given.rounds)
    for name, measure in (("line", line), ("burst", burst), ("many", many)):
        if name in wanted:
            measure(given.rounds)
    for agent in real:
        if "deltas" in wanted and agent.version == "2.1.331":
            deltas(agent, given.rounds)


if __name__ == "__main__":
    main()
