"""What a person types, as an answer to an agent's question."""

import re

from claudehub.client.answer import Answer
from claudehub.show.lines import Line
from claudehub.show.questions import Asked, Form, Question
from claudehub.show.safe_text import one_line

_YES = ("y", "yes")
_REMEMBER = ("r", "remember")
# A "no" may say why behind it. To a question with choices "no preference" is an answer of its own,
# so that only the letter refuses it.
_NO = re.compile(r"(?:no|n)(?:[\s,:;.]+(.*))?", re.IGNORECASE | re.DOTALL)
_REFUSED = re.compile(r"n(?:[\s,:;.]+(.*))?", re.IGNORECASE | re.DOTALL)
_NUMBER = re.compile(r"[0-9]{1,9}")
_NUMBERS = re.compile(r"[0-9]{1,9}(?:[\s,]+[0-9]{1,9})*")
_QUOTED = re.compile(r'"(.+)"', re.DOTALL)


class NotUnderstood(Exception):
    """What was typed is no answer; the text says in one line what would be."""


class Dialogue:
    """One question, until it is answered: most take one line, those with choices one line a
    question."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self._chosen: dict[str, str] = {}
        self._left = list(question.asked)

    @property
    def lines(self) -> list[Line]:
        """Return what is to be shown before the next line is read, besides the question's body."""
        return self._left[0].lines if self._left else []

    @property
    def invitation(self) -> str:
        """Return what may be typed now."""
        if self._left:
            return _choices_invitation(self._left[0])
        if self._question.form is Form.PLAN:
            return "[y]es, or [n]o and what should change"
        remember = "yes and [r]emember, " if self._question.remember else ""
        return f"[y]es, {remember}[n]o (you may say why)"

    def take(self, text: str) -> Answer | None:
        """Take a line; return the answer, or None if another line is needed. Raises
        NotUnderstood."""
        if not self._left:
            return _decision(self._question, text)
        if refusal := _REFUSED.fullmatch(text.strip()):
            return _refusal(refusal)
        asked = self._left[0]
        self._chosen[asked.text] = chosen(asked, text)
        del self._left[0]
        return None if self._left else Answer("allow", answers=self._chosen)


def chosen(asked: Asked, text: str) -> str:
    """Return the answer to one question: numbers become labels, several are joined by ", ", and any
    other text is a free answer; quotes make one of a number. Raises NotUnderstood."""
    text = text.strip()
    if quoted := _QUOTED.fullmatch(text):
        return quoted[1]
    if same := [o.label for o in asked.options if o.label.lower() == text.lower()]:
        return same[0]
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if _NUMBERS.fullmatch(text):
        parts = re.split(r"[\s,]+", text)
    if not parts:
        raise NotUnderstood(f"type {_range(asked)}, or an answer of your own")
    numbers = sorted({int(part) for part in parts if _NUMBER.fullmatch(part)})
    if not numbers or not asked.options:
        return text
    own = [part for part in parts if not _NUMBER.fullmatch(part)]
    if not asked.multiple and len(parts) > 1:
        if own:
            return text
        raise NotUnderstood(f"only one choice is possible here: {_range(asked)}")
    if numbers[0] < 1 or numbers[-1] > len(asked.options):
        raise NotUnderstood(f"the choices are {_range(asked)}; quotes make a number an answer")
    return ", ".join([*(asked.options[number - 1].label for number in numbers), *own])


def _refusal(found: re.Match[str]) -> Answer:
    return Answer("deny", message=(found[1] or "").strip() or None)


def _decision(question: Question, text: str) -> Answer:
    if refusal := _NO.fullmatch(text.strip()):
        return _refusal(refusal)
    word = text.strip().lower()
    if word in _YES:
        return Answer("allow")
    if word in _REMEMBER and question.remember:
        return Answer("allow", remember=True)
    if word in _REMEMBER:
        raise NotUnderstood("there is nothing to remember here; type y or n")
    keys = "y, r or n" if question.remember else "y or n"
    raise NotUnderstood(f"type {keys}; behind n you may say why")


def _choices_invitation(asked: Asked) -> str:
    if not asked.options:
        return "your answer, or n to refuse"
    several = ", several with commas" if asked.multiple else ""
    return f"{_range(asked)}{several}; an answer of your own, or n to refuse"


def _range(asked: Asked) -> str:
    last = len(asked.options)
    return one_line("1" if last == 1 else f"1 to {last}") if last else "an answer"
