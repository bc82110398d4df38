"""What the Auditor is told."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One line. `ok`: None where the outcome is not known; `key`: a fingerprint; `uid`: of a peer
    over the Unix socket; `suppressed`: so many, of any kind, came before it and were not
    written."""

    timestamp: str
    action: str
    client_id: str | None = None
    user: str | None = None
    fingerprint: str | None = None
    address: str | None = None
    uid: int | None = None
    project_id: str | None = None
    execution_id: str | None = None
    ok: bool | None = True
    code: str | None = None
    details: dict[str, Any] | None = None
    suppressed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _AuditSyncDue:
    """What was written is to be made durable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _AuditCheckDue:
    """Look at the age and the size of the files."""


AuditorMessage = AuditEntry | _AuditSyncDue | _AuditCheckDue
