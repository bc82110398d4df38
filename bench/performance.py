#!/usr/bin/env python3
"""Make the table and the picture of docs/performance.md: the hub beside gorilla, row by row.

    bench/performance.py --rounds 5 --out docs/performance.json --picture docs/performance.svg

For each row, each round starts the servers in random order, measures each once and stops it. A
ratio is the hub's figure to gorilla's of the same round; the table shows the median over the
rounds. Needs bench/fanout built with its peer gorilla (bench/fanout/README.md).
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

FANOUT = Path(__file__).resolve().parent / "fanout"
sys.path[:0] = [str(FANOUT), str(FANOUT.parent)]

from chart import draw
from server import running

DELIVERIES = 1_000_000  # at window 64: shorter runs are noise
JOIN = ["--join", '{"type":"join"}', "--joined", "joined"]


@dataclass(frozen=True)
class Row:
    """`key` names the compared figure of fanload's report; `targets` are those of `hub` and
    `hub-never`."""

    name: str
    subs: int
    size: int
    key: str = "deliveries_per_s"
    window: int = 64
    rate: float = 0
    messages: int = 0
    base: str = "gorilla"
    deflate: int = 0
    stall: bool = False
    targets: tuple[float | None, float | None] = (None, None)
    more_is_better: bool = True


ROWS = [
    Row("window 64, 100 x 200 B", 100, 200, targets=(4, 5.5)),
    Row("window 64, 1000 x 200 B", 1000, 200, targets=(5, 5)),
    Row("window 64, 10 x 200 B", 10, 200, messages=60_000, targets=(1.3, 1.8)),
    Row("window 64, 100 x 2 KiB", 100, 2048, targets=(3.5, 4)),
    Row("window 1, 100 x 200 B", 100, 200, window=1, messages=2000, targets=(0.6, 0.8)),
    Row("window 1, 1000 x 200 B", 1000, 200, window=1, messages=200, targets=(1, 1)),
    Row(
        "rate 100/s, 100 subscribers: p99",
        100,
        200,
        key="p99_us",
        window=1000,
        rate=100,
        messages=300,
        targets=(1.5, 1.2),
        more_is_better=False,
    ),
    Row(
        "deflate, 100 x 2 KiB / compressing per client",
        100,
        2048,
        base="gorilla-deflate",
        deflate=1,
        targets=(4, None),
    ),
    Row(
        "one of 100 stalled: p99 of the others / none stalled",
        100,
        16384,
        key="p99_us",
        window=2000,
        rate=100,
        messages=700,
        base="hub",
        stall=True,
        targets=(1.3, None),
        more_is_better=False,
    ),
    Row(
        "CPU for each delivery, window 64, 100 subscribers",
        100,
        200,
        key="server_cpu_us_per_delivery",
        targets=(0.2, None),
        more_is_better=False,
    ),
    Row(
        "CPU for each delivery, window 1, 1000 subscribers",
        1000,
        200,
        key="server_cpu_us_per_delivery",
        window=1,
        messages=200,
        targets=(1, None),
        more_is_better=False,
    ),
]


@dataclass
class Result:
    """The ratios by round, and the figures behind them."""

    name: str
    ratios: dict[str, list[float]] = field(default_factory=dict)
    values: dict[str, list[float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def measure(row: Row, server: str, servers: dict, checkout: str, *, stall: bool = False) -> dict:
    """Make one run. Raises SystemExit if it fails."""
    messages = row.messages or max(20, DELIVERIES // row.subs)
    with running(servers[server], checkout) as (url, pid, args):
        command = [str(FANOUT / "build/fanload"), "--url", url, "--subs", str(row.subs)]
        command += ["--size", str(row.size), "--messages", str(messages)]
        command += ["--warm", str(max(1, messages // 10)), "--window", str(row.window)]
        command += ["--rate", str(row.rate), "--deflate", str(row.deflate)]
        command += ["--server-pid", str(pid), "--timeout", "30", *JOIN, *args]
        if stall:
            command += ["--stall", "1", "--resume", "0"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    report = json.loads(done.stdout) if done.stdout else {"ok": False}
    if not report["ok"]:
        raise SystemExit(f"{row.name}, {server}: {report} {done.stderr[-300:]}")
    return report


def run_row(row: Row, rounds: int, servers: dict, checkout: str) -> Result:
    result = Result(row.name)
    hubs = ["hub"] if row.targets[1] is None else ["hub", "hub-never"]
    for _ in range(rounds):
        runs = [(row.base, False), *((hub, row.stall) for hub in hubs)]
        random.shuffle(runs)
        reports = {}
        for server, stall in runs:
            reports[server, stall] = measure(row, server, servers, checkout, stall=stall)
        base = reports[row.base, False][row.key]
        result.values.setdefault(row.base, []).append(base)
        for hub in hubs:
            report = reports[hub, row.stall]
            result.ratios.setdefault(hub, []).append(report[row.key] / base)
            result.values.setdefault(hub + (" stalled" if row.stall else ""), []).append(
                report[row.key]
            )
            if row.stall:
                fate = f"closed {report['stalled_close_code']}: {report['stalled_close_reason']}"
                result.notes.append(f"{fate}; grew {report['server_rss_growth_mb']:.0f} MB")
    return result


def line(row: Row, result: Result) -> str:
    cells = [row.name]
    for hub, target in zip(("hub", "hub-never"), row.targets, strict=True):
        ratios = result.ratios.get(hub)
        if not ratios or target is None:
            cells += ["", ""]
            continue
        median = statistics.median(ratios)
        met = median >= target if row.more_is_better else median <= target
        sign = "≥" if row.more_is_better else "≤"
        cells.append(f"{sign} {target:g}")
        missed = "" if met else " (missed)"
        cells.append(f"**{median:.2f}**{missed}, {min(ratios):.2f} to {max(ratios):.2f}")
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", default="", help="numbers from 1, with commas")
    parser.add_argument("--checkout", default=str(FANOUT.parent.parent))
    parser.add_argument("--out", default="", help="results as JSON")
    parser.add_argument("--picture", default="", help="results as SVG")
    options = parser.parse_args()
    servers = json.loads((FANOUT / "servers.json").read_text())
    for server in servers.values():
        server["cmd"] = [str(FANOUT / p) if (FANOUT / p).exists() else p for p in server["cmd"]]
    wanted = [int(n) - 1 for n in options.rows.split(",")] if options.rows else range(len(ROWS))
    rows = [ROWS[number] for number in wanted]
    print("| | `always`: target | reached | `never`: target | reached |\n|---|---|---|---|---|")
    results = []
    for row in rows:
        results.append(run_row(row, options.rounds, servers, options.checkout))
        print(line(row, results[-1]), flush=True)
        for note in results[-1].notes[:1]:
            print(f"  {note}", file=sys.stderr)
    if options.out:
        Path(options.out).write_text(json.dumps([asdict(r) for r in results], indent=1) + "\n")
    if options.picture:
        Path(options.picture).write_text(draw(rows, results))


if __name__ == "__main__":
    main()
