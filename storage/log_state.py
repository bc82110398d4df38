"""What a log leaves in the project's metadata, so that it can be opened without reading it all."""

import secrets
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class SyncPolicy(StrEnum):
    """When appended records are flushed to the device; `LOG_SYNC`."""

    ALWAYS = "always"
    INTERVAL = "interval"
    NEVER = "never"


class Mark(BaseModel):
    """A place in a segment at which a record ends, and the number of that record."""

    model_config = ConfigDict(frozen=True)

    segment: str
    size_bytes: int = Field(ge=0)
    last_seq: int = Field(ge=0)


class LogState(BaseModel):
    """`clean` only after a clean stop; `checkpoint`: everything before it was flushed. A mark is
    trusted only as far as the files agree with it.

    `segments`: the first numbers of the files that there are, so that one that is gone is missed;
    but not below `first_seq`, from where on the log is kept (retention). `sync`: the policy under
    which it is written. `lost_seq`: a number that was given out and whose file is gone; numbers go
    on behind it. `missing`: ranges that are known to be unreadable.
    """

    model_config = ConfigDict(frozen=True)

    log_id: str
    boot_id: str
    clean: Mark | None = None
    checkpoint: Mark | None = None
    first_seq: int = Field(default=1, ge=1)
    segments: tuple[int, ...] = ()
    sync: SyncPolicy | None = None
    lost_seq: int = 0
    missing: tuple[tuple[int, int], ...] = ()

    @property
    def known_last_seq(self) -> int:
        """A number that was certainly given out."""
        return max((mark.last_seq for mark in (self.clean, self.checkpoint) if mark), default=0)


def new_log_id() -> str:
    """A name for a log that no other log has had."""
    return secrets.token_hex(8)
