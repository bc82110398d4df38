"""Measure the agent through the hub, against the agent alone.

    python -m bench.agent [--rounds 5] [--only turn,line,…] [--real 2.1.331=/path/to/claude]…

Each row is a ratio of medians over the interleaved rounds, and says what it compares. With --real
the rows use the real CLI against tests/fake_messages_api.py on loopback, otherwise the mock CLI.
"""

import argparse
import sys

from bench.agentbench.lines import burst, line, many
from bench.agentbench.turns import deltas, turn
from tests.agents import Agent
from tests.harness import MOCK


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
