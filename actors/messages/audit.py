"""The messages of the Auditor."""

from dataclasses import dataclass
from typing import Any

from actors.messages.settings import ChangeSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One line. `ok` is None if the outcome is unknown; `fingerprint` is that of an SSH key; `uid`
    that of a peer over the Unix socket; `suppressed` counts the entries before it that were not
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
class PlainRequestsBegan:
    """From the trail: plain HTTP requests are counted from now on, for one line a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _PlainRequestsDue:
    """Write the line about the plain HTTP requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _AuditSyncDue:
    """Make durable what was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _AuditCheckDue:
    """Check the age and the size of the files."""


AuditorMessage = (
    AuditEntry
    | ChangeSettings
    | PlainRequestsBegan
    | _PlainRequestsDue
    | _AuditSyncDue
    | _AuditCheckDue
)
