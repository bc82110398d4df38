"""A project of a fake hub, and its executions."""

import logging
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from claudehub.fake.log import FakeLog, now
from claudehub.fake.script import (
    Ask,
    Decision,
    Delta,
    Ending,
    Hold,
    Script,
    Step,
    Steps,
    delta_line,
    result_line,
    steps_of,
    text_line,
    tool_line,
    tool_result_line,
)

_logger = logging.getLogger(__name__)


class FakeExecution:
    """A prompt that runs, waits, or has ended."""

    def __init__(self, prompt: Mapping[str, Any]) -> None:
        """`prompt` is the data of its `prompt` update."""
        self.prompt = prompt
        self.id: str = prompt["execution_id"]
        self.state = "queued"
        self.steps: Steps | None = None
        self.waits_for: Ask | Hold | None = None


class FakeProject(FakeLog):
    """A project, with its log."""

    def __init__(
        self,
        project_id: str,
        path: str,
        name: str | None,
        script: Script,
        tell: Callable[[dict[str, Any]], None],
    ) -> None:
        super().__init__(project_id, tell)
        self.path = path
        self.name = name or project_id
        self.script = script
        self.session_id: str | None = None
        self.trusted = True
        self.running: FakeExecution | None = None
        self.queue: list[FakeExecution] = []
        self.executions: dict[str, FakeExecution] = {}
        self.keys: dict[str, FakeExecution] = {}
        self.pending: dict[str, dict[str, Any]] = {}
        self.answered: dict[str, tuple[str, str]] = {}
        self._created_at = now()

    @property
    def status(self) -> str:
        return "idle" if self.running is None else "executing"

    def described(self, subscribers: int) -> dict[str, Any]:
        """Return the `project` object."""
        return {
            "project_id": self.project_id,
            "name": self.name,
            "path": self.path,
            "status": self.status,
            "session_id": self.session_id,
            "execution_id": self.running.id if self.running is not None else None,
            "queue": [
                {
                    "execution_id": waiting.id,
                    "prompt": str(waiting.prompt.get("prompt", ""))[:200],
                    "client_id": waiting.prompt["client_id"],
                }
                for waiting in self.queue
            ],
            "pending_permissions": list(self.pending.values()),
            "subscribers": subscribers,
            "first_seq": self.first_seq,
            "last_seq": self.last_seq,
            "created_at": self._created_at,
            "last_active": self.log[-1]["timestamp"] if self.log else self._created_at,
            "trusted": self.trusted,
            "untrusted_files": [],
        }

    # -- executions

    def execute(self, prompt: Mapping[str, Any]) -> tuple[FakeExecution, int]:
        """Take a prompt. Return its execution and its place in the queue, before it is run: call
        `go_on` then."""
        execution = FakeExecution(prompt)
        self.executions[execution.id] = execution
        if prompt["key"] is not None:
            self.keys[prompt["key"]] = execution
        self.add("prompt", prompt)
        self.queue.append(execution)
        position = len(self.queue) - (self.running is None)
        if position:
            facts = {"execution_id": execution.id, "position": position}
            self.add("execution_queued", facts)
        else:
            execution.state = "started"
        return execution, position

    def go_on(self) -> None:
        """Run what can run, until it waits or all has ended."""
        while self.running is None and self.queue:
            self._start(self.queue.pop(0))

    def _start(self, execution: FakeExecution) -> None:
        self.running, execution.state = execution, "started"
        facts = {"session_id": self.session_id, "origin": "prompt"}
        self.add("execution_started", {"execution_id": execution.id, **facts})
        self.session_id = self.session_id or str(uuid.uuid4())
        self.add("status", {"status": "executing"}, logged=False)
        execution.steps = steps_of(self.script, str(execution.prompt.get("prompt", "")))
        self._run(execution, None)

    def _run(self, execution: FakeExecution, said: Decision | None) -> None:
        assert execution.steps is not None
        execution.waits_for = None
        try:
            while execution.waits_for is None:
                step = next(execution.steps) if said is None else execution.steps.send(said)
                said = None
                self._do(execution, step)
        except StopIteration as end:
            ended = end.value
            self._end(execution, ended if isinstance(ended, Ending) else Ending("success", ended))
        except Exception as error:  # a fault of the test's own script must not end the hub
            _logger.exception("the script of %s has failed", self.project_id)
            self._end(execution, Ending("error", f"the script has failed: {error!r}"))

    def _end(self, execution: FakeExecution, ending: Ending) -> None:
        is_error = ending.outcome != "success"
        line = result_line(ending.result, is_error, self.session_id or "")
        self.add("claude", line, execution.id)
        self.finish(execution, ending.outcome, ending.result)

    def _do(self, execution: FakeExecution, step: Step) -> None:
        session_id = self.session_id or ""
        match step:
            case str():
                self.add("claude", text_line(step, session_id), execution.id)
            case Delta(text=text):
                self.add("claude_delta", delta_line(text, session_id), execution.id, logged=False)
            case Ask():
                execution.waits_for = step
                self._ask(execution, step)
            case Hold():
                execution.waits_for = step
            case _:
                self.add("claude", step, execution.id)

    def _ask(self, execution: FakeExecution, ask: Ask) -> None:
        permission_id, tool_use_id = str(uuid.uuid4()), f"toolu_{uuid.uuid4().hex[:12]}"
        self.add("claude", tool_line(ask, tool_use_id, self.session_id or ""), execution.id)
        request = {
            "permission_id": permission_id,
            "execution_id": execution.id,
            "tool": ask.tool,
            "input": dict(ask.input),
            "description": ask.description,
            "suggestions": ask.suggestions,
            "blocked_path": None,
            "tool_use_id": tool_use_id,
            "agent_id": None,
            "display_name": ask.tool,
            "reason": None,
        }
        self.pending[permission_id] = request
        self.add("permission_request", request, execution.id)

    def answer(self, permission_id: str, decision: Decision, by: str) -> None:
        """Take the answer of a permission that waits. Call `go_on` then."""
        request = self.pending.pop(permission_id)
        self.answered[permission_id] = (decision.decision, by)
        resolved = {"permission_id": permission_id, "decision": decision.decision, "by": by}
        execution = self.executions[request["execution_id"]]
        self.add("permission_resolved", resolved, execution.id)
        assert isinstance(execution.waits_for, Ask)
        is_allowed = decision.is_allowed
        text = execution.waits_for.result if is_allowed else decision.message or "It was denied."
        session_id = self.session_id or ""
        line = tool_result_line(request["tool_use_id"], text, not is_allowed, session_id)
        self.add("claude", line, execution.id)
        self._run(execution, decision)

    def release(self) -> bool:
        """Go on behind a Hold. Return False if nothing holds."""
        if self.running is None or not isinstance(self.running.waits_for, Hold):
            return False
        self._run(self.running, None)
        return True

    def finish(self, execution: FakeExecution, outcome: str, result: str | None) -> None:
        """End an execution that runs or waits. Call `go_on` then."""
        if execution.steps is not None and execution.waits_for is not None:
            execution.steps.close()
        for permission_id in list(self.pending):
            if self.pending[permission_id]["execution_id"] == execution.id:
                del self.pending[permission_id]
                facts = {"decision": "deny", "by": "execution_finished"}
                resolved = {"permission_id": permission_id, **facts}
                self.add("permission_resolved", resolved, execution.id)
        execution.state = "finished"
        self.add(
            "execution_finished",
            {
                "execution_id": execution.id,
                "outcome": outcome,
                "result": result,
                "session_id": self.session_id,
                "exit_code": None,
                "stderr": "",
                "duration_ms": 1,
                "cost_usd": 0.01 if outcome == "success" else None,
            },
        )
        if execution is self.running:
            self.running = None
            self.add("status", {"status": "idle"}, logged=False)
        else:
            self.queue.remove(execution)

    def end_all(self, running: str, waiting: str) -> None:
        """End everything, with these outcomes."""
        for execution in [*self.queue]:
            self.finish(execution, waiting, None)
        if self.running is not None:
            self.finish(self.running, running, None)
