"""Take prompts: decide which may run, log each, and answer once that is durable."""

import uuid
from collections.abc import Callable
from typing import Any

from actors.feed.feed import Feed
from actors.feed.open_records import Opens
from actors.feed.project_log import ProjectLog
from actors.messages.replies import ReplyTo
from actors.ports import Caller
from actors.project.request_keys import RequestKeys, keyed_execution
from actors.project.run_queue import Execution, RunQueue
from actors.project.settings import ProjectSettings
from protocol import requests, trace_context
from protocol.claude import option_arguments
from protocol.content import as_sent, text_of
from protocol.errors import ErrorCode, HubFault, RequestRefused
from protocol.requests import Options
from protocol.results import ExecuteResult, ExecutionState
from protocol.updates import ExecutionQueued, Prompt, UpdateType
from storage.disk import free_bytes
from storage.errors import FolderOutsideRoots, FolderRefused
from storage.layout import resolve_folder
from storage.request_keys import KeyedExecution
from storage.sizes import in_words

# Each is looked up in the Project's thread.
ADD_DIRS_MAX = 100


class Prompts:
    """For the Project's thread only. `stored` is called after each prompt that is durable."""

    def __init__(
        self,
        *,
        log: ProjectLog,
        feed: Feed,
        settings: ProjectSettings,
        queue: RunQueue,
        stored: Callable[[], None],
    ) -> None:
        self._log = log
        self._feed = feed
        self._settings = settings
        self._queue = queue
        self._stored = stored
        self._keys = RequestKeys(log.keyed)
        self._is_closed = False

    def change(self, settings: ProjectSettings) -> None:
        self._settings = settings

    def refuse(self) -> None:
        """Take no new prompts from now on: the server stops. One that is sent again is answered."""
        self._is_closed = True

    def execute(self, reply_to: ReplyTo, caller: Caller, request: requests.Execute) -> None:
        """Take a prompt; it is answered when it is durable. Raises WireError."""
        execution = _execution(caller, request)
        asked = request.options.model_dump(exclude_none=True)
        run = None
        if request.request_key is not None:
            run = keyed_execution(request.request_key, execution, asked)
            if (known := self._keys.find(run)) is not None:
                self._answer_again(reply_to, known)
                return
        if self._is_closed:
            raise HubFault(ErrorCode.SHUTTING_DOWN, "the server is stopping")
        execution.options = self._checked(request.options)
        self._check_room()
        execution.askers.append(reply_to)
        self._queue.admit(execution)
        if run is not None:
            self._keys.add(run)
        self._feed.log(
            UpdateType.PROMPT,
            _prompt_data(execution, asked, request.request_key),
            opens=Opens(execution.execution_id),
            on_stored=lambda: self._on_stored(execution, run),
            on_refused=lambda: self._on_refused(execution, run),
        )

    def _checked(self, options: Options) -> Options:
        """Return the options with folders resolved. Raises RequestRefused (`invalid_options`)."""
        timeout_max_s = self._settings.execution_timeout_s
        if options.timeout_seconds is not None and options.timeout_seconds > timeout_max_s:
            raise _invalid_option("timeout_seconds", f"at most {timeout_max_s:g} (EXEC_TIMEOUT)")
        self._check_space(options)
        if options.add_dirs is None:
            return options
        wanted = list(dict.fromkeys(options.add_dirs))
        if len(wanted) > ADD_DIRS_MAX:
            raise _invalid_option("add_dirs", f"at most {ADD_DIRS_MAX} folders")
        roots, kept_from = self._settings.roots, self._settings.layout.root
        try:
            folders = [str(resolve_folder(path, roots, kept_from)) for path in wanted]
        except (FolderRefused, FolderOutsideRoots) as error:
            raise _invalid_option("add_dirs", str(error)) from None
        return options.model_copy(update={"add_dirs": folders})

    def _check_space(self, options: Options) -> None:
        """Refuse options that are too long to start a process with. Raises RequestRefused."""
        space = self._settings.executor.space
        left_bytes = space.all_bytes
        for name, argument in option_arguments(options).items():
            size_bytes = len(argument.encode("utf-8")) + 1
            left_bytes -= size_bytes
            if size_bytes > space.one_bytes or left_bytes < 0:
                raise _invalid_option(
                    name,
                    f"its {size_bytes} bytes do not fit into a command line: all such options "
                    f"together have {space.all_bytes} bytes here, and one {space.one_bytes}; "
                    "put a long text into a file of the project, such as CLAUDE.md",
                )

    def _check_room(self) -> None:
        """Raise RequestRefused if the queue is full; HubFault (`storage_failed`) below
        MIN_FREE_BYTES, so that running executions can finish."""
        if not self._queue.has_room:
            raise RequestRefused(
                ErrorCode.QUEUE_FULL,
                f"{len(self._queue.all_waiting)} prompts wait already (MAX_QUEUE); try again later",
            )
        try:
            free = free_bytes(self._settings.layout.root)
        except OSError as error:
            raise HubFault(ErrorCode.STORAGE_FAILED, f"the data folder: {error}") from None
        if free < self._settings.min_free_bytes:
            raise HubFault(
                ErrorCode.STORAGE_FAILED,
                f"only {in_words(free)} are free where the log is kept, and MIN_FREE_BYTES is "
                f"{in_words(self._settings.min_free_bytes)}",
            )

    def _answer_again(self, reply_to: ReplyTo, execution_id: str) -> None:
        """Answer a prompt that was sent before with its execution's present state, and not before
        the first one is answered itself."""
        execution = self._queue.find(execution_id)
        if execution is not None and not execution.is_stored:
            execution.askers.append(reply_to)
        else:
            _answer(reply_to, execution_id, *self._queue.place_of(execution_id))

    def _on_stored(self, execution: Execution, run: KeyedExecution | None) -> None:
        execution.is_stored = True
        if run is not None:
            self._log.note_key(run)
        state, position = self._queue.place_of(execution.execution_id)
        askers, execution.askers = execution.askers, []
        for reply_to in askers:
            _answer(reply_to, execution.execution_id, state, position)
        if state == "queued":
            self.log_queued(execution)
        self._stored()

    def log_queued(self, execution: Execution) -> None:
        """Log that a prompt waits, once."""
        if execution.was_queued:
            return
        execution.was_queued = True
        _, position = self._queue.place_of(execution.execution_id)
        queued = ExecutionQueued(execution_id=execution.execution_id, position=position)
        self._feed.log(UpdateType.EXECUTION_QUEUED, queued)

    def _on_refused(self, execution: Execution, run: KeyedExecution | None) -> None:
        self._queue.finish(execution.execution_id)
        if run is not None:
            self._keys.forget(run)
        fault = HubFault(ErrorCode.STORAGE_FAILED, "the prompt could not be stored; it was not run")
        for reply_to in execution.askers:
            reply_to.error(fault)


def _execution(caller: Caller, request: requests.Execute) -> Execution:
    content = request.content
    return Execution(
        execution_id=str(uuid.uuid4()),
        caller=caller,
        prompt=request.prompt,
        content=None if content is None else as_sent(content),
        text=request.prompt or text_of(content or []),
        traceparent=trace_context.parsed(request.traceparent),
    )


def _prompt_data(execution: Execution, asked: dict[str, Any], request_key: str | None) -> Prompt:
    """Return the data of the `prompt` update: what is asked for, how, and by whom."""
    data = Prompt(
        execution_id=execution.execution_id,
        options=asked,
        key=request_key,
        client_id=execution.caller.client_id,
        user=execution.caller.user,
    )
    if execution.content is not None:
        data["content"] = execution.content
    else:
        data["prompt"] = execution.prompt
    return data


def _answer(reply_to: ReplyTo, execution_id: str, state: ExecutionState, position: int) -> None:
    reply_to.result(ExecuteResult(execution_id=execution_id, state=state, position=position))


def _invalid_option(name: str, message: str) -> RequestRefused:
    field = f"payload.options.{name}"
    return RequestRefused(ErrorCode.INVALID_OPTIONS, f"{field}: {message}", {"field": field})
