"""Measure what `claudehub attach` takes while an agent writes, in a real terminal (tmux).

    python -m bench.attach [--lines 10000] [--pauses 0.0006,0] [--rounds 3]

A mock of the CLI writes lines with a pause between them. For each pause the program prints the
median over the rounds: lines a second, how long after the last line at a bare client it stands on
the screen, and the share of a core that attach took.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psutil

from tests.harness import ROOT, HubProcess, WireClient
from tests.terminal import Terminal

PROGRAM = [sys.executable, str(ROOT / "claudehub" / "__main__.py"), "attach", "bench"]


def cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def measure(
    client: WireClient, terminal: Terminal, lines: int, pause_s: float
) -> tuple[float, float, float]:
    """Return lines a second, seconds of delay, and the share of a core."""
    process = terminal.program()
    before_s, began_s = cpu_s(process), time.monotonic()
    prompt = f"[[lines:{lines}]][[pace:{pause_s}]][[text:the end]]"
    client.run("bench", prompt if pause_s else prompt.replace(f"[[pace:{pause_s}]]", ""))
    ended_s = time.monotonic()
    last = f"line {lines - 1}"
    terminal.wait_until(lambda screen: "■ done in" in screen and last in screen)
    shown_s = time.monotonic()
    took_s = cpu_s(process) - before_s
    client.take()
    return lines / (ended_s - began_s), shown_s - ended_s, took_s / (shown_s - began_s)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=int, default=10_000)
    parser.add_argument("--pauses", default="0.0006,0")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    scratch = Path(tempfile.mkdtemp())
    hub = HubProcess(scratch, SOCKET=str(scratch / "hub.sock"), WS_PORT="off").start()
    environment = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
    with hub.client() as client:
        client.request("project_create", path=hub.folder("bench"), project_id="bench")
        client.request("project_join", project_id="bench")
        with Terminal(scratch, [*PROGRAM, "--url", hub.url], environment) as terminal:
            terminal.wait_for("● connected")
            for pause in given.pauses.split(","):
                found = [
                    measure(client, terminal, given.lines, float(pause))
                    for _ in range(given.rounds)
                ]
                rate, delay_s, share = (
                    statistics.median(column) for column in zip(*found, strict=True)
                )
                print(
                    f"pause {pause:>7} s: {rate:8,.0f} lines/s, on the screen {delay_s:.2f} s "
                    f"later, {share * 100:3.0f} % of a core"
                )
    hub.stop()


if __name__ == "__main__":
    main()
