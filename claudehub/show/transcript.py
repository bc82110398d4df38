"""The transcript: updates as lines, for people. `run`, `tail` and `log show` use it."""

from collections.abc import Sequence

from claudehub.client.lines import ApiRetry, ClaudeLine, RateLimit, Result
from claudehub.client.updates import (
    ClaudeDelta,
    ExecutionFinished,
    ExecutionQueued,
    ExecutionStarted,
    OutputText,
    PermissionRequest,
    PermissionResolved,
    Prompt,
    Update,
)
from claudehub.show import words
from claudehub.show.calls import State, ToolCall, ToolCalls
from claudehub.show.lines import Kind, folded, lines_of
from claudehub.show.notes import Note, note_of, note_of_line
from claudehub.show.questions import Form, answering_command, question_of
from claudehub.show.safe_text import local_time, one_line, plain, shortened
from claudehub.show.screen import STYLES, Piece, Screen, Style
from claudehub.show.streaming import Streaming
from claudehub.show.tools import summary_of

_PROMPT_LINES = 20
_RESULT_LINES = 6
_QUESTION_LINES = 20
_STDERR_LINES = 10
_LINE_LENGTH = 400
# What data of an unexpected shape raises. Faults of the output are no such fault.
_UNEXPECTED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
_SIGNS = {
    State.DONE: (Style.GREEN, "✓ "),
    State.FAILED: (Style.RED, "✗ "),
    State.DENIED: (Style.YELLOW, "⊘ "),
    State.STOPPED: (Style.YELLOW, "■ "),
}


class Transcript:
    """Show updates on a screen. The stream may begin anywhere.

    With `with_time`, each entry begins with the update's local time. Without `with_questions`,
    somebody else shows what the agent asks and how it was answered. Without `with_commands`,
    the command that answers a question is left out: what was asked is past.
    """

    def __init__(
        self,
        screen: Screen,
        *,
        with_time: bool = False,
        with_questions: bool = True,
        with_commands: bool = True,
    ) -> None:
        self._screen = screen
        self._with_time = with_time
        self._with_questions = with_questions
        self._with_commands = with_commands
        self._calls = ToolCalls()
        self._streaming = Streaming()
        self._prompts: dict[str | None, str] = {}
        self._queued: dict[str | None, str] = {}
        self._retry: ApiRetry | None = None
        self._limit_words = ""
        self._last_text = ""
        self._when = ""

    def show(self, update: Update) -> None:
        """Show what the update says, if it says something to people. One that cannot be shown
        becomes a line that names its type: the others are still to be seen."""
        try:
            self._show(update)
        except _UNEXPECTED:
            kind = shortened(one_line(update.type), _LINE_LENGTH)
            self._screen.line((Style.YELLOW, f"· an update that cannot be shown ({kind})"))

    def _show(self, update: Update) -> None:
        self._when = update.timestamp if self._with_time else ""
        changed = self._calls.take(update)
        if isinstance(update, ClaudeLine):
            self._claude(update)
        elif isinstance(update, ClaudeDelta):
            self._delta(update)
        else:
            self._other(update)
        for call in changed:
            if call.ended:
                self._ended(call)
        if isinstance(update, ExecutionFinished):
            self._finished(update)
        self._show_state()

    def close(self) -> None:
        """Leave the screen at the beginning of a line."""
        self._screen.end_line()
        self._screen.state()

    # -- updates of the hub ---------------------------------------------------------------------

    def _other(self, update: Update) -> None:
        match update:
            case Prompt():
                self._prompt(update)
            case ExecutionStarted():
                self._started(update)
            case OutputText():
                self._entry(update.text + (" […]" if update.truncated else ""))
            case PermissionRequest() if self._with_questions:
                self._asks(update)
            case PermissionResolved() if self._with_questions:
                self._note(Note(words.resolved(update)))
            case _:
                if isinstance(update, ExecutionQueued):
                    first_line = self._prompts.get(update.execution_id, "a prompt")
                    self._queued[update.execution_id] = first_line
                self._note(note_of(update))

    def _prompt(self, update: Prompt) -> None:
        lines = folded(lines_of(Kind.TEXT, plain(update.text).rstrip()), _PROMPT_LINES)
        text = "\n  ".join(line.text for line in lines)
        user = f"  ({one_line(update.user)})" if update.user else ""
        self._entry((Style.BOLD, f"> {text}"), (Style.DIM, user))
        if update.execution_id is not None:
            self._prompts[update.execution_id] = lines[0].text

    def _started(self, update: ExecutionStarted) -> None:
        """Say which prompt begins, if it has waited."""
        self._last_text = ""
        waited = self._queued.pop(update.execution_id, None)
        if update.origin == "background":
            self._note(Note("the agent goes on by itself: background work has ended"))
        elif waited is not None:
            self._note(Note(f"begins: {waited}"))

    def _asks(self, update: PermissionRequest) -> None:
        """Show a question that is answered elsewhere, with all that is to be approved."""
        question = question_of(update)
        summary = summary_of(update.tool, update.input)
        self._entry((Style.YELLOW, "? "), f"{summary}", (Style.DIM, f" ({State.WAITING})"))
        asked = [line for each in question.asked for line in each.lines]
        body = [*question.body, *asked]
        if question.form is Form.COMMAND and len(body) == 1 and str(body[0]) == str(summary):
            body = []  # the line above has all of it
        for line in folded(body, _QUESTION_LINES):
            text = shortened(str(line), _LINE_LENGTH)
            self._screen.line((STYLES.get(line.kind, Style.NORMAL), f"    {text}"))
        if self._with_commands:
            self._screen.line((Style.DIM, f"  {answering_command(question)}"))

    def _finished(self, update: ExecutionFinished) -> None:
        self._prompts.pop(update.execution_id, None)
        self._queued.pop(update.execution_id, None)
        is_good = update.outcome == "success"
        result = (update.result or "").strip()
        if result and result != self._last_text:
            self._entry(result if is_good else (Style.RED, result))
        if update.stderr.strip() and not is_good:
            self._folded(update.stderr, _STDERR_LINES)
        self._entry((Style.DIM if is_good else Style.RED, words.outcome(update)))
        self._last_text = ""

    # -- lines of the CLI -----------------------------------------------------------------------

    def _delta(self, update: ClaudeDelta) -> None:
        text = self._streaming.piece(update)
        if not text:
            return
        self._end_retries()
        if self._when and not self._screen.is_in_line:
            self._screen.text(f"{local_time(self._when)}  ")
        self._screen.text(text)

    def _claude(self, update: ClaudeLine) -> None:
        match update:
            case ApiRetry():
                self._retrying(update)
                return
            case RateLimit():
                self._rate_limit(update)
                return
        if update.line.get("type") in ("assistant", "result"):
            self._end_retries()
        if update.line.get("type") == "assistant":
            for block in update.blocks:
                if block.get("type") == "text" and isinstance(block.get("text"), str):
                    self._said(update, block["text"])
        elif isinstance(update, Result):
            self._result(update)
        else:
            note = note_of_line(update.line)
            if note is not None and not self._calls.is_open(note.tool_use_id):
                self._note(note)

    def _said(self, update: ClaudeLine, text: str) -> None:
        """Show what the agent said, unless it was streamed; a subagent's text is indented."""
        if update.parent_tool_use_id:
            self._entry(_indented(text))
            return
        self._last_text = text.strip()
        has_begun = self._streaming.has_begun(update.message_id)
        rest = self._streaming.rest(update.message_id, text)
        if has_begun and rest is not None:
            self._screen.text(rest)
            self._screen.end_line()
        elif text.strip():
            self._entry(text)

    def _result(self, update: Result) -> None:
        """Show the text of commands such as /context, which no other line has."""
        text = update.text.strip()
        if text and text != self._last_text and not update.is_error:
            self._entry(text)
            self._last_text = text

    def _retrying(self, update: ApiRetry) -> None:
        self._retry = update
        if not self._screen.in_place:
            self._note(Note(words.api_retry(update)))

    def _end_retries(self) -> None:
        """Leave one line of the tries that were shown in place."""
        retry, self._retry = self._retry, None
        if retry is not None and self._screen.in_place:
            self._note(Note(words.api_retries(retry)))

    def _rate_limit(self, update: RateLimit) -> None:
        said = words.rate_limit(update)
        if update.status != "allowed" and said != self._limit_words:
            self._note(Note(said, is_warning=True))
            self._limit_words = said

    def _ended(self, call: ToolCall) -> None:
        sign = _SIGNS.get(call.state, (Style.NORMAL, "  "))
        indent = "  " if call.parent else ""
        summary = shortened(call.summary.detail, _LINE_LENGTH)
        time = words.duration(call.took_s) if call.took_s is not None else ""
        state = time if call.state is State.DONE else call.words
        behind = (Style.DIM, f" ({state})") if state else ""
        between = " " if summary else ""
        self._entry(indent, sign, (Style.BOLD, call.summary.verb), between + summary, behind)
        is_telling = call.state in (State.FAILED, State.DENIED) or call.tool == "AskUserQuestion"
        if is_telling and call.result.strip():
            self._folded(call.result, _RESULT_LINES if call.state is State.FAILED else 2)

    # -- the screen -----------------------------------------------------------------------------

    def _show_state(self) -> None:
        """Show what goes on now in the last line."""
        calls = self._calls.open
        if self._retry is not None:
            self._screen.state((Style.YELLOW, words.api_retry(self._retry)))
        elif calls:
            more = f" and {len(calls) - 1} more" if len(calls) > 1 else ""
            call = calls[-1]
            state = (Style.DIM, f" ({call.state}{more})")
            self._screen.state(
                "  ", (Style.BOLD, call.summary.verb), f" {call.summary.detail}", state
            )
        else:
            self._screen.state()

    def _entry(self, *pieces: Piece) -> None:
        time: Sequence[Piece] = ()
        if self._when:
            time = ((Style.DIM, f"{local_time(self._when)}  "),)
        self._screen.line(*time, *pieces)

    def _note(self, note: Note | None) -> None:
        if note is not None:
            self._entry((Style.YELLOW if note.is_warning else Style.DIM, f"· {note.text}"))

    def _folded(self, text: str, limit: int) -> None:
        """Show the first and last lines of a long text, indented."""
        lines = [shortened(line, _LINE_LENGTH) for line in plain(text).strip("\n").split("\n")]
        for line in folded(lines_of(Kind.NOTE, "\n".join(lines)), limit):
            self._screen.line((STYLES[line.kind], f"    {line.text}"))


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.split("\n"))
