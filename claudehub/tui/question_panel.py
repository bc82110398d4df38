"""The widget in which a question of the agent is answered."""

from collections.abc import Callable
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.strip import Strip
from textual.timer import Timer
from textual.widgets import Input

from claudehub.client.answer import Answer
from claudehub.client.updates import PermissionRequest
from claudehub.show.questions import question_of
from claudehub.tui import styles
from claudehub.tui.keys import AT_CHOICES, AT_QUESTION, IN_TEXT, Key
from claudehub.tui.layout import line_of, right_aligned
from claudehub.tui.lines_view import LinesView
from claudehub.tui.question_form import DIGITS, QuestionForm
from claudehub.tui.question_painting import paint_body, paint_choices

# A question that comes up while somebody types must not be answered by that.
ARMING_S = 0.7
# The part of the screen that a question takes, if the choices leave some of it to the body.
SHARE = 0.45
BODY_LINES_MIN = 3
CHOICE_LINES_MAX = 2
_LETTERS = "yrno"


class QuestionPanel(Vertical, can_focus=True):
    """The questions that wait, one of them shown. It posts `Answered`."""

    DEFAULT_CSS = """
    QuestionPanel { height: auto; display: none; }
    QuestionPanel > LinesView { height: auto; }
    QuestionPanel > Input {
        display: none; height: 1; border: none; padding: 0 0 0 1; margin: 0 1;
        background: ansi_default;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", show=False),
        Binding("down", "move(1)", show=False),
        Binding("left", "turn(-1)", show=False),
        Binding("right", "turn(1)", show=False),
        Binding("escape", "back", show=False),
        Binding("shift+up", "scroll_body(-1)", show=False),
        Binding("shift+down", "scroll_body(1)", show=False),
    ]

    class Answered(Message):
        """The person has answered the question."""

        def __init__(self, request: PermissionRequest, answer: Answer) -> None:
            super().__init__()
            self.request = request
            self.answer = answer

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.is_armed = False
        self._requests: list[PermissionRequest] = []
        self._form: QuestionForm | None = None
        self._shown = 0
        self._arming: Timer | None = None
        self._room_lines = 0
        self._heading = LinesView()
        self._body = LinesView()
        self._choices = LinesView(keys="↑ ↓")
        self._input = Input(compact=True)

    def compose(self) -> ComposeResult:
        self._input.cursor_blink = False
        yield self._heading
        yield self._body
        yield self._choices
        yield self._input

    @property
    def current(self) -> PermissionRequest | None:
        return self._requests[self._shown] if self._requests else None

    def keys(self) -> list[Key]:
        """Return the keys that work now."""
        form = self._form
        if form is None or form.typing is not None:
            return IN_TEXT
        letters = {choice.key for choice in form.choices}
        known = AT_CHOICES if form.question.asked else AT_QUESTION
        return [key for key in known if key[0] != "r" or "r" in letters]

    @property
    def is_typing(self) -> bool:
        return self._form is not None and self._form.typing is not None

    def set_requests(self, requests: list[PermissionRequest]) -> None:
        """Show these questions; the one that is being answered stays if it still waits."""
        before = self.current
        if [r.permission_id for r in requests] == [r.permission_id for r in self._requests]:
            self.fit()
            return
        self._requests = requests
        ids = [request.permission_id for request in requests]
        self._shown = (
            ids.index(before.permission_id) if before and (before.permission_id in ids) else 0
        )
        if not (before and before.permission_id in ids):
            self._open()
        self.display = bool(requests)
        self._paint()

    def arm(self) -> None:
        """Let keys count from now on."""
        if self._arming is not None:
            self._arming.stop()
            self._arming = None
        if not self.is_armed:
            self.is_armed = True
            self._paint()

    def arm_later(self) -> None:
        """Let keys count in a moment: the question has come up by itself."""
        self.is_armed = False
        if self._arming is not None:
            self._arming.stop()
        self._arming = self.set_timer(ARMING_S, self.arm)

    def _open(self) -> None:
        """Begin with the question that is shown."""
        request = self.current
        self._form = None if request is None else QuestionForm(question_of(request))
        self._hide_input()
        self._body.to_start()
        if request is not None:
            self.arm_later()

    # -- what is shown

    def on_resize(self) -> None:
        # Textual loses the wish for another height that a widget has while the screen is laid out.
        self.call_after_refresh(self._paint)

    def on_focus(self) -> None:
        self._paint()

    def on_blur(self) -> None:
        self._paint()

    def _paint(self) -> None:
        form, width = self._form, self.size.width or self.app.size.width
        if form is None:
            return
        has_focus = self.has_focus_within
        is_active = self.is_armed and has_focus
        self._heading.set_lines([self._title(form, width)])
        self._room_lines = self._room()
        self._paint_parts(form, width, self._room_lines - 1 - self.is_typing, is_active)

    def _paint_parts(self, form: QuestionForm, width: int, room: int, is_active: bool) -> None:
        """Paint the choices and, in what they leave of the lines, the body."""
        lines_max = CHOICE_LINES_MAX
        choices = paint_choices(form, width, is_active, lines_max)
        if len(choices) > room - BODY_LINES_MIN:
            lines_max = 1
            choices = paint_choices(form, width, is_active, lines_max)
        limit = max(room - BODY_LINES_MIN, 2)
        self._choices.set_lines(choices, limit)
        if len(choices) > limit:
            self._choices.bring_into_view(form.cursor)
        room -= min(len(choices), limit)
        share = int(self.app.size.height * SHARE) - len(choices)
        body_limit = max(min(max(share, BODY_LINES_MIN), room), 0)
        self._body.set_lines(paint_body(form, width, lines_max), body_limit)

    def fit(self) -> None:
        """Paint the question again if there is more or less room for it than before."""
        if self._form is not None and self._room() != self._room_lines:
            self._paint()

    def _room(self) -> int:
        """Return how many lines of the screen are left if what can shrink has one of them."""
        heights = [
            1 if child.styles.is_relative_height else max(child.outer_size.height, 1)
            for child in self.screen.children
            if child.display and child is not self
        ]
        return self.app.size.height - sum(heights)

    def _title(self, form: QuestionForm, width: int) -> Strip:
        left = line_of(("── ", styles.ASKING), (f"? {form.heading} ", styles.ASKING))
        count = len(self._requests)
        facts = [f"{self._shown + 1} of {count} (← →)" if count > 1 else ""]
        has_focus = self.has_focus_within
        hint = form.warning or form.hint if self.is_armed else "…"
        facts.append(hint if has_focus else "tab: answer")
        style = styles.WARNING if form.warning else styles.DIM
        right = line_of((" · ".join(fact for fact in facts if fact), style), (" ──", styles.DIM))
        room = max(width - left.cell_length - right.cell_length - 1, 0)
        rule = line_of(("─" * room, styles.ASKING))
        return right_aligned(Strip.join([left, rule]), right, width)

    # -- keys

    async def on_key(self, event: events.Key) -> None:
        """Take letters and digits, once they count."""
        key = event.key
        if self.screen.focused is not self or self._form is None or self.is_typing:
            return
        if key in ("enter", "space") or key in _LETTERS or key in DIGITS:
            event.stop()
            if self.is_armed:
                form = self._form
                self._took(lambda: form.press(key))

    def _took(self, step: Callable[[], Answer | None]) -> None:
        """Do a step of the form, and send the answer if it is complete."""
        form, request = self._form, self.current
        assert form is not None and request is not None
        part = form.part
        answer = step()
        if answer is not None:
            self._hide_input()
            self.is_armed = False
            self.post_message(self.Answered(request, answer))
        elif form.part != part:
            self._body.to_start()
            self.arm_later()
        elif form.typing is not None:
            self._input.value = ""
            self._input.placeholder = form.typing.invitation
            self._input.display = True
            self.screen.set_focus(self._input)
        self._paint()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        form = self._form
        if form is not None:
            self._hide_input()
            self._took(lambda: form.typed(event.value))

    def _hide_input(self) -> None:
        had_focus = self.screen.focused is self._input
        self._input.display = False
        if had_focus:
            self.screen.set_focus(self)

    def action_move(self, step: int) -> None:
        if self._form is not None:
            self._form.move(step)
            self._paint()

    def action_turn(self, step: int) -> None:
        """Show another question."""
        if len(self._requests) > 1:
            self._shown = (self._shown + step) % len(self._requests)
            self._open()
            self.arm()
            self._paint()

    def action_scroll_body(self, step: int) -> None:
        self._body.scroll_lines(step)

    def action_back(self) -> None:
        if self._form is not None and self.is_typing:
            self._form.back()
            self._hide_input()
            self._paint()
        else:
            self.post_message(self.Left())

    class Left(Message):
        """The person leaves the question for later."""
