"""Prompts that carry a key, so that sending one again is safe: in one project a key runs once."""

import hashlib
from collections.abc import Iterable
from typing import Any

from actors.project.run_queue import Execution
from protocol import codec
from protocol.errors import RequestRefused, invalid_field
from storage.request_keys import REQUEST_KEYS_KEPT, KeyedExecution


def fingerprint(prompt: str | None, content: Any, options: dict[str, Any]) -> str:
    """The same for the same prompt (or content blocks) with the same options."""
    return hashlib.sha256(codec.dumps([prompt, content, options])).hexdigest()


class Keys:
    """The newest REQUEST_KEYS_KEPT."""

    def __init__(self, known: Iterable[KeyedExecution]) -> None:
        self._runs: dict[str, KeyedExecution] = {}
        for run in known:
            self.add(run)

    def add(self, run: KeyedExecution) -> None:
        self._runs.pop(run.key, None)
        self._runs[run.key] = run
        if len(self._runs) > REQUEST_KEYS_KEPT:
            del self._runs[next(iter(self._runs))]

    def forget(self, run: KeyedExecution) -> None:
        """It was not accepted after all."""
        self._runs.pop(run.key, None)

    def find(self, run: KeyedExecution) -> str | None:
        """The execution that a key has run already. Raises RequestRefused where it ran another
        prompt."""
        known = self._runs.get(run.key)
        if known is None:
            return None
        if known.fingerprint != run.fingerprint:
            raise _other_prompt()
        return known.execution_id


def _other_prompt() -> RequestRefused:
    return invalid_field("payload.key", "was used for another prompt, or with other options")


def keyed_run(execution: Execution, asked: dict[str, Any]) -> KeyedExecution | None:
    """None for a prompt without a key."""
    if (key := execution.caller.key) is None:
        return None
    prompt, content = execution.prompt, execution.content
    return KeyedExecution(key, execution.execution_id, fingerprint(prompt, content, asked))
