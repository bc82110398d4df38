"""What a log keeps in the project's metadata, so that opening it need not read all of it."""

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
    """`clean` is set only by a clean stop; everything before `checkpoint` was flushed. A mark is
    trusted only where the files agree with it.

    `segments` are the first numbers of the files, so that a lost file is noticed; files below
    `first_seq` were deleted on purpose (retention). `sync` is the policy under which the log is
    written. `lost_seq` is a number that was given out and whose file is lost; numbers continue
    behind it. `missing` are ranges that cannot be read.
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
        """Return a number that was certainly given out."""
        return max((mark.last_seq for mark in (self.clean, self.checkpoint) if mark), default=0)


def new_log_id() -> str:
    """Return a name that no other log has had."""
    return secrets.token_hex(8)
