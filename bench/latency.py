#!/usr/bin/env python3
"""Measure from the agent's write of a line to the frame at a client, log on, against its limit.

    bench/latency.py [--rounds 5] [--lines 400] [--size 200] [--sync always]

A line passes pipe, executor, project, log (one fdatasync), socket and client. The limit is measured
in turn, in the same run: append as many bytes to a file, one fdatasync, one send over a loopback
socket. The program prints the medians over the rounds of p50, p99, and the ratios within a round.
"""

import argparse
import json
import os
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "fanout"))

from server import running

HUB_SPEC = json.loads((HERE / "fanout" / "servers.json").read_text())["hub"]
PAUSE_S = 0.002  # pause between lines: the hub gets one at a time and cannot batch


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


class Watcher:
    """A client on a bare socket, so that no library's time counts."""

    def __init__(self, url: str) -> None:
        host, port = url.split("//")[1].strip("/").split(":")
        self._socket = socket.create_connection((host, int(port)))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._data = b""
        self._socket.sendall(
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        self.wait_for(b"welcome")
        join = b'{"type":"project_join","payload":{"project_id":"bench"}}'
        self._socket.sendall(bytes([0x81, 0x80 | len(join)]) + bytes(4) + join)
        self.wait_for(b"log_id")

    def wait_for(self, text: bytes) -> None:
        while text not in self._data:
            self._data = self._data[-len(text) :] + self._socket.recv(1 << 16)
        self._data = b""

    def close(self) -> None:
        self._socket.close()


def measure_hub(lines: int, size: int, sync: str) -> list[float]:
    """Return seconds for each line."""
    spec = {**HUB_SPEC, "env": {"HUB_ENV": json.dumps({"LOG_SYNC": sync, "MIN_FREE_BYTES": "0"})}}
    with running(spec, str(HERE.parent)) as (url, _pid, options):
        watcher = Watcher(url)
        agent = socket.socket(socket.AF_UNIX)
        agent.connect(options[options.index("--pub-unix") + 1])
        taken = []
        for number in range(lines + 50):
            marker = b"@%d@" % number
            line = b'{"type":"assistant","t":"%b%b"}\n' % (marker, b"x" * size)
            start = time.perf_counter()
            agent.sendall(line)
            watcher.wait_for(marker)
            taken.append(time.perf_counter() - start)
            time.sleep(PAUSE_S)
        agent.close()
        watcher.close()
    return taken[50:]


def measure_limit(lines: int, size: int) -> list[float]:
    """Return seconds for one append with fdatasync and one loopback send and receive."""
    listener = socket.create_server(("127.0.0.1", 0))
    sender = socket.create_connection(listener.getsockname())
    sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    receiver, _ = listener.accept()
    data = b"x" * (size + 250)
    taken = []
    with tempfile.TemporaryDirectory() as folder:
        fd = os.open(Path(folder) / "limit", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        flush = getattr(os, "fdatasync", os.fsync)
        for _ in range(lines):
            start = time.perf_counter()
            os.write(fd, data)
            flush(fd)
            sender.sendall(data)
            got = 0
            while got < len(data):
                got += len(receiver.recv(1 << 16))
            taken.append(time.perf_counter() - start)
            time.sleep(PAUSE_S)
        os.close(fd)
    for each in (listener, sender, receiver):
        each.close()
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--lines", type=int, default=400)
    parser.add_argument("--size", type=int, default=200)
    parser.add_argument("--sync", default="always")
    args = parser.parse_args()
    os.chdir(HERE / "fanout")  # the servers file names its programs from there
    rows: dict[str, list[float]] = {}
    for _ in range(args.rounds):
        hub = measure_hub(args.lines, args.size, args.sync)
        limit = measure_limit(args.lines, args.size)
        for name, share in (("p50", 0.5), ("p99", 0.99)):
            ours, bound = percentile(hub, share), percentile(limit, share)
            for key, value in (("hub", ours), ("limit", bound), ("ratio", ours / bound)):
                rows.setdefault(f"{name} {key}", []).append(value)
    print(f"LOG_SYNC={args.sync}, {args.size} B, {args.lines} lines, {args.rounds} rounds")
    for name in ("p50", "p99"):
        ours, bound, ratio = (rows[f"{name} {key}"] for key in ("hub", "limit", "ratio"))
        print(
            f"{name}: hub {statistics.median(ours) * 1e3:.2f} ms, "
            f"fdatasync + send {statistics.median(bound) * 1e3:.2f} ms, "
            f"ratio {statistics.median(ratio):.1f} ({min(ratio):.1f} to {max(ratio):.1f})"
        )


if __name__ == "__main__":
    main()
