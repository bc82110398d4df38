"""Questions of the agent on a terminal: each appears once, and goes away when somebody else has
answered it."""

import termios
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from claudehub.client.answer import Answer, is_too_late
from claudehub.client.errors import HubError, RequestRefused
from claudehub.client.updates import (
    ExecutionFinished,
    PermissionRequest,
    PermissionResolved,
    Update,
)
from claudehub.show import words
from claudehub.show.answers import Dialogue, NotUnderstood
from claudehub.show.keyboard import Keyboard
from claudehub.show.line_editor import Left, LineEditor
from claudehub.show.lines import Line, folded
from claudehub.show.questions import Question, answering_command, question_of
from claudehub.show.safe_text import one_line, shortened, tail
from claudehub.show.screen import STYLES, Screen, Style
from claudehub.show.tools import summary_of

_BODY_LINES = 60
_BODY_LINE_LENGTH = 2_000
_VIEW = "v"
_PROMPT = "> "


@dataclass(slots=True)
class _Open:
    """The question that is asked now."""

    request: PermissionRequest
    question: Question
    dialogue: Dialogue
    is_folded: bool
    editor: LineEditor = field(default_factory=LineEditor)


class Asking:
    """Ask the user what the agent asks, one question after the other.

    `send` is called with each answer; it must not wait. Without a keyboard each question is shown
    with the command that answers it. `take` gets every update, `typed` is called when the keyboard
    can be read while `is_asking`.
    """

    def __init__(
        self,
        screen: Screen,
        keyboard: Keyboard | None,
        send: Callable[[PermissionRequest, Answer], None],
    ) -> None:
        self._screen = screen
        self._keyboard = keyboard
        self._send = send
        self._seen: set[str] = set()
        self._waiting: deque[PermissionRequest] = deque()
        self._left: dict[str, PermissionRequest] = {}
        self._open: _Open | None = None

    @property
    def is_asking(self) -> bool:
        """Return whether the keyboard is to be read."""
        return self._open is not None

    def take(self, update: Update) -> None:
        """Take an update. A question that comes again, after a reconnection, is not asked again."""
        match update:
            case PermissionRequest() if update.permission_id not in self._seen:
                self._seen.add(update.permission_id)
                self._waiting.append(update)
                self._ask_next()
            case PermissionResolved():
                self._resolved(update)
            case ExecutionFinished():
                self._forget(update.execution_id)

    def typed(self) -> None:
        """Read the keyboard. If the terminal is gone, others may answer."""
        if self._open is None or self._keyboard is None:
            return
        data = self._keyboard.read()
        event = self._open.editor.feed(data) if data else Left()
        if not data:
            self._keyboard = None
        if event is None:
            self._draw()
        elif isinstance(event, Left):
            self._leave(self._open)
        else:
            self._entered(self._open, event.text)

    def not_sent(self, request: PermissionRequest, error: HubError) -> None:
        """Say why an answer did not count."""
        if not isinstance(error, RequestRefused) or not is_too_late(error):
            self._note(f"the answer was not taken: {one_line(str(error))}", Style.RED)
            self._note(answering_command(question_of(request)))
        elif (by := error.details.get("by")) is not None:
            decision = error.details.get("decision")
            self._note(one_line(f"{by} was faster: {decision}"), Style.YELLOW)
        else:
            self._note("that question is no longer open", Style.YELLOW)
        self._draw()

    def suspend(self) -> None:
        """Give the terminal back to the shell, which stops this process."""
        if self._open is not None and self._keyboard is not None:
            self._screen.prompt()
            self._screen.paste_marks(False)
            self._keyboard.stop()

    def resume(self) -> None:
        """Take the terminal again, with the same question."""
        if self._open is not None:
            if self._start_keyboard():
                self._draw()
            else:
                self._leave(self._open)

    def close(self) -> None:
        """Ask no more, and leave the terminal as it was."""
        self._waiting.clear()
        self._end_question()

    # -- one question ---------------------------------------------------------------------------

    def _ask_next(self) -> None:
        while self._open is None and self._waiting:
            request = self._waiting.popleft()
            question = question_of(request)
            body = [Line(line.kind, _cut(line.text)) for line in question.body]
            shown = folded(body, _BODY_LINES)
            self._screen.line((Style.YELLOW, "? "), (Style.BOLD, question.heading))
            self._show(shown)
            if not self._start_keyboard():
                self._left[request.permission_id] = request
                for asked in question.asked:
                    self._show(asked.lines)
                self._note(answering_command(question))
                continue
            is_folded = shown != list(question.body)
            self._open = _Open(request, question, Dialogue(question), is_folded)
            for phrase in question.remember:
                self._screen.line((Style.DIM, f"  r would allow: {phrase}"))
            self._invite(self._open)

    def _invite(self, current: _Open) -> None:
        """Show what may be typed. What was typed before is dropped."""
        self._show(current.dialogue.lines)
        view = ", [v]iew all of it" if current.is_folded else ""
        self._screen.line((Style.DIM, f"  {current.dialogue.invitation}{view}"))
        if self._keyboard is not None:
            self._keyboard.flush()
        self._draw()

    def _entered(self, current: _Open, text: str) -> None:
        self._screen.prompt()
        self._screen.line((Style.BOLD, _PROMPT), text)
        if current.is_folded and text.strip().lower() == _VIEW:
            self._show(current.question.body)
            current.is_folded = False
            self._invite(current)
            return
        try:
            answer = current.dialogue.take(text)
        except NotUnderstood as error:
            self._screen.line((Style.YELLOW, f"  {error}"))
            self._draw()
            return
        if answer is None:
            self._invite(current)
            return
        self._end_question()
        self._send(current.request, answer)
        self._ask_next()

    def _leave(self, current: _Open) -> None:
        self._end_question()
        self._left[current.request.permission_id] = current.request
        self._note(f"left to others; {answering_command(current.question)}")
        self._ask_next()

    def _end_question(self) -> None:
        if self._open is None:
            return
        self._open = None
        self._screen.prompt()
        self._screen.paste_marks(False)
        if self._keyboard is not None:
            self._keyboard.stop()

    def _start_keyboard(self) -> bool:
        if self._keyboard is None or not self._keyboard.is_ours:
            return False
        try:
            self._keyboard.start()
        except termios.error:
            self._keyboard = None
            return False
        self._screen.paste_marks(True)
        return True

    # -- answers of others ----------------------------------------------------------------------

    def _resolved(self, update: PermissionResolved) -> None:
        said = words.resolved(update)
        if self._open is not None and self._open.request.permission_id == update.permission_id:
            self._end_question()
            self._note(said, Style.YELLOW)
            self._ask_next()
            return
        waiting = {request.permission_id: request for request in self._waiting}
        if request := (self._left | waiting).get(update.permission_id):
            self._left.pop(update.permission_id, None)
            self._drop_waiting({update.permission_id})
            self._note(f"{summary_of(request.tool, request.input)}: {said}")
            self._draw()

    def _forget(self, execution_id: str | None) -> None:
        """Drop the questions of an execution that has ended: their ends may lie in a gap."""
        ended = {r.permission_id for r in self._waiting if r.execution_id == execution_id}
        self._drop_waiting(ended)
        for request in list(self._left.values()):
            if request.execution_id == execution_id:
                del self._left[request.permission_id]
        if self._open is not None and self._open.request.execution_id == execution_id:
            self._end_question()
            self._ask_next()

    def _drop_waiting(self, permission_ids: set[str]) -> None:
        kept = [r for r in self._waiting if r.permission_id not in permission_ids]
        self._waiting = deque(kept)

    # -- the screen -----------------------------------------------------------------------------

    def _show(self, lines: Sequence[Line]) -> None:
        for line in lines:
            self._screen.line((STYLES.get(line.kind, Style.NORMAL), f"    {line}"))

    def _note(self, text: str, style: Style = Style.DIM) -> None:
        self._screen.line((style, f"· {text}"))

    def _draw(self) -> None:
        if self._open is None:
            self._screen.prompt()
            return
        columns = (self._screen.columns or 80) - len(_PROMPT) - 1
        self._screen.prompt((Style.BOLD, _PROMPT), tail(self._open.editor.text, columns))


def _cut(text: str) -> str:
    return shortened(text, _BODY_LINE_LENGTH)
