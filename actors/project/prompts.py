"""Taking prompts: whether one may run, its record, and the answer once that is durable."""

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

from actors.feed.project_log import ProjectLog
from actors.messages.replies import ReplyTo
from actors.ports import Caller
from actors.project.admission import check_free_space, checked_options, prompt_data
from actors.project.keys import Keys, keyed_run
from actors.project.run_queue import Execution, RunQueue
from actors.project.settings import ProjectSettings
from protocol import requests
from protocol.content import as_sent, text_of
from protocol.errors import ErrorCode, HubFault, RequestRefused
from protocol.updates import ExecutionQueued, UpdateType
from storage.request_keys import KeyedExecution

if TYPE_CHECKING:
    from actors.project.actor import Project


class Prompts:
    """`stored` is called with each prompt that may start, `refused` with each that the log did not
    take. For the Project's thread only."""

    def __init__(
        self,
        project: "Project",
        ledger: ProjectLog,
        settings: ProjectSettings,
        queue: RunQueue,
        *,
        stored: Callable[[], None],
        refused: Callable[[Execution], None],
    ) -> None:
        self._project = project
        self._ledger = ledger
        self._settings = settings
        self._queue = queue
        self._stored = stored
        self._refused = refused
        self._keys = Keys(ledger.keyed)

    def execute(self, reply_to: ReplyTo, caller: Caller, request: requests.Execute) -> None:
        """Answered when the prompt is durable. Raises WireError."""
        execution = self._execution(caller, request)
        run = keyed_run(execution, request.options.model_dump(exclude_none=True))
        if run is not None and (known := self._keys.find(run)) is not None:
            self._answer_again(reply_to, known)
            return
        execution.options = checked_options(
            request.options,
            roots=self._settings.roots,
            kept_from=self._settings.layout.root,
            timeout_max_s=self._settings.execution_timeout_s,
        )
        self._check_room()
        execution.askers.append(reply_to)
        self._queue.admit(execution)
        if run is not None:
            self._keys.add(run)
        self._log(execution, request.options, run)
        self._project.runs_changed()

    def _execution(self, caller: Caller, request: requests.Execute) -> Execution:
        content = request.content
        return Execution(
            execution_id=str(uuid.uuid4()),
            caller=Caller(caller.client_id, caller.user, request.key),
            prompt_seq_before=self._ledger.bounds.last_seq,
            prompt=request.prompt,
            content=None if content is None else as_sent(content),
            text=request.prompt or text_of(content or []),
        )

    def _check_room(self) -> None:
        if not self._queue.has_room:
            raise RequestRefused(
                ErrorCode.QUEUE_FULL,
                f"{len(self._queue.waiting)} prompts wait already (MAX_QUEUE); try again later",
            )
        check_free_space(self._settings.layout.root, self._settings.min_free_bytes)

    def _answer_again(self, reply_to: ReplyTo, execution_id: str) -> None:
        """The same prompt was sent before: with its execution's present state, and not before the
        first is answered itself."""
        execution = self._queue.find(execution_id)
        if execution is not None and not execution.is_stored:
            execution.askers.append(reply_to)
        else:
            self._answer(reply_to, execution_id)

    def _answer(self, reply_to: ReplyTo, execution_id: str) -> tuple[str, int]:
        state, position = self._queue.place_of(execution_id)
        reply_to.result({"execution_id": execution_id, "state": state, "position": position})
        return state, position

    def _log(
        self, execution: Execution, asked: requests.Options, run: KeyedExecution | None
    ) -> None:
        self._ledger.journal.log(
            UpdateType.PROMPT,
            prompt_data(execution, asked),
            on_stored=lambda: self._on_stored(execution, run),
            on_refused=lambda: self._on_refused(execution, run),
            about=execution.execution_id,
        )

    def _on_stored(self, execution: Execution, run: KeyedExecution | None) -> None:
        execution.is_stored = True
        if run is not None:
            self._ledger.note_key(run)
        askers, execution.askers = execution.askers, []
        for reply_to in askers:
            state, position = self._answer(reply_to, execution.execution_id)
        if state == "queued":
            queued = ExecutionQueued(execution_id=execution.execution_id, position=position)
            self._ledger.journal.log(UpdateType.EXECUTION_QUEUED, queued)
            self._project.flush_soon()
        self._stored()

    def _on_refused(self, execution: Execution, run: KeyedExecution | None) -> None:
        self._queue.finish(execution.execution_id)
        if run is not None:
            self._keys.forget(run)
        self._refused(execution)
        fault = HubFault(ErrorCode.STORAGE_FAILED, "the prompt could not be stored; it was not run")
        for reply_to in execution.askers:
            reply_to.error(fault)
