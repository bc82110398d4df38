"""Which closed segments may be deleted. This module decides and deletes nothing."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from storage.message_log import MessageLog


@dataclass(frozen=True, slots=True)
class RetentionRules:
    """`older_than`: delete segments whose last record is older, at most `aged_at_most` in one pass.
    `total_bytes`: delete the oldest until the log is no larger. None and 0 keep all."""

    older_than: datetime | None
    total_bytes: int
    aged_at_most: int = 1 << 30


@dataclass(frozen=True, slots=True)
class _Candidate:
    end_seq: int
    size_bytes: int
    newest: datetime


def trim_seq(log: MessageLog, rules: RetentionRules, keep_from_seq: int | None) -> int | None:
    """Return the argument for `trim_before`, or None if nothing is to be deleted.

    Whole segments go, oldest first, never the last one, and nothing from `keep_from_seq` on (the
    records of open executions). Raises OSError.
    """
    candidates = _candidates(log)
    total = sum(c.size_bytes for c in candidates) + log.active_bytes
    seq, aged = None, 0
    for candidate in candidates:
        if keep_from_seq is not None and candidate.end_seq >= keep_from_seq:
            break
        is_old = rules.older_than is not None and candidate.newest < rules.older_than
        is_too_much = bool(rules.total_bytes) and total > rules.total_bytes
        if not is_too_much and (not is_old or aged >= rules.aged_at_most):
            break
        aged += not is_too_much
        seq = candidate.end_seq + 1
        total -= candidate.size_bytes
    return seq


def _candidates(log: MessageLog) -> Sequence[_Candidate]:
    found = []
    for segment, end_seq in log.closed_segments:
        status = os.stat(segment.path)
        newest = datetime.fromtimestamp(status.st_mtime, UTC)
        if stamp := log.last_stamp(segment):
            # The earlier of the two: a clock that was ahead for a while must not keep the file for
            # ever.
            newest = min(newest, datetime.fromisoformat(stamp))
        found.append(_Candidate(end_seq, status.st_size, newest))
    return found
