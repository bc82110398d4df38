"""Questions of the agent that wait for a user: shown, answered once, ended with their execution."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from actors import messages
from actors.feed.project_log import ProjectLog
from actors.messages import Ref
from actors.messages.replies import ReplyTo
from actors.ports import Caller
from actors.project.executor_link import ExecutorLink
from actors.runtime.clock import Timer, Timers
from protocol import codec, requests
from protocol.errors import ErrorCode, HubFault, RequestRefused
from protocol.updates import PermissionRequest, PermissionResolved, UpdateType

# Answers that are remembered for those who come second.
ANSWERS_MAX = 1_000
DENIED = "The user denied this."

Decision = Literal["allow", "deny"]


@dataclass(slots=True)
class _Pending:
    request: PermissionRequest
    outlives_turn: bool
    timer: Timer


@dataclass(frozen=True, slots=True)
class _Answer:
    """`began`: how many executions had begun before it."""

    by: str
    decision: Decision
    began: int


class Permissions:
    """For the Project's thread only. `timeout_s` is PERMISSION_TIMEOUT."""

    def __init__(
        self,
        *,
        project: Ref,
        ledger: ProjectLog,
        executor: ExecutorLink,
        timers: Timers,
        timeout_s: float,
    ) -> None:
        self._project = project
        self._ledger = ledger
        self._executor = executor
        self._timers = timers
        self._timeout_s = timeout_s
        self._pending: dict[str, _Pending] = {}
        self._answers: dict[str, _Answer] = {}
        self._began = 0
        self._began_at: dict[str, int] = {}
        self._since: dict[str, int] = {}  # until its end is durable, a number before each

    @property
    def open_since_seq(self) -> int | None:
        """A number before the record of every question without a durable end."""
        return min(self._since.values(), default=None)

    @property
    def pending(self) -> list[dict[str, Any]]:
        """The data of each, for whoever joins."""
        return [pending.request.model_dump() for pending in self._pending.values()]

    # -- executions --------------------------------------------------------------------------

    def execution_began(self, execution_id: str) -> None:
        self._began += 1
        self._began_at[execution_id] = self._began

    def execution_ends(self, execution_id: str) -> None:
        """Closes what it has asked, and forgets the answers that were given before it began."""
        ended = [
            pending
            for pending in self._pending.values()
            if pending.request.execution_id == execution_id and not pending.outlives_turn
        ]
        for pending in ended:
            self._close(pending, "deny", "execution_finished")
        began = self._began_at.pop(execution_id, 0)
        self._answers = {i: a for i, a in self._answers.items() if a.began >= began}

    # -- the executor's messages -------------------------------------------------------------

    def asked(self, message: messages.PermissionAsked) -> None:
        request = message.request
        self._since[request.permission_id] = self._ledger.bounds.last_seq
        data = codec.dumps(request)
        self._ledger.journal.log(
            UpdateType.PERMISSION_REQUEST, data, execution_id=request.execution_id
        )
        self._pending[request.permission_id] = _Pending(
            request, message.outlives_turn, self._timer(request.permission_id)
        )

    def withdrawn(self, permission_id: str) -> None:
        """The CLI needs no answer any more."""
        if (pending := self._pending.get(permission_id)) is not None:
            self._close(pending, "deny", "withdrawn")

    def executor_died(self) -> None:
        """Nobody is left that could be told an answer."""
        for pending in list(self._pending.values()):
            self._close(pending, "deny", "withdrawn")

    def expired(self, permission_id: str) -> None:
        if (pending := self._pending.get(permission_id)) is not None:
            self._close(pending, "deny", "timeout")
            text = f"Nobody answered within {self._timeout_s:g} seconds."
            self._executor.answer(_denial(permission_id, text))

    def _timer(self, permission_id: str) -> Timer:
        expired = messages._PermissionExpired(permission_id=permission_id)
        return self._timers.after(self._timeout_s, self._project, expired)

    def _close(self, pending: _Pending, decision: Decision, by: str) -> None:
        self._take(pending, decision, by)
        self._log(pending, decision, by, on_stored=lambda: None)

    def _take(self, pending: _Pending, decision: Decision, by: str) -> None:
        permission_id = pending.request.permission_id
        del self._pending[permission_id]
        pending.timer.cancel()
        self._answers[permission_id] = _Answer(by, decision, self._began)
        if len(self._answers) > ANSWERS_MAX:
            del self._answers[next(iter(self._answers))]

    def _log(
        self,
        pending: _Pending,
        decision: Decision,
        by: str,
        *,
        on_stored: Callable[[], None],
        on_refused: Callable[[], None] | None = None,
    ) -> None:
        request = pending.request

        def stored() -> None:
            self._since.pop(request.permission_id, None)
            on_stored()

        self._ledger.journal.log(
            UpdateType.PERMISSION_RESOLVED,
            PermissionResolved(permission_id=request.permission_id, decision=decision, by=by),
            execution_id=request.execution_id,
            on_stored=stored,
            on_refused=on_refused,
        )

    # -- requests ----------------------------------------------------------------------------

    def answer(self, reply_to: ReplyTo, caller: Caller, body: requests.PermissionAnswer) -> None:
        """The first one wins; the agent gets it once it is durable. Raises WireError."""
        permission_id = body.permission_id
        pending = self._pending.get(permission_id)
        if pending is None:
            raise self._too_late(permission_id)
        by = caller.named
        self._take(pending, body.decision, by)
        answer = messages.AnswerPermission(
            permission_id=permission_id,
            allow=body.decision == "allow",
            message=body.message or DENIED,
            updated_input=body.updated_input,
            remember=body.remember,
        )

        def stored() -> None:
            self._executor.answer(answer)
            execution_id = pending.request.execution_id
            reply_to.result({"permission_id": permission_id}, about=execution_id)

        def refused() -> None:
            self._ask_again(pending)
            fault = "the answer could not be stored; the agent did not get it"
            reply_to.error(HubFault(ErrorCode.STORAGE_FAILED, fault))

        self._log(pending, body.decision, by, on_stored=stored, on_refused=refused)

    def _ask_again(self, pending: _Pending) -> None:
        """Nobody has answered, after all; where its execution has ended meanwhile, nobody will."""
        permission_id = pending.request.permission_id
        self._answers.pop(permission_id, None)
        pending.timer = self._timer(permission_id)
        self._pending[permission_id] = pending
        if not pending.outlives_turn and pending.request.execution_id not in self._began_at:
            self._close(pending, "deny", "execution_finished")

    def _too_late(self, permission_id: str) -> RequestRefused:
        if (answered := self._answers.get(permission_id)) is None:
            problem = "no such permission waits for an answer"
            return RequestRefused(ErrorCode.PERMISSION_NOT_FOUND, problem)
        details = {"by": answered.by, "decision": answered.decision}
        problem = f"it was answered already: {answered.decision}, by {answered.by}"
        return RequestRefused(ErrorCode.ALREADY_ANSWERED, problem, details)


def _denial(permission_id: str, text: str) -> messages.AnswerPermission:
    return messages.AnswerPermission(
        permission_id=permission_id, allow=False, message=text, updated_input=None, remember=False
    )
