"""Prompts that carry a key, so that sending one again is safe: in one project a key runs once."""

import hashlib
from collections.abc import Iterable
from typing import Any

from actors.project.run_queue import Execution
from protocol import codec
from protocol.errors import RequestRefused, invalid_field
from storage.keys import KEYS_KEPT, KeyedRun


def fingerprint(prompt: str | None, content: Any, options: dict[str, Any]) -> str:
    """The same for the same prompt (or content blocks) with the same options."""
    return hashlib.sha256(codec.dumps([prompt, content, options])).hexdigest()


class Keys:
    """The newest KEYS_KEPT."""

    def __init__(self, known: Iterable[KeyedRun]) -> None:
        self._runs: dict[str, KeyedRun] = {}
        for run in known:
            self.add(run)

    def add(self, run: KeyedRun) -> None:
        self._runs.pop(run.key, None)
        self._runs[run.key] = run
        if len(self._runs) > KEYS_KEPT:
            del self._runs[next(iter(self._runs))]

    def forget(self, run: KeyedRun) -> None:
        """It was not accepted after all."""
        self._runs.pop(run.key, None)

    def find(self, run: KeyedRun) -> str | None:
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


def keyed_run(execution: Execution, asked: dict[str, Any]) -> KeyedRun | None:
    """None for a prompt without a key."""
    if (key := execution.caller.key) is None:
        return None
    prompt, content = execution.prompt, execution.content
    return KeyedRun(key, execution.execution_id, fingerprint(prompt, content, asked))
