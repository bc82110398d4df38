"""What is done to the hub, and when."""

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import psutil

from bench.soakbench.client import SoakClient
from bench.soakbench.hub_process import SoakedHub

FULL_S = 3.0
STEPS_S = (3600.0, -7200.0, 86400.0 * 31, -86400.0 * 31, 0.5, -0.5)
ACTORS = ("Client", "Project", "Executor", "FileWatcher", "Rotator")
ENDS_THE_SERVER = "server"


@dataclass(frozen=True)
class Mark:
    """A fault that happened, for the picture."""

    at_s: float
    kind: str


class Faults:
    """Every kind, by its name on the command line. Each returns when it is over."""

    def __init__(
        self, hub: SoakedHub, clients: Sequence[SoakClient], chance: random.Random
    ) -> None:
        self._hub = hub
        self._clients = clients
        self._chance = chance
        self._step_s = 0.0
        self._deal_actor = deck(ACTORS, chance)
        self.kinds: dict[str, Callable[[], Awaitable[str]]] = {
            ENDS_THE_SERVER: self.kill_server,
            "agent": self.kill_agent,
            "guardian": self.kill_guardian,
            "disk": self.fill_disk,
            "actor": self.fail_actor,
            "clock": self.step_clock,
            "hangup": self.hang_up,
            "stacks": self.show_stacks,
            "network": self.drop_all,
        }

    async def kill_server(self) -> str:
        self._step_s = 0.0
        await self._hub.kill_and_begin()
        return "kill -9 of the server"

    async def kill_agent(self) -> str:
        agents = await asyncio.to_thread(self._hub.agents)
        if not agents:
            return ""
        try:
            self._chance.choice(agents).kill()
        except psutil.Error:
            return ""
        return "kill -9 of an agent"

    async def kill_guardian(self) -> str:
        guardian = await asyncio.to_thread(self._hub.guardian)
        if guardian is None:
            return ""
        guardian.kill()
        return "kill -9 of the guardian"

    async def fill_disk(self) -> str:
        pid = self._hub.pid
        await asyncio.to_thread(self._hub.disk.fill, pid)
        try:
            await asyncio.sleep(FULL_S)
        finally:
            await asyncio.to_thread(self._hub.disk.free, pid)
        return "full disk"

    async def fail_actor(self) -> str:
        actor = self._deal_actor()
        self._hub.tell(f"fail {actor}")
        return f"a failing {actor}"

    async def step_clock(self) -> str:
        """Step the wall clock; back again where it stands elsewhere."""
        step_s = -self._step_s if self._step_s else self._chance.choice(STEPS_S)
        self._step_s += step_s
        self._hub.tell(f"step {step_s}")
        return "a step of the clock"

    async def hang_up(self) -> str:
        os.kill(self._hub.pid, signal.SIGHUP)
        return "SIGHUP"

    async def show_stacks(self) -> str:
        os.kill(self._hub.pid, signal.SIGUSR1)
        return "SIGUSR1"

    async def drop_all(self) -> str:
        for client in self._clients:
            client.drop()
        return "all connections dropped"


def deck(kinds: Sequence[str], chance: random.Random) -> Callable[[], str]:
    """Return a function that deals the kinds in ever new orders, so that each comes as often."""
    left: list[str] = []

    def deal() -> str:
        if not left:
            left.extend(kinds)
            chance.shuffle(left)
        return left.pop()

    return deal
