"""Bringing a process to what a prompt asks of it: which control requests, and their answers."""

import secrets
from dataclasses import replace

from protocol.claude import (
    ControlResponse,
    Rules,
    TurnSettings,
    permissions_line,
    set_mode_line,
    set_model_line,
)

# Requests whose answers have not come; beyond that the oldest is not heard any more.
OUTSTANDING_MAX = 64


class Preparation:
    """What a process has been told, and what it has not answered yet. One a process."""

    def __init__(self, told: TurnSettings, *, model_is_known: bool) -> None:
        self._told = told
        self._known = {"mode": True, "model": model_is_known, "rules": True}
        self._outstanding: dict[str, str] = {}
        self._awaited: set[str] = set()

    @property
    def is_ready(self) -> bool:
        """Nothing that was asked for waits for its answer."""
        return not self._awaited

    def note_mode(self, mode: str) -> None:
        """The CLI has changed it by itself (ExitPlanMode, a suggestion that was accepted)."""
        self._told = replace(self._told, mode=mode)

    def lines(self, wanted: TurnSettings) -> list[bytes]:
        """The requests for a prompt. The mode is set anew for each, but only one that differs is
        waited for."""
        told, known = self._told, dict(self._known)
        lines = []
        if wanted.model != told.model or not known["model"]:
            lines.append(set_model_line(self._number("model", awaited=True), wanted.model))
        if wanted.rules != told.rules or not known["rules"]:
            lines.append(permissions_line(self._number("rules", awaited=True), wanted.rules))
        differs = wanted.mode != told.mode or not known["mode"]
        lines.append(set_mode_line(self._number("mode", awaited=differs), wanted.mode))
        self._told = wanted
        return lines

    def restore(self, rules: Rules) -> list[bytes]:
        """After a turn: the prompt's rules held for it only."""
        if self._told.rules == rules:
            return []
        self._told = replace(self._told, rules=rules)
        return [permissions_line(self._number("rules", awaited=False), rules)]

    def give_up(self) -> None:
        """Nobody waits any more; late answers are still heard."""
        self._awaited.clear()

    def answered(self, response: ControlResponse) -> str | None:
        """Takes an answer, in whatever order they come; a sentence where the turn cannot be run."""
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

    def _number(self, kind: str, *, awaited: bool) -> str:
        request_id = secrets.token_hex(8)
        if len(self._outstanding) >= OUTSTANDING_MAX:
            del self._outstanding[next(iter(self._outstanding))]
        self._outstanding[request_id] = kind
        if awaited:
            self._awaited.add(request_id)
        return request_id


_NAMES = {"mode": "permission mode", "model": "model", "rules": "permission rules"}
