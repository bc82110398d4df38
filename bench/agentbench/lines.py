"""Rows with an agent that writes at full speed or at a steady rate (bench/line_agent.py)."""

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.agentbench.clients import Reader, make, median, report
from tests.harness import HubProcess

LINE_AGENT = f"{sys.executable} {Path(__file__).parents[1] / 'line_agent.py'}"
TICKS = 200
BURST_LINES, LINE_BYTES = 102_400, 1024
MANY = 20


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
    """Measure from the agent's write to a client's frame, against one fdatasync and one loopback
    send."""
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
    """Do the same in the plainest way: read a line, flush it, send it."""
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
    """Measure 100 MB of lines to ten clients, against `cat` through a pipe into flushed batches."""
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
    """Measure 20 projects at once against one: all lines, and the slowest project."""
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
