"""Prompts that carry a request key, so that sending one again is safe: it runs once."""

from collections.abc import Iterable
from typing import Any

from actors.feed.prompt_digest import prompt_digest
from actors.project.run_queue import Execution
from protocol.errors import RequestRefused, invalid_field
from storage.request_keys import REQUEST_KEYS_KEPT, KeyedExecution


class RequestKeys:
    """The newest REQUEST_KEYS_KEPT of one project."""

    def __init__(self, known: Iterable[KeyedExecution]) -> None:
        self._runs: dict[str, KeyedExecution] = {}
        for run in known:
            self.add(run)

    def add(self, run: KeyedExecution) -> None:
        self._runs.pop(run.request_key, None)
        self._runs[run.request_key] = run
        if len(self._runs) > REQUEST_KEYS_KEPT:
            del self._runs[next(iter(self._runs))]

    def forget(self, run: KeyedExecution) -> None:
        """Forget a prompt that was not accepted after all."""
        self._runs.pop(run.request_key, None)

    def find(self, run: KeyedExecution) -> str | None:
        """Return the execution that the key has run already, or None.

        Raises RequestRefused if the key ran another prompt.
        """
        known = self._runs.get(run.request_key)
        if known is None:
            return None
        if known.prompt_digest != run.prompt_digest:
            raise _other_prompt()
        return known.execution_id


def _other_prompt() -> RequestRefused:
    return invalid_field("payload.key", "was used for another prompt, or with other options")


def keyed_execution(
    request_key: str, execution: Execution, asked: dict[str, Any]
) -> KeyedExecution:
    """Return what is remembered of an execution; `asked` are its options as they were sent."""
    digest = prompt_digest(execution.prompt, execution.content, asked)
    return KeyedExecution(request_key, execution.execution_id, digest)
