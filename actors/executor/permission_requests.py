"""What the CLI asks the hub, and the answers."""

from actors import messages
from actors.executor.questions import Remembered, allow_line, deny_line
from actors.executor.reports import Reports
from actors.executor.turn import Turn
from actors.executor.worker import Worker
from protocol.claude import ControlCancel, ControlRequest, deny_tool_line, refuse_control_line

_PERMISSION = "can_use_tool"
TURN_OVER = "The execution is over; nobody can be asked."
NOBODY_ASKED = "The tool was asked for outside of an execution; nobody can be asked."


class PermissionRequests:
    """`remembered` is what users have allowed for the rest of the present session; each process has
    that of its own session."""

    def __init__(self, reports: Reports, *, background: bool) -> None:
        self.remembered = Remembered()
        self._reports = reports
        self._background = background

    def ask(self, worker: Worker, turn: Turn | None, request: ControlRequest) -> None:
        """Pass a permission on to the project; refuse anything else, so that the CLI goes on."""
        if request.subtype != _PERMISSION:
            worker.process.write(refuse_control_line(request.request_id))
            return
        is_outside = turn is None or turn.end is not None
        if is_outside and not worker.has_tasks:
            worker.process.write(deny_tool_line(request.request_id, NOBODY_ASKED))
            worker.end_out_of_turn("it has asked for a tool outside of a turn")
            return
        execution_id = turn.execution_id if turn is not None else None
        question = worker.questions.ask(request, execution_id, background=self._background)
        if question is None:
            why = "the request has no tool and input, or too many wait for an answer"
            worker.process.write(refuse_control_line(request.request_id, why))
            return
        self._reports.tell(
            messages.PermissionAsked(request=question.shown, outlives_turn=question.outlives_turn)
        )

    def withdraw(self, worker: Worker, cancel: ControlCancel) -> None:
        permission_id = worker.questions.take_withdrawn(cancel.request_id)
        if permission_id is not None:
            self._reports.tell(messages.PermissionWithdrawn(permission_id=permission_id))

    def answer(self, worker: Worker | None, answer: messages.AnswerPermission) -> None:
        """Answer a question; do nothing if the CLI no longer needs an answer."""
        question = worker.questions.take(answer.permission_id) if worker is not None else None
        if worker is None or question is None:
            return
        if answer.allow:
            granted = worker.remembered.grant(question) if answer.remember else []
            worker.process.write(allow_line(question, answer.updated_input, granted))
        else:
            worker.process.write(deny_line(question, answer.message))

    def end_turn(self, worker: Worker) -> None:
        """Deny the turn's questions, so that a process that goes on does not wait for an answer.

        The Project closes them with the turn's end.
        """
        for question in worker.questions.drop_of_turn():
            worker.process.write(deny_line(question, TURN_OVER))

    def end_process(self, worker: Worker) -> None:
        for permission_id in worker.questions.take_all():
            self._reports.tell(messages.PermissionWithdrawn(permission_id=permission_id))

    def forget(self) -> None:
        """Forget what was allowed: the session is over. A process that still works in it keeps what
        it has."""
        self.remembered = Remembered()

    def session_changed(self, worker: Worker) -> None:
        """Note a session that `/clear` has begun. The process keeps what it was told, so it gets no
        more prompts if that was anything."""
        worker.is_spent = bool(worker.remembered)
        if worker.remembered is self.remembered:
            self.remembered = worker.remembered = Remembered()
