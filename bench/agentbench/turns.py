"""Rows of whole turns: through the hub, on the bare process, with a process for each; and
deltas."""

import json
import os
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psutil

from bench.agentbench.clients import BareClient, make, median, report, timed
from protocol.claude import user_line
from tests.agents import QUIET, Agent, fake_api, hub_with
from tests.harness import HubProcess

TURNS = 20
# A pause before each turn: the hub's work after an end does not count in the next turn.
PAUSE_S = 0.02
PROMPT = "[[text:HELLO]]"


class Bare:
    """The CLI on a pipe, without a hub."""

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
        self._process.stdin.write(user_line(prompt, str(uuid.uuid4())))
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
    """Report a warm turn through the hub against the two others."""
    through, bare, cold = (1000 * median(seconds) for seconds in _turns(agent, rounds))
    report(f"{agent}: warm turn / claude -p each time", through / cold, "<= 0.1", cold_ms=cold)
    report(f"{agent}: hub's share of a warm turn, ms", through - bare, "<= 2", bare_ms=bare)
    share = (through - bare) / through
    report(f"{agent}: hub's share / the turn", share, "<= 0.1", through_ms=through)


def _turns(agent: Agent, rounds: int) -> tuple[list[float], list[float], list[float]]:
    """Return seconds: through the hub, on the bare process, with a process for each turn."""
    through: list[float] = []
    bare: list[float] = []
    cold: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder).resolve()
        with (
            environment_of(agent, scratch) as environment,
            hub_with(agent, scratch) as hub,
            hub.client() as client,
        ):
            warm = BareClient(hub, make(hub, client, "p"))
            process = Bare(agent.command.split(), scratch, environment)
            warm.turn(PROMPT)
            process.turn(PROMPT)
            for _ in range(rounds):
                for _ in range(TURNS):
                    for found, one in ((through, warm), (bare, process)):
                        time.sleep(PAUSE_S)
                        found.append(timed(partial(one.turn, PROMPT)))
                cold.append(timed(partial(_once, agent, scratch, environment)))
            process.stop()
            warm.close()
    return through, bare, cold


def _once(agent: Agent, folder: Path, environment: dict[str, str]) -> None:
    """Run one process for one prompt."""
    subprocess.run(
        [*agent.command.split(), *Bare.ARGUMENTS],
        input=user_line(PROMPT, str(uuid.uuid4())),
        env=environment,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        check=True,
    )


def deltas(agent: Agent, rounds: int) -> None:
    """Report the hub's processor time for 2,000 deltas with DELTA_HOLD, against without."""
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
