"""One turn of a CLI process: the execution that a prompt asked for, or one that the CLI began."""

import uuid
from dataclasses import dataclass

from actors.executor.states import EndReason, Verdict, judge, stronger
from actors.messages.executor import StartRun
from actors.messages.project import RunEnded
from actors.runtime.clock import Timer
from protocol.claude import AgentLine, SessionChoice, TurnEnd, user_line


@dataclass(slots=True)
class Turn:
    """`order` is None for one that the CLI began by itself; `uuid` that of its user line, once that
    is written; `has_output`: the CLI has begun with it, as far as it has said."""

    execution_id: str
    order: StartRun | None
    timeout_s: float
    watchdog: Timer
    session: SessionChoice
    uuid: str | None = None
    has_output: bool = False
    was_repeated: bool = False
    reason: EndReason | None = None
    end: TurnEnd | None = None
    cost_usd: float | None = None

    @property
    def is_preparing(self) -> bool:
        """Nothing of the prompt has reached the CLI yet."""
        return self.order is not None and self.uuid is None

    def wish(self, reason: EndReason) -> None:
        self.reason = stronger(self.reason, reason)

    def owns(self, line: AgentLine) -> bool:
        """By uuid where the CLI tells it (2.1.331), else by turn (2.1.197): there a `result` with
        an origin is another's. That a session is forgotten comes before any prompt."""
        if self.order is None:
            return True
        if line.uuids:
            return self.uuid in line.uuids
        if (end := line.turn_end) is not None and not end.forgotten:
            return self.uuid is not None and not end.has_origin
        return True

    def note(self, line: AgentLine) -> None:
        """One of its lines has come. A prompt that is only queued may still be lost with its
        process."""
        self.has_output = self.has_output or not line.is_queued

    @property
    def was_forgotten(self) -> bool:
        """The CLI did not know the session, and nobody wanted the execution to end."""
        forgotten = self.end is not None and self.end.forgotten
        return forgotten and self.reason is None and self.session.resume is not None

    @property
    def may_be_repeated(self) -> bool:
        """Where its process had been kept: it ended without a word to the prompt, so it had died
        before."""
        said_nothing = self.end is None and not self.has_output
        return said_nothing and self.reason is None and not self.was_repeated

    def verdict(self, return_code: int | None = None) -> Verdict:
        """`return_code`: of its process, where that has ended."""
        return judge(
            self.reason,
            self.end,
            return_code=return_code,
            timeout_s=self.timeout_s,
            cost_usd=self.cost_usd,
        )

    def prompt_line(self) -> bytes:
        """The prompt for the CLI, which has it from now on."""
        assert self.order is not None
        content = self.order.content
        self.uuid = str(uuid.uuid4())
        return user_line(content if isinstance(content, str) else list(content), self.uuid)

    def begin_again(self, session: SessionChoice) -> None:
        """The same prompt in another process, within the same time limit, with a fresh uuid."""
        self.session = session
        self.uuid = self.end = None
        self.has_output = False


def run_ended(execution_id: str, verdict: Verdict, stderr: str) -> RunEnded:
    """The one end, for the Project."""
    return RunEnded(
        execution_id=execution_id,
        outcome=verdict.outcome,
        result=verdict.result,
        exit_code=verdict.exit_code,
        stderr=stderr,
        cost_usd=verdict.cost_usd,
    )
