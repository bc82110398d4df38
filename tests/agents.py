"""The agents of the conversations: the mock as either version, and the real CLI on a fake API on
loopback.

`CLAUDEHUB_REAL_CLI` names real ones, separated by commas: `2.1.331=/path/to/claude,2.1.197=…`
(.ci/conversations sets it).
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.harness import MOCK, HubProcess

NEW, OLD = "2.1.331", "2.1.197"
FAKE_API = Path(__file__).with_name("fake_messages_api.py")
# What keeps the real program from talking to anybody else.
QUIET = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_TELEMETRY": "1",
    "ANTHROPIC_API_KEY": "made-up",
}


@dataclass(frozen=True)
class Agent:
    """One agent; `command` is its CLAUDE_CMD."""

    version: str
    command: str
    is_real: bool

    def __str__(self) -> str:
        return f"{'real' if self.is_real else 'mock'}-{self.version}"

    @property
    def is_old(self) -> bool:
        return self.version == OLD


def agents() -> list[Agent]:
    """Return the mocks, and the real ones that the environment names."""
    mock = f"{sys.executable} {MOCK}"
    found = [Agent(version, mock, is_real=False) for version in (NEW, OLD)]
    for named in filter(None, os.environ.get("CLAUDEHUB_REAL_CLI", "").split(",")):
        version, path = named.split("=", 1)
        found.append(Agent(version, path, is_real=True))
    return found


@contextmanager
def fake_api(log: Path) -> Iterator[str]:
    """Start the fake API and yield its address. Each request becomes a line of `log`."""
    process = subprocess.Popen(
        [sys.executable, str(FAKE_API), "--port", "0"],
        env={**os.environ, "FAKE_API_LOG": str(log)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextmanager
def hub_with(agent: Agent, scratch: Path, **settings: str) -> Iterator[HubProcess]:
    """Start a hub whose agent has a home of its own. It must stop cleanly."""
    home = scratch / "home"
    home.mkdir(exist_ok=True)
    ours = {"CLAUDE_CMD": agent.command, "HOME": str(home), **settings}
    if not agent.is_real:
        ours["CLAUDE_MOCK_VERSION"] = agent.version
        with _running(HubProcess(scratch, **ours)) as hub:
            yield hub
        return
    with fake_api(scratch / "requests") as address:
        real = {
            **QUIET,
            "KILL_GRACE": "5s",
            "ANTHROPIC_BASE_URL": address,
            "CLAUDE_ENV": ",".join(QUIET),
            **ours,
        }
        with _running(HubProcess(scratch, **real)) as hub:
            yield hub


@contextmanager
def _running(hub: HubProcess) -> Iterator[HubProcess]:
    hub.start()
    try:
        yield hub
    except BaseException:
        hub.stop()
        raise
    assert hub.stop() == 0
