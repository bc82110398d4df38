"""The answer to health_check."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from actors import messages
from actors.hub.registry import Registry
from actors.hub.warm_processes import WarmProcesses
from actors.messages.replies import ReplyTo
from actors.metrics import catalogue
from actors.metrics.catalogue import OPENING
from actors.metrics.meter import Reading, by_label
from actors.runtime.clock import Timers
from actors.runtime.refs import Ref
from protocol.requests import HealthCheck, MachineCheck
from protocol.updates import Health, ProjectStatus, WarmSession

PROBLEMS_SHOWN_MAX = 100
# How long an answer waits for the version of the CLI, which has just been asked for it.
CLI_WAIT_S = 1.0
WAITING_MAX = 64


def health_of(
    registry: Registry,
    parts: list[str],
    *,
    version: str,
    uptime_s: float,
    connections: int,
    claude: str | None,
    warm_sessions: list[WarmSession],
) -> Health:
    """Return the answer; `degraded` while a project or a part of the server has a problem. `parts`
    are the sentences about the parts."""
    entries = list(registry.values())
    found = parts + [f"project {e.meta.project_id}: {e.problem}" for e in entries if e.problem]
    problems = found[:PROBLEMS_SHOWN_MAX]
    if len(found) > len(problems):
        problems.append(f"and {len(found) - len(problems)} more; see the log")
    return Health(
        status="degraded" if problems else "ok",
        problems=problems,
        version=version,
        uptime_seconds=round(uptime_s, 3),
        connections=connections,
        projects=len([e for e in entries if not e.is_deleting]),
        executing=executing_in(registry),
        claude=claude,
        warm_sessions=warm_sessions,
    )


def executing_in(registry: Registry) -> int:
    """Return how many projects execute a prompt."""
    return sum(e.status is ProjectStatus.EXECUTING for e in registry.values())


def doing_of(registry: Registry, clients: int, *, is_ending: bool) -> str:
    """Return what the hub does, in one sentence for the operator."""
    executing = executing_in(registry)
    if is_ending:
        return f"stopping: {executing} executing"
    counts = _counted(clients, "client"), _counted(len(registry), "project")
    return f"{', '.join(counts)}, {executing} executing"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def readings_of(
    registry: Registry, clients: Mapping[str, Ref], warm: WarmProcesses
) -> list[Reading]:
    """Return what a scrape shows of the Hub, in a thread of its own: `list` copies in one step."""
    entries, sessions = list(registry.values()), warm.sessions
    statuses = [entry.status or OPENING for entry in entries]
    return [
        *by_label(catalogue.PROJECTS, map(str, statuses)),
        (catalogue.PROBLEMS, (), len([entry for entry in entries if entry.problem])),
        (catalogue.CONNECTIONS, (), len(clients)),
        (catalogue.WARM, (), len(sessions)),
        (catalogue.WARM_BYTES, (), sum(session.memory_bytes or 0 for session in sessions)),
    ]


class HealthChecks:
    """Answers that wait until the CLI has named its version, for a moment. For the Hub's thread
    only; `health` makes the answer, `details` what a MachineCheck tells beside it."""

    def __init__(
        self,
        *,
        hub: Ref,
        timers: Timers,
        is_cli_known: Callable[[], bool],
        health: Callable[[], Health],
        details: Callable[[], dict[str, Any]],
    ) -> None:
        self._hub = hub
        self._timers = timers
        self._is_cli_known = is_cli_known
        self._health = health
        self._details = details
        self._waiting: deque[tuple[ReplyTo, HealthCheck]] = deque()

    def ask(self, reply_to: ReplyTo, request: HealthCheck) -> None:
        """Answer, or wait; past WAITING_MAX nobody waits."""
        if self._is_cli_known() or len(self._waiting) >= WAITING_MAX:
            self._answer(reply_to, request)
            return
        self._waiting.append((reply_to, request))
        self._timers.after(CLI_WAIT_S, self._hub, messages._HealthDue())

    def answer(self) -> None:
        """Answer everybody who waits."""
        while self._waiting:
            self._answer(*self._waiting.popleft())

    def _answer(self, reply_to: ReplyTo, request: HealthCheck) -> None:
        health: dict[str, Any] = self._health().model_dump(mode="json")
        if isinstance(request, MachineCheck):
            health |= self._details()
        reply_to.result(health)
