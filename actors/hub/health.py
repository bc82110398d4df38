"""The answer to health_check."""

from actors.hub.registry import Registry
from actors.runtime.problems import Problems
from protocol.updates import Health, ProjectStatus, WarmSession

PROBLEMS_SHOWN_MAX = 100


def health_of(
    registry: Registry,
    parts: Problems,
    *,
    version: str,
    uptime_s: float,
    connections: int,
    claude: str | None,
    warm_sessions: list[WarmSession],
) -> Health:
    """Return the answer; `degraded` while a project or a part of the server has a problem."""
    entries = list(registry.values())
    found = parts.now() + [
        f"project {e.meta.project_id}: {e.problem}" for e in entries if e.problem
    ]
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
        executing=len([e for e in entries if e.status is ProjectStatus.EXECUTING]),
        claude=claude,
        warm_sessions=warm_sessions,
    )
