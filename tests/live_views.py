"""A hub and a project without a server, for tests of the live views."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, ClassVar

from claudehub.client.position import Position
from claudehub.client.reading import changed, project_info, update_of
from claudehub.client.session import State
from claudehub.client.updates import ProjectInfo, Update

BEGAN = "2026-11-23T08:14:33.000000Z"


class Log:
    """Payloads of updates, numbered as the hub would."""

    def __init__(self, project_id: str = "site") -> None:
        self.project_id = project_id
        self.updates: list[Update] = []
        self.seconds = 0.0
        self.seq = 0
        self._calls = 0

    def add(self, update_type: str, data: dict[str, Any], *, logged: bool = True) -> Update:
        self.seq += logged
        minute, second = divmod(self.seconds, 60)
        raw = {
            "project_id": self.project_id,
            "update_type": update_type,
            "data": data,
            "timestamp": f"2026-11-23T08:{14 + int(minute):02d}:{second:09.6f}Z",
            "execution_id": data.get("execution_id", "e1"),
        }
        if logged:
            raw["seq"] = self.seq
        update = update_of(raw, Position("log", self.seq))
        self.updates.append(update)
        return update

    def prompt(self, text: str, execution_id: str = "e1", user: str | None = "anna") -> Update:
        data = {"execution_id": execution_id, "prompt": text, "options": {}, "client_id": "c1"}
        return self.add("prompt", {**data, "user": user, "key": None})

    def started(self, execution_id: str = "e1", origin: str = "prompt") -> Update:
        data = {"execution_id": execution_id, "session_id": "s1", "origin": origin}
        return self.add("execution_started", data)

    def queued(self, execution_id: str, position: int) -> Update:
        return self.add("execution_queued", {"execution_id": execution_id, "position": position})

    def finished(self, outcome: str = "success", **data: Any) -> Update:
        facts = {
            "execution_id": "e1",
            "outcome": outcome,
            "result": "",
            "session_id": "s1",
            "exit_code": None,
            "stderr": "",
            "duration_ms": 12_400,
            "cost_usd": 0.0412,
        }
        return self.add("execution_finished", facts | data)

    def said(self, text: str, parent: str | None = None) -> Update:
        return self._line("assistant", [{"type": "text", "text": text}], parent)

    def thought(self, text: str) -> Update:
        return self._line("assistant", [{"type": "thinking", "thinking": text}], None)

    def calls(self, tool: str, parent: str | None = None, **tool_input: Any) -> str:
        """Add a tool call; return its id."""
        self._calls += 1
        block = {"type": "tool_use", "id": f"t{self._calls}", "name": tool, "input": tool_input}
        self._line("assistant", [block], parent)
        return f"t{self._calls}"

    def returns(self, tool_use_id: str, text: str, is_error: bool = False) -> Update:
        block = {"type": "tool_result", "tool_use_id": tool_use_id, "content": text}
        return self._line("user", [block | {"is_error": is_error}], None)

    def asks(
        self, tool: str, tool_use_id: str | None = None, *, suggests: Any = (), **tool_input: Any
    ) -> Update:
        data = {
            "permission_id": f"p{self.seq}",
            "execution_id": "e1",
            "tool": tool,
            "input": tool_input,
            "description": None,
            "suggestions": list(suggests),
            "blocked_path": None,
            "tool_use_id": tool_use_id,
        }
        return self.add("permission_request", data)

    def resolved(self, permission_id: str, decision: str = "allow", by: str = "phone") -> Update:
        data = {"permission_id": permission_id, "decision": decision, "by": by}
        return self.add("permission_resolved", data)

    def delta(self, text: str) -> Update:
        delta = {"type": "text_delta", "text": text}
        event = {"type": "content_block_delta", "delta": delta}
        return self.add("claude_delta", {"type": "stream_event", "event": event}, logged=False)

    def block_starts(self, kind: str = "text") -> Update:
        event = {"type": "content_block_start", "content_block": {"type": kind}}
        return self.add("claude_delta", {"type": "stream_event", "event": event}, logged=False)

    def _line(self, kind: str, content: list[dict[str, Any]], parent: str | None) -> Update:
        message = {"id": "m1", "role": kind, "content": content}
        return self.add("claude", {"type": kind, "message": message, "parent_tool_use_id": parent})


def info(project_id: str = "site", **facts: Any) -> dict[str, Any]:
    """Return a `project` object."""
    return {
        "project_id": project_id,
        "name": project_id,
        "path": f"/home/anna/src/{project_id}",
        "status": "idle",
        "session_id": "5f3c6e0a-0d0f-4f1e-9a53-0e1d6f0a1b2c",
        "execution_id": None,
        "queue": [],
        "pending_permissions": [],
        "subscribers": 1,
        "first_seq": 1,
        "last_seq": 0,
        "created_at": BEGAN,
        "last_active": BEGAN,
        "trusted": True,
        "untrusted_files": [],
        **facts,
    }


class FakeUpdates:
    """A stream that a test feeds; it never ends by itself."""

    def __init__(self, updates: list[Update]) -> None:
        self._updates = list(updates)
        self._news = asyncio.Event()
        self._is_closed = False

    def __await__(self) -> Any:
        yield from ()
        return self

    def feed(self, *updates: Update) -> None:
        self._updates += updates
        self._news.set()

    async def batch(self) -> list[Update]:
        while not self._updates:
            if self._is_closed:
                raise EOFError
            self._news.clear()
            await self._news.wait()
        taken, self._updates = self._updates, []
        return taken

    def close(self) -> None:
        self._is_closed = True
        self._news.set()


class FakeProject:
    """A project that keeps what it is asked."""

    def __init__(self, log: Log, **facts: Any) -> None:
        self.id = log.project_id
        self.log = log
        self.facts = info(self.id, **facts)
        self.asked: list[tuple[Any, ...]] = []
        self.updates: FakeUpdates | None = None

    async def info(self) -> ProjectInfo:
        return project_info(self.facts)

    def follow(self, last: int = 100) -> FakeUpdates:
        logged = [u for u in self.log.updates if u.seq is not None][-last:]
        first = logged[0].seq or 0 if logged else 0
        shown = [u for u in self.log.updates if u.seq is None or u.seq >= first]
        self.updates = FakeUpdates(shown)
        return self.updates

    async def history(
        self, after: int = 0, before: int | None = None, newest_first: bool = False
    ) -> AsyncIterator[Update]:
        found = [u for u in self.log.updates if u.seq is not None and u.seq > after]
        found = [u for u in found if before is None or (u.seq or 0) < before]
        for update in reversed(found) if newest_first else found:
            yield update

    async def execute(self, text: str) -> None:
        self.asked.append(("execute", text))

    async def answer(self, request: Any, decision: str, **arguments: Any) -> None:
        self.asked.append(("answer", request.permission_id, decision, arguments))

    async def interrupt(self, execution_id: str | None = None) -> None:
        self.asked.append(("interrupt", execution_id))

    async def kill(self, execution_id: str | None = None) -> None:
        self.asked.append(("kill", execution_id))

    async def new_session(self) -> None:
        self.asked.append(("new_session",))


class FakeHub:
    """A hub with these projects, connected until `becomes`."""

    url = "ws://127.0.0.1:8080"
    welcome: ClassVar = {"client_id": "c-me"}
    retry_in_s: float | None = None

    def __init__(self, *projects: dict[str, Any], opened: FakeProject | None = None) -> None:
        self.state = State.CONNECTED
        self.why = "connected"
        self.updates = FakeUpdates([changed(project) for project in projects])
        self._opened = opened
        self._callbacks: list[Callable[[State], Any]] = []

    def on_state(self, callback: Callable[[State], Any]) -> None:
        self._callbacks.append(callback)

    def watch(self) -> FakeUpdates:
        return self.updates

    async def project(self, project_id: str) -> FakeProject | None:
        return self._opened

    def becomes(self, state: State, why: str, retry_in_s: float | None = None) -> None:
        self.state, self.why, self.retry_in_s = state, why, retry_in_s
        for callback in self._callbacks:
            callback(state)
