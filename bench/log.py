#!/usr/bin/env python3
"""The message log: twelve ratios in one interleaved run, beside their targets.

    bench/log.py [--rounds 5] [--size 1GiB-in-bytes] [--rows 6,7]

Every figure is the median over the rounds of a ratio within a round. Exit code 1: a figure missed
its target. The run ends if a comparison is impossible.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.logbench.appending import Appending
from bench.logbench.corpus import Corpus
from bench.logbench.querying import Querying
from bench.logbench.starting import Starting
from bench.logbench.together import Together

Round = Callable[[], Iterator[tuple[str, float]]]


@dataclass(frozen=True)
class Target:
    """The limit of a figure: a minimum with `at_least`, else a maximum."""

    what: str
    bound: float
    at_least: bool

    def is_met(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound


TARGETS = {
    "1": Target("encode, crc and batched write, to os.write each", 0.5, True),
    "2": Target("always, 20 producers, 8 outstanding, to a flush each", 8, True),
    "3": Target("the same, 1 outstanding", 3, True),
    "4": Target("always, batches of 64, to SQLite WAL FULL", 1.5, True),
    "5": Target("storing a line, to simplejson.loads of it", 0.3, False),
    "6 warm": Target("100 records, the slowest query: how often it fits in wc -l", 200, True),
    "6 evicted": Target("the same with the pages evicted", 40, True),
    "6 flat": Target("99 % to 1 %", 3, False),
    "6 gzip": Target("compressed with gzip, to plain", 3, False),
    "6 zstd": Target("compressed with zstd, to plain", 3, False),
    "7": Target("the same queries, to a SQLite index", 8, False),
    "8 clean": Target("opening 100 logs after a clean stop, to wc -l of one", 0.1, False),
    "8 crash": Target("the same after kill -9", 3, False),
    "8 size": Target("the same, 1 GiB segments to 16 MiB ones", 1.5, False),
    "9": Target("history as frames, to loads and dumps", 5, True),
    "9 memory": Target("MiB that the hub grows while it streams it all, slowly", 32, False),
    "10 rate": Target("append rate with 4 history readers, to alone", 0.4, True),
    "10 p99": Target("99th percentile of an append with them, to alone", 6, False),
    "11": Target("100 logs at once, to one", 1.5, True),
    "12": Target("acknowledged and lost, or wrong, after kill -9", 0, False),
}


def measure(rounds: list[Round], wanted: set[str], count: int) -> dict[str, list[float]]:
    """Measure the rows, round by round."""
    found: dict[str, list[float]] = {}
    for number in range(count):
        for row in rounds:
            for name, value in row():
                if not wanted or name.split()[0] in wanted:
                    found.setdefault(name, []).append(value)
        print(f"round {number + 1} of {count}", file=sys.stderr)
    return found


def report(found: dict[str, list[float]]) -> bool:
    """Print the table; return True if every figure met its target."""
    print("| row | what | target | median | range | |")
    print("| --- | --- | --- | --- | --- | --- |")
    all_met = True
    for name, target in TARGETS.items():
        if name not in found:
            continue
        values = found[name]
        median = statistics.median(values)
        met = target.is_met(median)
        all_met &= met
        sign = "≥" if target.at_least else "≤"
        span = f"{min(values):.3g} to {max(values):.3g}"
        verdict = "" if met else "MISSED"
        bound = f"{sign} {target.bound:g}"
        print(f"| {name} | {target.what} | {bound} | {median:.3g} | {span} | {verdict} |")
    return all_met


def one_flush_s(folder: Path) -> float:
    """Return the median seconds of a flush on this machine."""
    fd = os.open(folder / "flush", os.O_WRONLY | os.O_CREAT)
    times = []
    for _ in range(50):
        os.write(fd, b"x" * 1000)
        start = time.perf_counter()
        os.fdatasync(fd)
        times.append(time.perf_counter() - start)
    os.close(fd)
    return statistics.median(times)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=1 << 30, help="bytes of the log that is read")
    parser.add_argument("--rows", default="", help="such as 6,7; default: all")
    parser.add_argument("--dir", default=None, help="where the logs are made; not a tmpfs")
    options = parser.parse_args()
    wanted = set(filter(None, options.rows.split(",")))
    with tempfile.TemporaryDirectory(dir=options.dir) as scratch:
        folder = Path(scratch)
        kind = subprocess.run(
            ["stat", "-f", "-c", "%T", scratch], check=True, capture_output=True, text=True
        ).stdout.strip()
        print(
            f"on {kind}; one fdatasync takes {one_flush_s(folder) * 1000:.2f} ms", file=sys.stderr
        )
        assert kind != "tmpfs", "a flush on tmpfs costs nothing; use --dir"
        found = measure(chosen(folder, options.size, wanted), wanted, options.rounds)
    return 0 if report(found) else 1


def chosen(folder: Path, size_bytes: int, wanted: set[str]) -> list[Round]:
    """Return the rounds of the chosen rows. Only rows that read the corpus have it made."""
    appending = Appending(folder)
    rows: list[tuple[str, Round]] = [
        ("1", appending.raw_write),
        ("2 3", appending.group_commit),
        ("4", appending.sqlite),
        ("5", appending.encoding),
        ("11", appending.many_logs),
    ]
    if not wanted or wanted & {"6", "7", "8", "9", "10", "12"}:
        print(f"making a log of {size_bytes >> 20} MiB, three times", file=sys.stderr)
        corpus = Corpus(folder, size_bytes)
        querying, together = Querying(corpus), Together(corpus, folder)
        rows += [
            ("6 7", querying.queries),
            ("8", Starting(corpus, folder).start),
            ("9", querying.history),
            ("9", together.slow_client),
            ("10", together.readers),
            ("12", together.kills),
        ]
    return [row for names, row in rows if not wanted or wanted & set(names.split())]


if __name__ == "__main__":
    sys.exit(main())
