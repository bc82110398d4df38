#!/usr/bin/env python3
"""Measure what METRICS_PORT costs: the latency of a line, and the server's CPU time for it.

    bench/metrics_cost.py [--rounds 5] [--lines 1000] [--size 200] [--sync always]

Two hubs run at the same time, one with METRICS_PORT. Each line goes to one of them and then to the
other, in turns, so that whatever else the machine does meets both. The program prints the medians
over the rounds, and the ratios within a round. Fan-out: bench/fanout, the servers hub and
hub-metrics.
"""

import argparse
import contextlib
import json
import os
import socket
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "fanout")]

from latency import HUB_SPEC, PAUSE_S, Watcher, percentile
from server import running

WARM_LINES = 50


class Measured:
    """One hub, a client of it and the way to its agent."""

    def __init__(self, url: str, pid: int, agent: str) -> None:
        self._watcher = Watcher(url)
        self._agent = socket.socket(socket.AF_UNIX)
        self._agent.connect(agent)
        self._process = psutil.Process(pid)
        self._cpu_s = 0.0
        self.taken: list[float] = []

    def send(self, number: int, size: int) -> None:
        marker = b"@%d@" % number
        line = b'{"type":"assistant","t":"%b%b"}\n' % (marker, b"x" * size)
        start = time.perf_counter()
        self._agent.sendall(line)
        self._watcher.wait_for(marker)
        self.taken.append(time.perf_counter() - start)

    def begin(self) -> None:
        """Forget what was measured so far: it was warm-up."""
        self.taken = []
        self._cpu_s = self._used_s()

    def cpu_s(self) -> float:
        return self._used_s() - self._cpu_s

    def _used_s(self) -> float:
        """Return the CPU time of the server. Linux knows it for each thread to the nanosecond."""
        tasks = list(Path(f"/proc/{self._process.pid}/task").glob("*/schedstat"))
        if tasks:
            return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9
        times = self._process.cpu_times()
        return times.user + times.system

    def close(self) -> None:
        self._agent.close()
        self._watcher.close()


@contextlib.contextmanager
def hub(sync: str, metrics_port: int) -> Iterator[Measured]:
    settings = {"LOG_SYNC": sync, "MIN_FREE_BYTES": "0", "METRICS_PORT": str(metrics_port)}
    spec = {**HUB_SPEC, "env": {"HUB_ENV": json.dumps(settings)}}
    with running(spec, str(HERE.parent)) as (url, pid, options):
        measured = Measured(url, pid, options[options.index("--pub-unix") + 1])
        yield measured
        measured.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def measure(lines: int, size: int, sync: str) -> dict[str, tuple[float, float]]:
    """Return of each figure the value without metrics, and with."""
    with hub(sync, 0) as plain, hub(sync, free_port()) as counting:
        for number in range(lines + WARM_LINES):
            if number == WARM_LINES:
                plain.begin()
                counting.begin()
            for one in (plain, counting) if number % 2 else (counting, plain):
                one.send(number, size)
                time.sleep(PAUSE_S)
        both = (plain, counting)
        return {
            "p50, ms": tuple(percentile(one.taken, 0.5) * 1e3 for one in both),
            "p99, ms": tuple(percentile(one.taken, 0.99) * 1e3 for one in both),
            "CPU, us a line": tuple(one.cpu_s() / lines * 1e6 for one in both),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--lines", type=int, default=1000)
    parser.add_argument("--size", type=int, default=200)
    parser.add_argument("--sync", default="always")
    args = parser.parse_args()
    os.chdir(HERE / "fanout")  # the servers file names its programs from there
    rounds = [measure(args.lines, args.size, args.sync) for _ in range(args.rounds)]
    print(f"LOG_SYNC={args.sync}, {args.size} B, {args.lines} lines, {args.rounds} rounds")
    for name in rounds[0]:
        plain, counting = zip(*(each[name] for each in rounds), strict=True)
        ratios = [b / a for a, b in zip(plain, counting, strict=True)]
        middle = statistics.median
        print(
            f"{name}: without {middle(plain):.2f}, with {middle(counting):.2f}, "
            f"ratio {middle(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
        )


if __name__ == "__main__":
    main()
