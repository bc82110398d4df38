"""Recorded sessions of the older server, and what of them is compared with the hub."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SAMPLES = Path(__file__).with_name("v0_samples")
_TIMES = ("timestamp", "created_at", "last_active")


@dataclass
class Step:
    """What a client sends, and what every connection is sent before the next step. `line` is the
    number of the step's line in the file."""

    line: int
    connection: str
    sent: dict[str, Any] | None  # None: the connection opens
    came: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


def steps(name: str) -> Iterator[Step]:
    step: Step | None = None
    for line, text in enumerate((SAMPLES / f"{name}.jsonl").read_text().splitlines()):
        entry = json.loads(text)
        event, connection = entry.get("ev"), str(entry.get("conn"))
        if event in ("open", "c2s"):
            if step is not None:
                yield step
            step = Step(line, connection, entry.get("frame"))
        elif event == "s2c":
            assert step is not None
            step.came.setdefault(connection, []).append(entry["frame"])
    if step is not None:
        yield step


def turns(name: str) -> dict[str, dict[str, Any]]:
    """Return for each prompt what the CLI wrote, as tests/playing_agent.py takes it."""
    found: dict[str, dict[str, Any]] = {}
    turn: dict[str, Any] | None = None
    asker = ""
    for step in steps(name):
        sent = step.sent or {}
        prompt = (sent.get("data") or {}).get("prompt") if sent.get("type") == "execute" else None
        if prompt:
            asker, turn = step.connection, None
            if prompt not in found:
                turn = found[prompt] = {"lines": [], "end": "hang"}
        for frame in step.came.get(asker, []) if turn is not None else []:
            assert turn is not None
            _note(turn, frame)
    return {prompt: turn for prompt, turn in found.items() if turn["lines"]}


def _note(turn: dict[str, Any], frame: dict[str, Any]) -> None:
    data = frame["data"]
    if frame["type"] == "agent_message":
        turn["lines"].append(data)
        if data["type"] == "result":
            turn["end"] = None
    elif frame["type"] == "error" and "exit status 3" in data["message"]:
        turn["end"] = 3
    elif frame["type"] == "error" and data["code"] == "JSON_PARSING" and turn["end"] == "hang":
        turn["end"] = 0


def short(frame: dict[str, Any]) -> str:
    """Return what a frame is, in a few words."""
    kind, data = frame["type"], frame.get("data") or {}
    if kind == "project_state":
        return f"state {data['state']}"
    if kind == "error":
        return f"error {data['code']}"
    if kind == "agent_message":
        return f"line {data['type']}"
    return " ".join(filter(None, (kind, data.get("status", ""), data.get("reason", ""))))


class Names:
    """The recorded ids and paths by the hub's, and the other way round."""

    def __init__(self, paths: dict[str, str]) -> None:
        self._ours = dict(paths)

    def learn(self, recorded: dict[str, Any], ours: dict[str, Any]) -> None:
        if recorded["type"] == ours["type"] == "project_state":
            self._ours[recorded["project_id"]] = ours["project_id"]

    def ours(self, value: Any) -> Any:
        """Return a recorded value with our names."""
        text = json.dumps(value)
        for theirs, ours in self._ours.items():
            text = text.replace(theirs, ours)
        return json.loads(text)


def shape(frame: dict[str, Any]) -> dict[str, Any]:
    """Return what must be the same: without times, texts for people, and what the page adds."""
    data = dict(frame["data"])
    kind = frame["type"]
    if kind == "error":
        details = data.get("details", {})
        named = {key: details[key] for key in ("path", "timeout") if key in details}
        return {"type": kind, "code": data["code"], **named}
    if kind == "health_check":
        checks = {name: check["status"] for name, check in data["checks"].items()}
        return {"type": kind, "checks": sorted(checks), "status": data["status"]}
    if kind == "project_list":
        return {"type": kind, "keys": sorted(data)}
    if kind == "get_messages":
        data["messages"] = [_without_times(record) for record in data["messages"]]
    path = data.get("path")
    if isinstance(path, str) and path != "/":
        data["path"] = path.removesuffix("/")  # the hub keeps it without
    return {"type": kind, "data": _without_times(data)}


def _without_times(data: dict[str, Any]) -> dict[str, Any]:
    return {key: "a time" if key in _TIMES else value for key, value in data.items()}
