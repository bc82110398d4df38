"""What every project of a server shares."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from actors.executor.actor import ExecutorSettings
from storage.layout import DataLayout
from storage.message_log import LogSettings


@dataclass(frozen=True, slots=True)
class ProjectSettings:
    """`roots` is PROJECT_ROOTS, `max_queue` MAX_QUEUE, `execution_timeout_s` EXEC_TIMEOUT."""

    layout: DataLayout
    log: LogSettings
    executor: ExecutorSettings
    roots: Sequence[Path]
    execution_timeout_s: float
    max_queue: int
    min_free_bytes: int
