"""Bring a process to what a prompt asks: which control requests are needed, and their answers."""

import secrets
from dataclasses import replace

from protocol.claude import (
    ControlResponse,
    TurnSettings,
    permissions_line,
    set_mode_line,
    set_model_line,
)

# Requests without an answer; beyond this number the oldest is forgotten.
OUTSTANDING_MAX = 64


class Preparation:
    """What one process has been told, and what it has not answered yet."""

    def __init__(self, told: TurnSettings, *, model_is_known: bool) -> None:
        self._told = told
        self._known = {"mode": True, "model": model_is_known, "rules": True}
        self._outstanding: dict[str, str] = {}
        self._awaited: set[str] = set()

    @property
    def is_ready(self) -> bool:
        """Return True if no request of the prompt waits for its answer."""
        return not self._awaited

    def note_mode(self, mode: str) -> None:
        """Note that the CLI has changed the mode by itself (ExitPlanMode, an accepted
        suggestion)."""
        self._told = replace(self._told, mode=mode)

    def lines(self, wanted: TurnSettings) -> list[bytes]:
        """Return the requests for a prompt: what differs from what the process was told last. All
        answers are awaited: the prompt must not run under other rules than it asks for."""
        told, known = self._told, dict(self._known)
        lines = []
        if wanted.model != told.model or not known["model"]:
            lines.append(set_model_line(self._await("model"), wanted.model))
        if wanted.rules != told.rules or not known["rules"]:
            lines.append(permissions_line(self._await("rules"), wanted.rules))
        if wanted.mode != told.mode or not known["mode"]:
            lines.append(set_mode_line(self._await("mode"), wanted.mode))
        self._told = wanted
        return lines

    def restore(self, usual: TurnSettings) -> list[bytes]:
        """Return the requests after a turn: the prompt's rules held for it alone, and the mode is
        set again for the next prompt, whatever the CLI has made of it. Nobody waits for their
        answers."""
        lines = [set_mode_line(self._number("mode"), usual.mode)]
        if self._told.rules != usual.rules:
            lines.append(permissions_line(self._number("rules"), usual.rules))
        self._told = replace(self._told, mode=usual.mode, rules=usual.rules)
        return lines

    def give_up(self) -> None:
        """Stop waiting; late answers are still noted."""
        self._awaited.clear()

    def answered(self, response: ControlResponse) -> str | None:
        """Take an answer, in any order; return a sentence if the turn cannot run."""
        kind = self._outstanding.pop(response.request_id, None)
        if kind is None:
            return None
        was_awaited = response.request_id in self._awaited
        self._awaited.discard(response.request_id)
        self._known[kind] = response.error is None
        if response.error is None or not was_awaited:
            return None
        self.give_up()
        return f"The agent refused the {_NAMES[kind]}: {response.error}"

    def _await(self, kind: str) -> str:
        request_id = self._number(kind)
        self._awaited.add(request_id)
        return request_id

    def _number(self, kind: str) -> str:
        request_id = secrets.token_hex(8)
        if len(self._outstanding) >= OUTSTANDING_MAX:
            del self._outstanding[next(iter(self._outstanding))]
        self._outstanding[request_id] = kind
        return request_id


_NAMES = {"mode": "permission mode", "model": "model", "rules": "permission rules"}
