"""What has begun in a log and has no durable end yet: executions, and questions of the agent.

One mapping holds all of it. While the server runs, the feed fills it with what it logs. After a
crash the same code fills it from the log (`read_open`), and the project logs the missing ends.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import simplejson

from actors.feed.prompt_digest import prompt_digest
from protocol.updates import UpdateType
from storage.log_reader import LogReader
from storage.record import PREFIX_BYTES
from storage.request_keys import KeyedExecution


@dataclass(frozen=True, slots=True)
class Opens:
    """A record begins something: the execution `id`, or, with `is_question`, a question that the
    execution `execution_id` asks (None: the CLI asks outside of an execution)."""

    id: str
    is_question: bool = False
    execution_id: str | None = None


class OpenRecords:
    """By id, what is open and a number before its first record. For one thread."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[Opens, int]] = {}

    def opened(self, what: Opens, seq_before: int) -> None:
        """Note a record that begins something; `seq_before` is a number before the record's own.

        A later record about the same thing changes nothing: a prompt opens its execution, and its
        start does so again.
        """
        self._open.setdefault(what.id, (what, seq_before))

    def closed(self, record_id: str) -> None:
        """Note a durable end, or that the beginning was never stored."""
        self._open.pop(record_id, None)

    @property
    def since_seq(self) -> int | None:
        """Return a number before the first record of all that is open; None if nothing is."""
        return min([seq for _, seq in self._open.values()], default=None)

    def __iter__(self) -> Iterator[Opens]:
        """Yield what is open, in the order in which it began."""
        return iter([what for what, _ in self._open.values()])


def read_open(
    reader: LogReader, after_seq: int, upto: int
) -> tuple[OpenRecords, list[KeyedExecution]]:
    """Return what is open in the records behind `after_seq`, and all prompts with a request key.

    Only records of five kinds are parsed. Raises OSError.
    """
    found, keyed = OpenRecords(), list[KeyedExecution]()
    position = after_seq
    while position < upto:
        page = reader.read_after(position, upto)
        for item in page.items:
            if isinstance(item, bytes):
                _note(found, keyed, item)
        position = page.last_seq
    return found, keyed


def _mark(kind: UpdateType) -> bytes:
    return f'"update_type":"{kind}"'.encode()


_PROMPT = _mark(UpdateType.PROMPT)
_STARTED = _mark(UpdateType.EXECUTION_STARTED)
_FINISHED = _mark(UpdateType.EXECUTION_FINISHED)
_ASKED = _mark(UpdateType.PERMISSION_REQUEST)
_RESOLVED = _mark(UpdateType.PERMISSION_RESOLVED)


def _note(found: OpenRecords, keyed: list[KeyedExecution], line: bytes) -> None:
    head = line[:PREFIX_BYTES].partition(b'"data":')[0]
    if _PROMPT in head:
        seq, data = _parsed(line)
        found.opened(Opens(data["execution_id"]), seq - 1)
        if (key := data.get("key")) is not None:
            digest = prompt_digest(data.get("prompt"), data.get("content"), data["options"])
            keyed.append(KeyedExecution(key, data["execution_id"], digest))
    elif _STARTED in head:  # a turn that the CLI began by itself has no prompt
        seq, data = _parsed(line)
        found.opened(Opens(data["execution_id"]), seq - 1)
    elif _FINISHED in head:
        found.closed(_parsed(line)[1]["execution_id"])
    elif _ASKED in head:
        seq, data = _parsed(line)
        found.opened(Opens(data["permission_id"], True, data["execution_id"]), seq - 1)
    elif _RESOLVED in head:
        found.closed(_parsed(line)[1]["permission_id"])


def _parsed(line: bytes) -> tuple[int, dict[str, Any]]:
    record = simplejson.loads(line)
    return record["seq"], record["data"]
