#!/usr/bin/env python3
"""Run a hub under load and faults for minutes or hours, and check every client's stream.

    bench/soak.py --minutes 60 --svg soak.svg

One hundred clients join, leave, execute, kill, answer, read slowly and drop, over twenty projects
whose agents are the mock. Meanwhile the hub, its guardian and its agents are killed, its disk is
full, its actors fail, its clock steps. Exit code 1 says that something was lost, doubled or left,
or that memory, descriptors or threads rose. The seed fixes what is chosen, not how it interleaves.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.soakbench.picture import draw
from bench.soakbench.report import is_good, slopes, table
from bench.soakbench.run import Outcome, Plan, Soak

FAULTS = "server,agent,guardian,disk,actor,clock,hangup,stacks,network"
PROGRESS_S = (5.0, 60.0)  # on a terminal, elsewhere


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--projects", type=int, default=20)
    parser.add_argument("--faults", default=FAULTS, help=f"any of {FAULTS}")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cores", type=float, default=0.5, help="processor time of all together")
    parser.add_argument("--fault-gap-s", type=float, default=8.0, help="between two faults")
    parser.add_argument("--svg", type=Path, help="where to draw the curves")
    given = parser.parse_args()
    given.faults = tuple(filter(None, given.faults.split(",")))
    if unknown := set(given.faults) - set(FAULTS.split(",")):
        parser.error(f"no such fault: {', '.join(sorted(unknown))}")
    return given


async def tell_progress(soak: Soak) -> None:
    pause_s = PROGRESS_S[0] if sys.stdout.isatty() else PROGRESS_S[1]
    while True:
        await asyncio.sleep(pause_s)
        done, sample = soak.ledger.done, (soak.meter.samples or [None])[-1]
        facts = "no sample yet"
        if sample is not None:
            facts = (
                f"{sample.memory_mib:.0f} MiB, {sample.descriptors} descriptors, "
                f"{sample.threads} threads, {sample.processes} processes"
            )
        print(
            f"{soak.meter.now_s() / 60:6.1f} min  {done['actions']} actions, "
            f"{done['updates received']} updates, {len(soak.outcome.marks)} faults, "
            f"{soak.pace.rate:.1f} actions/s; {facts}; "
            f"wrong: {sum(soak.ledger.findings.counts.values())}",
            flush=True,
        )


async def run(plan: Plan, scratch: Path) -> Outcome:
    soak = Soak(plan, scratch, lambda said: print(said, flush=True))
    telling = asyncio.create_task(tell_progress(soak))
    try:
        return await soak.run()
    finally:
        telling.cancel()
        soak.hub.disk.close()
        if soak.ledger.findings.counts:
            kept = Path(tempfile.gettempdir()) / f"soak-{time.strftime('%H%M%S')}-stderr"
            kept.write_bytes(soak.hub.errors.read_bytes())
            print(f"what the hub said is in {kept}", flush=True)


def main() -> int:
    given = arguments()
    plan = Plan(
        minutes=given.minutes,
        clients=given.clients,
        projects=given.projects,
        faults=given.faults,
        seed=given.seed,
        cores=given.cores,
        fault_gap_s=given.fault_gap_s,
    )
    with tempfile.TemporaryDirectory(prefix="soak-") as scratch:
        outcome = asyncio.run(run(plan, Path(scratch)))
    found = slopes(outcome)
    print(table(outcome, found))
    if given.svg is not None:
        given.svg.write_text(draw(outcome, found))
        print(f"drawn in {given.svg}")
    return 0 if is_good(outcome, found) else 1


if __name__ == "__main__":
    sys.exit(main())
