"""One soak, from the first start of the hub to the look at what it leaves."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench.soakbench.actions import Actions
from bench.soakbench.client import Ledger, SoakClient
from bench.soakbench.faults import ENDS_THE_SERVER, Faults, Mark, deck
from bench.soakbench.hub_process import SoakedHub
from bench.soakbench.log_check import LogTotals, check_logs
from bench.soakbench.pacing import Pace
from bench.soakbench.projects import Projects
from bench.soakbench.samples import PERIOD_S, Meter

WARM_UP_MAX_S = 600.0
WARM_UP_SHARE = 1 / 3
END_PHASE_SHARE = 0.05
END_PHASE_MIN_S = 15.0
CALM_EVERY_S = (20.0, 60.0)  # in a short run, in a long one
CALM_WAIT_S = 90.0
CALM_PAUSE_S = 1.0
LOOK_S = 0.25
SERVER_GAP_S = 25.0
BUSY_MAX = 40  # clients that do something at once
STEP_MAX_S = 180.0  # a fault, or an action, that takes longer is stuck
HOME_MAX = 3

SETTINGS = {
    "CLAUDE_MOCK_VERSION": "2.1.331",
    "MAX_CONN": "400",
    "KILL_GRACE": "1s",
    "EXEC_TIMEOUT": "30s",
    "PERMISSION_TIMEOUT": "4s",
    "WARM_SESSIONS": "4",
    "SLOW_CLIENT_BYTES": "512KiB",
    "MSG_ROTATE_SIZE": "1MiB",
    "LOG_COMPRESS": "gzip",
    "HEARTBEAT": "10s",
    "LOG_LEVEL": "info",
    "LOG_FORMAT": "json",
}


@dataclass(frozen=True)
class Plan:
    """What was asked for on the command line."""

    minutes: float
    clients: int
    projects: int
    faults: tuple[str, ...]
    seed: int
    cores: float
    fault_gap_s: float = 8.0

    @property
    def total_s(self) -> float:
        return self.minutes * 60

    @property
    def warm_up_s(self) -> float:
        return min(WARM_UP_MAX_S, self.total_s * WARM_UP_SHARE)

    @property
    def last_start_s(self) -> float:
        """Until then the server is killed. The life that begins then is the measured one."""
        return self.warm_up_s / 2

    @property
    def end_phase_s(self) -> float:
        """From then on the server is killed again, now with the logs of the whole run."""
        return self.total_s - max(END_PHASE_MIN_S, self.total_s * END_PHASE_SHARE)

    def may_end_the_server(self, at_s: float) -> bool:
        return at_s < self.last_start_s or at_s > self.end_phase_s

    def is_measured(self, at_s: float) -> bool:
        return self.warm_up_s <= at_s <= self.end_phase_s


@dataclass
class Outcome:
    """What a run has found, for the report."""

    plan: Plan
    ledger: Ledger
    meter: Meter
    disk: str
    seconds: float = 0.0
    lives: int = 0
    marks: list[Mark] = field(default_factory=list)
    totals: LogTotals = field(default_factory=LogTotals)
    exit_code: int | None = None
    cores_used: float = 0.0


class Soak:
    """The load, the faults and the measurements of one run."""

    def __init__(self, plan: Plan, scratch: Path, say: Callable[[str], None]) -> None:
        self.plan = plan
        self.ledger = Ledger()
        self.hub = SoakedHub(scratch, **SETTINGS)
        self.projects = Projects(plan.projects, self.hub.roots)
        self.meter = Meter()
        self.pace = Pace(plan.cores)
        self.outcome = Outcome(plan, self.ledger, self.meter, self.hub.disk.kind)
        self._say = say
        self._chance = random.Random(plan.seed)
        self._actions = Actions(self.projects, self._chance, f"run-{os.getpid()}")
        self._clients = [self._client(number) for number in range(plan.clients)]
        self._faults = Faults(self.hub, self._clients, self._chance)
        self._busy: set[asyncio.Task[None]] = set()
        self._may_act = asyncio.Event()
        self._connections: list[asyncio.Task[None]] = []

    def _client(self, number: int) -> SoakClient:
        count = min(len(self.projects.steady), self._chance.randint(1, HOME_MAX))
        home = self._chance.sample(self.projects.steady, count)
        client = SoakClient(
            number, self.ledger, self._chance, home, deflates=self._chance.random() < 0.2
        )
        client.on_update = self._actions.take_update
        return client

    async def run(self) -> Outcome:
        """Run it all. Raises nothing for what the hub does wrong: that is in the findings."""
        await self.hub.begin()
        try:
            await self._under_load()
            self._say("the load has ended; the clients catch up")
            await self._settle()
        finally:
            await self._stop()
        self._say("the hub has stopped; the logs are read")
        await asyncio.to_thread(self._judge_what_is_left)
        self.outcome.lives = self.hub.lives
        self.outcome.seconds = self.meter.now_s()
        if self.pace.used:
            self.outcome.cores_used = sum(self.pace.used) / len(self.pace.used)
        return self.outcome

    async def _under_load(self) -> None:
        await self._begin_clients()
        self.meter.begin()
        self.ledger.latencies.begin()
        self._may_act.set()
        measuring = asyncio.create_task(self._measure())
        acting = asyncio.create_task(self._act())
        await self._break_and_calm()
        self._may_act.clear()
        acting.cancel()
        await self._until_nobody_acts()
        measuring.cancel()

    async def _begin_clients(self) -> None:
        """Make the projects through a client without a home; then all others connect and join."""
        first = self._clients[0]
        home, first.home = first.home, []
        self._connections.append(asyncio.create_task(first.run(self.hub.url)))
        await self._until("the first client connects", first.is_ready.is_set)
        for project_id in self.projects.steady:
            await self._actions.make(first, project_id)
        for place in self.projects.passing:
            await self._actions.create(first, place)
        first.home = home
        self._connections += [
            asyncio.create_task(client.run(self.hub.url)) for client in self._clients[1:]
        ]
        await self._everyone_home()

    async def _act(self) -> None:
        while True:
            await asyncio.sleep(self._chance.expovariate(self.pace.rate))
            await self._may_act.wait()
            free = [c for c in self._clients if c.is_ready.is_set() and not c.is_busy]
            if free and len(self._busy) < BUSY_MAX:
                task = asyncio.create_task(self._act_once(self._chance.choice(free)))
                self._busy.add(task)
                task.add_done_callback(self._busy.discard)

    async def _act_once(self, client: SoakClient) -> None:
        action = self._actions.choose()
        client.is_busy = True
        try:
            await asyncio.wait_for(action(client), STEP_MAX_S)
        except TimeoutError:
            self.ledger.findings.note("stuck", f"{client.name} in {action.__name__}")
        finally:
            client.go_on_reading()
            client.is_busy = False
        self.ledger.done["actions"] += 1

    async def _measure(self) -> None:
        while True:
            await asyncio.sleep(PERIOD_S)
            if not self.hub.is_ending:
                self.meter.take(self.hub.pid, self.hub.lives)
                self.pace.look(self.hub.pid)
                if not self.hub.is_running():
                    await self._begin_again()

    async def _begin_again(self) -> None:
        """The server has ended by itself."""
        tail = self.hub.errors.read_text(errors="replace")[-600:]
        self.ledger.findings.note("the server ended", tail)
        self.hub.stop()
        await self.hub.begin()

    # -- faults and calm moments, one after the other

    async def _break_and_calm(self) -> None:
        others = [kind for kind in self.plan.faults if kind != ENDS_THE_SERVER]
        deal = deck(others, self._chance)
        calm_gap_s = min(max(CALM_EVERY_S[0], self.plan.total_s / 60), CALM_EVERY_S[1])
        began, is_held = time.monotonic(), False
        next_fault_s, next_server_s, next_calm_s = (
            self.plan.fault_gap_s,
            SERVER_GAP_S / 2,
            calm_gap_s,
        )
        while (now_s := time.monotonic() - began) < self.plan.total_s:
            if self.plan.is_measured(now_s) and not is_held:
                self.pace.hold()
                is_held = True
            if now_s >= next_calm_s:
                await self._calm()
                next_calm_s = time.monotonic() - began + calm_gap_s
            elif now_s >= next_server_s and self.plan.may_end_the_server(now_s):
                if ENDS_THE_SERVER in self.plan.faults:
                    await self._fault(ENDS_THE_SERVER)
                next_server_s = time.monotonic() - began + SERVER_GAP_S
            elif now_s >= next_fault_s and others:
                await self._fault(deal())
                next_fault_s = time.monotonic() - began + self.plan.fault_gap_s
            await asyncio.sleep(LOOK_S)

    async def _fault(self, kind: str) -> None:
        at_s = self.meter.now_s()
        try:
            happened = await asyncio.wait_for(self._faults.kinds[kind](), STEP_MAX_S)
        except OSError as error:  # the server is between two lives
            self._say(f"no {kind}: {error}")
            return
        if happened:
            self.ledger.done[f"faults: {happened}"] += 1
            self.outcome.marks.append(Mark(at_s, kind))

    async def _calm(self) -> None:
        """Have no execution and everybody at home, and look at the server then."""
        self._may_act.clear()
        try:
            await self._until_nobody_acts()
            await self._everyone_home()
            await self._until_idle()
            await asyncio.sleep(CALM_PAUSE_S)
            if self._is_all_home():
                await self.meter.take_calm(self.hub.pid, self.hub.lives)
        finally:
            self._may_act.set()

    async def _until_nobody_acts(self) -> None:
        if self._busy:
            await asyncio.wait(self._busy, timeout=STEP_MAX_S + CALM_WAIT_S)
        await self._actions.idle()

    def _is_all_home(self) -> bool:
        return all(client.is_at_home() for client in self._clients)

    async def _everyone_home(self) -> None:
        deadline = time.monotonic() + CALM_WAIT_S
        while not self._is_all_home() and time.monotonic() < deadline:
            for client in self._clients:
                if client.is_ready.is_set() and not client.is_at_home():
                    await client.go_home()
            await asyncio.sleep(LOOK_S)
        if not self._is_all_home():
            away = [client.name for client in self._clients if not client.is_at_home()]
            self.ledger.findings.note("stuck", f"not at home after {CALM_WAIT_S:.0f} s: {away}")

    async def _until_idle(self) -> None:
        """Wait until no project has anything to run."""
        busy: list[str] = []
        deadline = time.monotonic() + CALM_WAIT_S
        while time.monotonic() < deadline:
            answer = await self._clients[0].request("project_list")
            if answer is not None and answer["type"] == "result":
                listed = answer["payload"]["projects"]
                busy = [p["project_id"] for p in listed if p["status"] == "executing" or p["queue"]]
                if not busy:
                    return
            await asyncio.sleep(LOOK_S)
        self.ledger.findings.note("stuck", f"still executing after {CALM_WAIT_S:.0f} s: {busy}")

    async def _until(self, what: str, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + CALM_WAIT_S
        while not holds():
            if time.monotonic() > deadline:
                self.ledger.findings.note("stuck", what)
                return
            await asyncio.sleep(LOOK_S)

    # -- the end

    async def _settle(self) -> None:
        """Bring back every project, and every client to the end of what it has joined."""
        for place in self.projects.passing:
            if not place.is_there:
                await self._actions.create(self._clients[0], place)
        await self._everyone_home()
        await self._until_idle()
        for client in self._clients:
            for project_id in client.home:
                await self._catch_up(client, project_id)

    async def _catch_up(self, client: SoakClient, project_id: str) -> None:
        """A client's position must be the log's last number, which a page tells."""
        answer = await client.request("get_messages", project_id=project_id, limit=1)
        if answer is None or answer["type"] == "error":
            self.ledger.findings.note("stuck", f"{client.name} gets no end of {project_id}")
            return
        last_seq = answer["payload"]["last_seq"]
        stream = client.streams[project_id]
        deadline = time.monotonic() + CALM_WAIT_S
        while stream.seq is None or stream.seq < last_seq:
            if time.monotonic() > deadline:
                self.ledger.findings.note(
                    "hole", f"{client.name} stays at {stream.seq} of {last_seq} in {project_id}"
                )
                return
            await asyncio.sleep(LOOK_S)

    async def _stop(self) -> None:
        for client in self._clients:
            client.go_on_reading()
        closing: list[Awaitable[None]] = [client.close() for client in self._clients]
        await asyncio.gather(*closing, return_exceptions=True)
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        self.outcome.exit_code = await asyncio.to_thread(self.hub.stop, signal.SIGTERM)

    def _judge_what_is_left(self) -> None:
        findings = self.ledger.findings
        if self.outcome.exit_code != 0:
            findings.note("the server ended", f"with {self.outcome.exit_code} at SIGTERM")
        for pid in self.hub.left():
            findings.note("a process left", str(pid))
        for line in self.hub.said():
            findings.note("a bug in its log", line)
        self.outcome.totals = check_logs(
            self.hub.data, self.ledger.records, self.ledger.book, findings
        )
