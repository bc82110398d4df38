"""Questions of the agent that wait for a user: shown, answered once, ended with their execution."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from actors import messages
from actors.feed.feed import Feed
from actors.feed.open_records import Opens
from actors.messages.replies import ReplyTo
from actors.metrics.project_counts import ProjectCounts
from actors.ports import Caller
from actors.project.executor_link import ExecutorLink
from actors.project.run_queue import Execution, RunQueue
from actors.runtime.clock import Timer, Timers
from actors.runtime.logger import get_logger
from actors.runtime.refs import Ref
from protocol import requests
from protocol.error_details import ErrorDetails
from protocol.errors import ErrorCode, HubFault, RequestRefused, invalid_field
from protocol.results import PermissionAnswerResult
from protocol.shown_projects import shown_question, shown_questions
from protocol.updates import PermissionRequest, PermissionResolved, UpdateType

logger = get_logger("claudehub.project")

# Answers that are remembered, for the clients that answer second.
ANSWERS_MAX = 1_000
DENIED = "The user denied this."
NOBODY = "Nobody is there who could answer."

Decision = Literal["allow", "deny"]


@dataclass(slots=True)
class Pending:
    """A question that waits. `shown` is what the `project` object has of it; `outlives_turn`: an
    agent in the background asks it."""

    request: PermissionRequest
    shown: dict[str, Any]
    outlives_turn: bool
    timeout_s: float
    timer: Timer


@dataclass(frozen=True, slots=True)
class Answered:
    """`started`: how many executions had started before the answer."""

    by: str
    decision: Decision
    started: int


class Permissions:
    """For the Project's thread only. `pending` are the questions that wait, by permission id;
    `answered` those that were answered lately. `timeout_s` is PERMISSION_TIMEOUT."""

    def __init__(
        self,
        *,
        project: Ref,
        feed: Feed,
        queue: RunQueue,
        executor: ExecutorLink,
        timers: Timers,
        timeout_s: float,
        counts: ProjectCounts | None = None,
    ) -> None:
        self.pending: dict[str, Pending] = {}
        self.answered: dict[str, Answered] = {}
        self._project = project
        self._feed = feed
        self._queue = queue
        self._executor = executor
        self._timers = timers
        self.timeout_s = timeout_s
        self._counts = counts

    @property
    def shown(self) -> list[dict[str, Any]]:
        """Return the questions that wait, as the `project` object shows them."""
        return shown_questions([pending.shown for pending in self.pending.values()])

    # -- the executor's messages -------------------------------------------------------------

    def asked(self, message: messages.PermissionAsked) -> None:
        request = message.request
        if self._counts is not None:
            self._counts.asked(request.permission_id)
        self._feed.log(
            UpdateType.PERMISSION_REQUEST,
            request,
            execution_id=request.execution_id,
            opens=Opens(request.permission_id, is_question=True, execution_id=request.execution_id),
        )
        self.pending[request.permission_id] = Pending(
            request,
            shown_question(request),
            message.outlives_turn,
            self.timeout_s,
            self._timer(request.permission_id),
        )
        logger.debug("permission asked", **_facts(self.pending[request.permission_id]))
        if not self._can_be_answered(request):
            self.expired(request.permission_id, NOBODY)

    def _can_be_answered(self, request: PermissionRequest) -> bool:
        """Return False if whoever has asked for the execution cannot answer, and nobody else is
        there who could."""
        execution = self._queue.at_work(request.execution_id)
        asker_can = execution is None or execution.caller.takes_questions
        return asker_can or self._feed.takes_questions

    def look_again(self) -> None:
        """Deny what nobody can answer any more: somebody who could has left."""
        for pending in list(self.pending.values()):
            if not self._can_be_answered(pending.request):
                self.expired(pending.request.permission_id, NOBODY)

    def withdrawn(self, permission_id: str) -> None:
        """Close a question that the CLI no longer needs an answer to."""
        if (pending := self.pending.get(permission_id)) is not None:
            self._close(pending, "withdrawn")

    def executor_died(self) -> None:
        """Close all questions: nobody is left that could be told an answer."""
        for pending in list(self.pending.values()):
            self._close(pending, "withdrawn")

    def expired(self, permission_id: str, why: str | None = None) -> None:
        """Deny what nobody has answered; `why` is what the agent is told."""
        if (pending := self.pending.get(permission_id)) is not None:
            self._close(pending, "timeout")
            text = why or f"Nobody answered within {pending.timeout_s:g} seconds."
            self._executor.answer(_denial(permission_id, text))

    def execution_ends(self, execution: Execution) -> None:
        """Close what the execution has asked, and forget the answers from before its start."""
        ended = [
            pending
            for pending in self.pending.values()
            if pending.request.execution_id == execution.execution_id and not pending.outlives_turn
        ]
        for pending in ended:
            self._close(pending, "execution_finished")
        self.answered = {
            permission_id: answer
            for permission_id, answer in self.answered.items()
            if answer.started >= execution.number
        }

    def _timer(self, permission_id: str) -> Timer:
        expired = messages._PermissionExpired(permission_id=permission_id)
        return self._timers.after(self.timeout_s, self._project, expired)

    def _close(self, pending: Pending, by: str) -> None:
        if self._counts is not None:
            self._counts.resolved(pending.request.permission_id, by)
        self._take(pending, "deny", by)
        self._log_end(pending, "deny", by)
        say = logger.info if by == "timeout" else logger.debug
        say("permission answered", **_facts(pending), decision="deny", by=by)

    def _take(self, pending: Pending, decision: Decision, by: str) -> None:
        permission_id = pending.request.permission_id
        del self.pending[permission_id]
        pending.timer.cancel()
        self.answered[permission_id] = Answered(by, decision, self._queue.started)
        if len(self.answered) > ANSWERS_MAX:
            del self.answered[next(iter(self.answered))]

    def _log_end(
        self,
        pending: Pending,
        decision: Decision,
        by: str,
        *,
        on_stored: Callable[[], None] | None = None,
        on_refused: Callable[[], None] | None = None,
    ) -> None:
        request = pending.request
        self._feed.log(
            UpdateType.PERMISSION_RESOLVED,
            PermissionResolved(permission_id=request.permission_id, decision=decision, by=by),
            execution_id=request.execution_id,
            closes=request.permission_id,
            on_stored=on_stored,
            on_refused=on_refused,
        )

    # -- requests ----------------------------------------------------------------------------

    def answer(self, reply_to: ReplyTo, caller: Caller, body: requests.PermissionAnswer) -> None:
        """Take an answer. The first one wins; the agent gets it once it is durable. Raises
        WireError."""
        permission_id = body.permission_id
        pending = self.pending.get(permission_id)
        if pending is None:
            raise self._too_late(permission_id)
        _check_input(pending.request, body)
        by = caller.named
        self._take(pending, body.decision, by)
        answer = messages.AnswerPermission(
            permission_id=permission_id,
            allow=body.decision == "allow",
            message=body.message if body.message and not body.message.isspace() else DENIED,
            updated_input=body.updated_input,
            remember=body.remember,
        )

        def stored() -> None:
            logger.info("permission answered", **_facts(pending), decision=body.decision, by=by)
            self._executor.answer(answer)
            if self._counts is not None:
                self._counts.resolved(permission_id, body.decision)
            execution_id = pending.request.execution_id
            result = PermissionAnswerResult(permission_id=permission_id)
            reply_to.result(result, execution_id=execution_id)

        def refused() -> None:
            self._ask_again(pending)
            fault = "the answer could not be stored; the agent did not get it"
            reply_to.error(HubFault(ErrorCode.STORAGE_FAILED, fault))

        self._log_end(pending, body.decision, by, on_stored=stored, on_refused=refused)

    def _ask_again(self, pending: Pending) -> None:
        """Wait again for an answer: nobody has given one, after all. Where the execution has ended
        meanwhile, nobody will."""
        request = pending.request
        self.answered.pop(request.permission_id, None)
        pending.timeout_s = self.timeout_s
        pending.timer = self._timer(request.permission_id)
        self.pending[request.permission_id] = pending
        if not pending.outlives_turn and self._queue.at_work(request.execution_id) is None:
            self._close(pending, "execution_finished")

    def _too_late(self, permission_id: str) -> RequestRefused:
        if (answered := self.answered.get(permission_id)) is None:
            problem = "no such permission waits for an answer"
            return RequestRefused(ErrorCode.PERMISSION_NOT_FOUND, problem)
        details = ErrorDetails(by=answered.by, decision=answered.decision)
        problem = f"it was answered already: {answered.decision}, by {answered.by}"
        return RequestRefused(ErrorCode.ALREADY_ANSWERED, problem, details)


def _check_input(request: PermissionRequest, body: requests.PermissionAnswer) -> None:
    """Refuse an empty input in place of one that was not: the CLI takes it for "no change" and runs
    the original (observed with 2.1.197 and 2.1.331). Raises RequestRefused."""
    if body.decision == "allow" and body.updated_input == {} and request.input:
        raise invalid_field(
            "payload.updated_input",
            "must not be empty: the agent would run the tool with its own input; leave it out to "
            "allow that, or deny",
        )


def _facts(pending: Pending) -> dict[str, str | None]:
    """Return what the log says of a question. What the tool is to do is as private as a prompt."""
    request = pending.request
    return {
        "permission": request.permission_id,
        "execution": request.execution_id,
        "tool": request.tool,
    }


def _denial(permission_id: str, text: str) -> messages.AnswerPermission:
    return messages.AnswerPermission(
        permission_id=permission_id, allow=False, message=text, updated_input=None, remember=False
    )
