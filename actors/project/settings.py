"""What all projects of a server share."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from actors import messages
from actors.access.prompt_keys import Standing
from actors.executor.settings import ExecutorSettings
from actors.metrics.meter import Meter
from actors.runtime.problems import Problems
from actors.tracing.spans import NoTracer, Tracer
from storage.layout import DataLayout
from storage.message_log import LogSettings


@dataclass(frozen=True, slots=True)
class ProjectSettings:
    """`roots` is PROJECT_ROOTS, `max_queue` MAX_QUEUE, and so on: each field has the name of its
    variable. `trusts_all` is TRUST_PROJECTS=all, `standing` what the keys allow now."""

    layout: DataLayout
    log: LogSettings
    executor: ExecutorSettings
    roots: Sequence[Path]
    execution_timeout_s: float
    max_queue: int
    min_free_bytes: int
    permission_timeout_s: float = 120.0
    warm_ahead: bool = False
    trusts_all: bool = False
    revoke_kills: bool = False
    standing: Standing = field(default_factory=Standing)
    problems: Problems = field(default_factory=Problems)
    meter: Meter | None = None
    tracer: Tracer = field(default_factory=NoTracer)

    def changed(self, change: messages.ChangeSettings) -> "ProjectSettings":
        """Return the settings after a change while the server runs."""
        return replace(
            self,
            executor=self.executor.changed(change),
            roots=change.roots,
            execution_timeout_s=change.execution_timeout_s,
            max_queue=change.max_queue,
            min_free_bytes=change.min_free_bytes,
            permission_timeout_s=change.permission_timeout_s,
            warm_ahead=change.warm_ahead,
            trusts_all=change.trusts_all,
            revoke_kills=change.revoke_kills,
        )
