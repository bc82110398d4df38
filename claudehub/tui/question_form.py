"""An agent's question while a person answers it with keys."""

from dataclasses import dataclass, field
from typing import Any

from claudehub.client.answer import Answer
from claudehub.show.lines import Kind, Line
from claudehub.show.questions import Asked, Form, Question
from claudehub.show.safe_text import one_line, plain

DIGITS = "123456789"


@dataclass(slots=True)
class Choice:
    """A line that can be chosen. `key` goes there, and `behind` explains it."""

    key: str
    label: str
    behind: str = ""
    is_checked: bool | None = None
    value: str = ""


@dataclass(slots=True)
class Typing:
    """A text that the person is asked for."""

    invitation: str
    is_reason: bool = False


@dataclass(slots=True)
class QuestionForm:
    """One question. `press` and `typed` return the answer as soon as it is complete.

    `typing` is set while a text is asked for; `cursor` is the line that enter chooses; `part` is
    the number of its questions that are answered; `warning` says what is missing in the answer.
    """

    question: Question
    cursor: int = 0
    typing: Typing | None = None
    choices: list[Choice] = field(default_factory=list)
    part: int = 0
    warning: str = ""
    _answers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._begin()

    @property
    def heading(self) -> str:
        asked = self._asked
        if asked is None or len(self.question.asked) == 1:
            return self.question.heading
        return f"{self.question.heading} {self.part + 1} of {len(self.question.asked)}"

    @property
    def body(self) -> list[Line]:
        """Return what the question is about, as safe text."""
        asked = self._asked
        if asked is None:
            return list(self.question.body)
        text = [Line(Kind.HEADING, line) for line in plain(asked.text).split("\n")]
        return [*self.question.body, *text]

    @property
    def hint(self) -> str:
        """Return what can be done now."""
        if self.typing is not None:
            return "enter: send · esc: back"
        if self._asked is not None and self._asked.multiple:
            return "space: mark · enter: send · n: refuse"
        if self._asked is not None:
            return "↑ ↓ or the digit · enter: send"
        return "↑ ↓ enter, or the letter"

    def move(self, step: int) -> None:
        self.warning = ""
        self.cursor = max(0, min(self.cursor + step, len(self.choices) - 1))

    def press(self, key: str) -> Answer | None:
        """Take a letter, a digit, `space` or `enter`.

        A digit sends nothing: with the enter that many people type behind it they would answer the
        next question too.
        """
        self.warning = ""
        if key == "enter":
            return self._enter()
        if key == "space":
            self._mark(self.cursor)
            return None
        for number, choice in enumerate(self.choices):
            if choice.key == key:
                self.cursor = number
                if key in DIGITS:
                    self._mark(number)
                    return None
                return self._choose(choice)
        return None

    def typed(self, text: str) -> Answer | None:
        """Take the text that was asked for."""
        typing, self.typing = self.typing, None
        text = text.strip()
        if typing is None:
            return None
        if typing.is_reason:
            return Answer("deny", message=text or None)
        return self._answered([*self._marked(), text]) if text else None

    def back(self) -> None:
        """Ask for no text after all."""
        self.typing = None

    @property
    def _asked(self) -> Asked | None:
        return self.question.asked[self.part] if self.question.asked else None

    def _begin(self) -> None:
        self.cursor = 0
        asked = self._asked
        self.choices = _decisions(self.question) if asked is None else _options(asked)

    def _enter(self) -> Answer | None:
        choice = self.choices[self.cursor]
        if choice.is_checked is None:
            return self._choose(choice)
        marked = self._marked()
        if not marked:
            self.warning = "mark at least one with space"
            return None
        return self._answered(marked)

    def _choose(self, choice: Choice) -> Answer | None:
        match choice.key:
            case "y":
                return Answer("allow")
            case "r":
                return Answer("allow", remember=True)
            case "n":
                self.typing = Typing("Why? (enter: without a reason)", is_reason=True)
            case "o":
                self.typing = Typing("Your answer")
            case _:
                return self._answered([choice.value])
        return None

    def _mark(self, number: int) -> None:
        choice = self.choices[number]
        if choice.is_checked is not None:
            choice.is_checked = not choice.is_checked

    def _marked(self) -> list[str]:
        return [choice.value for choice in self.choices if choice.is_checked]

    def _answered(self, values: list[str]) -> Answer | None:
        """Keep the answer to this question, and go on with the next; return all behind the last."""
        asked = self._asked
        assert asked is not None
        self._answers[asked.text] = ", ".join(values)
        if self.part + 1 < len(self.question.asked):
            self.part += 1
            self._begin()
            return None
        return Answer("allow", answers=dict(self._answers))


def _decisions(question: Question) -> list[Choice]:
    if question.form is Form.PLAN:
        yes, no = Choice("y", "Go on with it"), Choice("n", "No", "and say what should change")
        return [yes, no]
    found = [Choice("y", "Allow")]
    if question.remember:
        phrases = "; ".join(one_line(phrase) for phrase in question.remember)
        found.append(Choice("r", "Allow, and for the rest of the session", phrases))
    return [*found, Choice("n", "Deny", "and say why")]


def _options(asked: Asked) -> list[Choice]:
    mark = False if asked.multiple else None
    found = [
        Choice(
            DIGITS[number] if number < len(DIGITS) else "",
            one_line(option.label),
            one_line(option.description),
            mark,
            option.label,
        )
        for number, option in enumerate(asked.options)
    ]
    return [*found, Choice("o", "Another answer"), Choice("n", "Refuse", "and say why")]


def arguments_of(answer: Answer) -> dict[str, Any]:
    """Return what `Project.answer` takes by name, besides the decision."""
    given = {
        "message": answer.message,
        "answers": answer.answers,
        "remember": answer.remember or None,
    }
    return {name: value for name, value in given.items() if value is not None}
