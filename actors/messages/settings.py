"""The settings that change while the server runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from storage.segments import Compression


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeSettings:
    """From main, at SIGHUP, to the Hub and the Auditor. The Hub passes it on to the Rotator and its
    Projects, and each Project to its Executor. What runs keeps what it has begun with."""

    compression: Compression
    execution_timeout_s: float
    kill_grace_s: float
    max_projects: int
    max_connections: int
    max_queue: int
    min_free_bytes: int
    permission_mode: str
    permission_timeout_s: float
    retain_bytes: int
    retain_days: int
    revoke_kills: bool
    roots: Sequence[Path]
    rotate_days: int
    trusts_all: bool
    warm_ahead: bool
    warm_idle_s: float
    warm_sessions: int
