"""What must hold for every client, judged from what it gets: no hole, no double, one answer."""

import json
import zlib
from collections import Counter, deque
from typing import Any

TOLD_OF_A_KIND_MAX = 5


class Findings:
    """What is wrong: a count for each kind, and the first sentences of each."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.sentences: list[str] = []

    def note(self, kind: str, sentence: str) -> None:
        self.counts[kind] += 1
        if self.counts[kind] <= TOLD_OF_A_KIND_MAX:
            self.sentences.append(f"{kind}: {sentence}")


def digest_of(update: dict[str, Any]) -> int:
    """Return a number that differs when the update's payload differs."""
    return zlib.crc32(json.dumps(update, sort_keys=True).encode())


class Records:
    """What each number of each log stood for, the first time that a client saw it."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._digests: dict[str, dict[int, int]] = {}

    def seen(self, who: str, log_id: str, update: dict[str, Any]) -> None:
        """Compare an update with what others got under its number."""
        seq, digest = update["seq"], digest_of(update)
        known = self._digests.setdefault(log_id, {}).setdefault(seq, digest)
        if known != digest:
            self._findings.note(
                "differs", f"{who} got another {seq} of {update['project_id']} than before"
            )

    def of_log(self, log_id: str) -> dict[int, int]:
        """Return the digests by number of one log."""
        return self._digests.get(log_id, {})


class Stream:
    """One client's stream of one project: its position, over any number of joins.

    `seq` is the number after which the next logged update must come; None: any may come first.
    """

    def __init__(self, who: str, project_id: str, records: Records, findings: Findings) -> None:
        self.who = who
        self.project_id = project_id
        self._records = records
        self._findings = findings
        self.log_id: str | None = None
        self.seq: int | None = None
        self.is_joined = False
        self.updates = 0

    def joined(self, log_id: str, seq: int | None) -> None:
        """Note an answered join, which begins behind `seq`."""
        if self.log_id is not None and log_id != self.log_id:
            self._findings.note(
                "lost log", f"{self.project_id} has the log {log_id} instead of {self.log_id}"
            )
        self.log_id, self.seq, self.is_joined = log_id, seq, True

    def refused(self, details: dict[str, Any]) -> None:
        """Note `history_gone`: no log of a soak ever loses a record."""
        self._findings.note(
            "hole",
            f"{self.who} cannot go on in {self.project_id} from {self.seq} of {self.log_id}: "
            f"{details}",
        )
        self.log_id = self.seq = None

    def left(self) -> None:
        self.is_joined = False

    def update(self, update: dict[str, Any]) -> None:
        """Judge an update of this project."""
        if not self.is_joined:
            self._findings.note(
                "double", f"{self.who} got {update['update_type']} of {self.project_id} unasked"
            )
            return
        if update["update_type"] == "gap":
            self._findings.note("hole", f"{self.who} got a gap of {self.project_id}: {update}")
            self.seq = update["data"]["last_seq"]
        if "seq" not in update:
            return
        assert self.log_id is not None
        self._in_order(update["seq"])
        self._records.seen(self.who, self.log_id, update)
        self.updates += 1

    def _in_order(self, seq: int) -> None:
        if self.seq is not None and seq != self.seq + 1:
            kind = "double" if seq <= self.seq else "hole"
            self._findings.note(
                kind, f"{self.who} got {seq} of {self.project_id} behind {self.seq}"
            )
        self.seq = seq


class Answers:
    """The requests of one connection: each is answered once, in their order."""

    def __init__(self, who: str, findings: Findings) -> None:
        self.who = who
        self._findings = findings
        self._open: deque[tuple[str, str]] = deque()

    def asked(self, request_id: str, kind: str) -> None:
        self._open.append((request_id, kind))

    def answered(self, request_id: str | None) -> bool:
        """Note an answer; return False if it was none that was due."""
        if self._open and self._open[0][0] == request_id:
            self._open.popleft()
            return True
        due = self._open[0] if self._open else "nothing"
        self._findings.note("wrong answer", f"{self.who} got {request_id} when {due} was due")
        self._open = deque(item for item in self._open if item[0] != request_id)
        return False

    def lost(self) -> int:
        """The connection is lost: return how many requests it leaves without an answer."""
        count = len(self._open)
        self._open.clear()
        return count

    def late(self, request_id: str, kind: str, after_s: float) -> None:
        """Note a request that nobody has answered, though the connection is open."""
        self._findings.note(
            "no answer", f"{self.who} waited {after_s:.0f} s for {kind} ({request_id})"
        )


class Book:
    """The prompts that were sent, by key and by the execution that answered them."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._executions: dict[str, tuple[str, str]] = {}

    def accepted(self, project_id: str, key: str, execution_id: str) -> None:
        """Note an acknowledged `execute`; again, if the key was sent again."""
        _, known = self._executions.setdefault(key, (project_id, execution_id))
        if known != execution_id:
            self._findings.note(
                "double prompt", f"{project_id} runs {key} as {known} and as {execution_id}"
            )

    def of(self, project_id: str) -> dict[str, str]:
        """Return the execution ids that the hub has promised in a project, by key."""
        return {k: e for k, (p, e) in self._executions.items() if p == project_id}

    def forget(self, project_id: str) -> None:
        """Forget a project whose history has been deleted."""
        self._executions = {k: v for k, v in self._executions.items() if v[0] != project_id}

    def __len__(self) -> int:
        return len(self._executions)
