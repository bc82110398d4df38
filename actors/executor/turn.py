"""One turn of a CLI process, for a prompt or begun by the CLI, and the verdict on how it ended."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from actors.messages.executor import StartRun
from actors.messages.project import RunEnded
from actors.runtime.clock import Timer
from protocol.claude import AgentLine, SessionChoice, TurnEnd, user_line
from protocol.updates import Outcome, time_limit_text


class EndReason(StrEnum):
    """Why a turn was ended, if it did not end by itself."""

    INTERRUPTED = "interrupted"
    TIMEOUT = "timeout"
    KILLED = "killed"


def stronger(current: EndReason | None, new: EndReason) -> EndReason:
    """Return the reason that counts: a kill overrides the first reason, otherwise the first one
    stays."""
    return new if current is None or new is EndReason.KILLED else current


@dataclass(frozen=True, slots=True)
class Verdict:
    """What execution_finished says. `exit_code` is 128 + n for signal n, None for a process that
    lives on."""

    outcome: Outcome
    result: str
    exit_code: int | None = None
    cost_usd: float | None = None


def judge(
    reason: EndReason | None,
    turn_end: TurnEnd | None,
    *,
    return_code: int | None,
    timeout_s: float,
    cost_usd: float | None = None,
    why: str = "",
) -> Verdict:
    """Return the verdict; `why` is the sentence for a kill.

    A turn that ended by itself with success is a success, whatever was on its way. The exit code of
    a process that was closed says nothing about the turn: its `result` did.
    """
    exit_code = None if return_code is None else _exit_code(return_code)
    text = turn_end.text if turn_end is not None and not turn_end.aborted else ""
    if turn_end is not None and not turn_end.is_error:
        outcome = Outcome.SUCCESS
    elif reason is EndReason.KILLED:
        outcome, text = Outcome.KILLED, text or why
    elif reason is EndReason.TIMEOUT:
        outcome, text = Outcome.TIMEOUT, text or time_limit_text(timeout_s)
    elif reason is EndReason.INTERRUPTED:
        outcome, text = Outcome.INTERRUPTED, text or "Interrupted."
    else:
        outcome, text = Outcome.ERROR, text or _without_text(turn_end, exit_code)
    return Verdict(outcome, text, exit_code, cost_usd)


def _exit_code(return_code: int) -> int:
    return 128 - return_code if return_code < 0 else return_code


def _without_text(turn_end: TurnEnd | None, exit_code: int | None) -> str:
    if turn_end is not None:
        return "The agent stopped the turn."
    if exit_code is None:
        return "The agent ended without a result."
    return f"The agent ended without a result (exit code {exit_code}); see stderr."


@dataclass(slots=True)
class Turn:
    """`order` is None for a turn that the CLI began by itself. `uuid` is that of its user line,
    once it is written. `has_output`: the CLI has said that it has begun with it. `names_uuids`: the
    CLI says which user line a `result` is for (2.1.331). `is_running`: the CLI has said so, so that
    a later "idle" is about this turn."""

    execution_id: str
    order: StartRun | None
    timeout_s: float
    watchdog: Timer
    session: SessionChoice
    uuid: str | None = None
    has_output: bool = False
    names_uuids: bool = False
    is_running: bool = False
    was_repeated: bool = False
    reason: EndReason | None = None
    why: str = ""
    end: TurnEnd | None = None
    cost_usd: float | None = None

    @property
    def is_preparing(self) -> bool:
        """Return True while nothing of the prompt has reached the CLI."""
        return self.order is not None and self.uuid is None

    @property
    def clears(self) -> bool:
        """Return True if the prompt asks for a new conversation."""
        content = None if self.order is None else self.order.content
        return isinstance(content, str) and content.split(maxsplit=1)[:1] == ["/clear"]

    def wish(self, reason: EndReason, why: str = "") -> None:
        """Note why the turn is to end. The first kill names itself."""
        self.reason = stronger(self.reason, reason)
        self.why = self.why or why

    def owns(self, line: AgentLine) -> bool:
        """Return True if a line belongs to this turn: by uuid if the CLI names one (2.1.331), else
        by order (2.1.197). There a `result` with an origin belongs to another turn. A CLI that
        names uuids does so in every `result`, so one without is late, or forged. What comes
        before the prompt is written is about its preparation, but for the line that says that the
        session is forgotten."""
        if self.order is None:
            return True
        if self.uuid is None:
            return line.turn_end is not None and line.turn_end.forgotten
        if line.uuids:
            return self.uuid in line.uuids
        if (end := line.turn_end) is not None and not end.forgotten:
            return not end.has_origin and (end.is_cut or not self.names_uuids)
        return True

    def note(self, line: AgentLine) -> None:
        """Note one of its lines. A prompt that is only queued may still be lost with its
        process."""
        self.has_output = self.has_output or not line.is_queued
        self.names_uuids = self.names_uuids or bool(line.uuids)

    def take_plain(self, lines: Sequence[AgentLine], begin: int) -> int:
        """Take the lines from `begin` on that belong to the turn and are only passed on; return
        where they end. Most lines are of this kind; the others need a decision."""
        for at in range(begin, len(lines)):
            line = lines[at]
            if not _is_plain(line) or self.end is not None or not self.owns(line):
                return at
            self.note(line)
        return len(lines)

    @property
    def was_forgotten(self) -> bool:
        """Return True if the CLI did not know the session, and nobody wanted the execution to
        end."""
        forgotten = self.end is not None and self.end.forgotten
        return forgotten and self.reason is None and self.session.resume is not None

    @property
    def may_be_repeated(self) -> bool:
        """Return True if the turn may run again because its kept process ended without a word about
        it: then the process had died before."""
        said_nothing = self.end is None and not self.has_output
        return said_nothing and self.reason is None and not self.was_repeated

    def verdict(self, return_code: int | None = None) -> Verdict:
        """Return the verdict; `return_code` is that of its process, if the process has ended."""
        return judge(
            self.reason,
            self.end,
            return_code=return_code,
            timeout_s=self.timeout_s,
            cost_usd=self.cost_usd,
            why=self.why,
        )

    def prompt_line(self) -> bytes:
        """Return the prompt for the CLI, which has it from now on."""
        assert self.order is not None
        content = self.order.content
        self.uuid = str(uuid.uuid4())
        return user_line(content if isinstance(content, str) else list(content), self.uuid)

    def begin_again(self, session: SessionChoice) -> None:
        """Prepare the same prompt for another process, within the same time limit, with a new
        uuid."""
        self.session = session
        self.uuid = self.end = None
        self.has_output = self.names_uuids = self.is_running = False


def _is_plain(line: AgentLine) -> bool:
    says_nothing = line.session_id is None and line.mode is None and line.tasks is None
    is_no_border = line.turn_end is None and line.phase is None
    return says_nothing and is_no_border and line.update_type is not None and line.control is None


def run_ended(execution_id: str, verdict: Verdict, stderr: str) -> RunEnded:
    """Return the one end, for the Project."""
    return RunEnded(
        execution_id=execution_id,
        outcome=verdict.outcome,
        result=verdict.result,
        exit_code=verdict.exit_code,
        stderr=stderr,
        cost_usd=verdict.cost_usd,
    )
