"""What a crash of the server has left open, found in the log: executions, questions, and the keys
of prompts that were not kept anywhere else yet."""

from dataclasses import dataclass, field
from typing import Any

import simplejson

from actors.project.keys import fingerprint
from protocol.updates import UpdateType
from storage.log_reader import LogReader
from storage.record import PREFIX_BYTES
from storage.request_keys import KeyedExecution


def _mark(kind: UpdateType) -> bytes:
    return f'"update_type":"{kind}"'.encode()


_PROMPT = _mark(UpdateType.PROMPT)
_STARTED = _mark(UpdateType.EXECUTION_STARTED)
_FINISHED = _mark(UpdateType.EXECUTION_FINISHED)
_ASKED = _mark(UpdateType.PERMISSION_REQUEST)
_RESOLVED = _mark(UpdateType.PERMISSION_RESOLVED)


@dataclass(frozen=True, slots=True)
class LeftOpen:
    """`executions` in order; `questions`: permission ids with their execution, or None; `keyed`:
    all prompts with keys that were met."""

    executions: dict[str, None] = field(default_factory=dict)
    questions: dict[str, str | None] = field(default_factory=dict)
    keyed: list[KeyedExecution] = field(default_factory=list)


def find_open(reader: LogReader, after_seq: int, upto: int) -> LeftOpen:
    """Behind `after_seq`. Only records of five kinds are parsed. Raises OSError."""
    found = LeftOpen()
    position = after_seq
    while position < upto:
        page = reader.read_after(position, upto)
        for item in page.items:
            if isinstance(item, bytes):
                _note(found, item)
        position = page.last_seq
    return found


def _note(found: LeftOpen, line: bytes) -> None:
    head = line[:PREFIX_BYTES].partition(b'"data":')[0]
    if _PROMPT in head:
        data = _data(line)
        found.executions[data["execution_id"]] = None
        if (key := data.get("key")) is not None:
            found.keyed.append(_keyed(key, data))
    elif _STARTED in head:  # a turn that the CLI began by itself has no prompt
        found.executions[_data(line)["execution_id"]] = None
    elif _FINISHED in head:
        found.executions.pop(_data(line)["execution_id"], None)
    elif _ASKED in head:
        data = _data(line)
        found.questions[data["permission_id"]] = data["execution_id"]
    elif _RESOLVED in head:
        found.questions.pop(_data(line)["permission_id"], None)


def _keyed(key: str, data: dict[str, Any]) -> KeyedExecution:
    known = fingerprint(data.get("prompt"), data.get("content"), data["options"])
    return KeyedExecution(key, data["execution_id"], known)


def _data(line: bytes) -> dict[str, Any]:
    data: dict[str, Any] = simplejson.loads(line)["data"]
    return data
