"""One line of a `.gitignore` (gitignore(5)), matched in a time that is linear in the path and the
line.

pathspec's regular expressions backtrack: `*a*/*a*/*a*/z` against names of 250 letters took 6 s, in
one call that nothing can interrupt, and anybody may write a `.gitignore`, an agent for example.
Here each part of a path has an expression of its own in which no star is tried twice (atomic
groups), and `**` goes back to itself only. tests/test_ignore_pattern.py compares the results with
git's.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

LENGTH_MAX = 1024
_DOUBLE_STAR = "**"


@dataclass(frozen=True, slots=True)
class IgnorePattern:
    """`names` has one expression for each part of a path; None stands for `**`, any number of
    parts."""

    names: tuple[re.Pattern[str] | None, ...]
    is_negated: bool
    folders_only: bool

    def match(self, parts: Sequence[str], *, is_folder: bool) -> bool:
        """Return True if the pattern names that path itself. The caller looks after what lies below
        a folder."""
        if self.folders_only and not is_folder:
            return False
        at = name_at = 0
        star_at, star_name_at = -1, -1  # the last `**`, and the place in the path then
        while at < len(parts):
            name = self.names[name_at] if name_at < len(self.names) else _NOTHING
            if name is None:
                star_at, star_name_at = at, name_at
                name_at += 1
            elif name.match(parts[at]):
                at, name_at = at + 1, name_at + 1
            elif (
                star_name_at >= 0
            ):  # one more part for this `**`; an earlier `**` need not be tried
                star_at += 1
                at, name_at = star_at, star_name_at + 1
            else:
                return False
        return all(name is None for name in self.names[name_at:])


def parse_pattern(line: str) -> IgnorePattern | None:
    """Return None for an empty line, a comment, and an invalid pattern."""
    text = _without_trailing_blanks(line)
    if not text or text.startswith("#") or len(text) > LENGTH_MAX:
        return None
    is_negated = text.startswith("!")
    text = text[1:] if is_negated else text
    folders_only = text.endswith("/")
    text = text[:-1] if folders_only else text
    is_anchored = "/" in text
    globs = text.removeprefix("/").split("/")
    if "" in globs:
        return None
    try:
        names = _names(globs if is_anchored else [_DOUBLE_STAR, *globs])
    except (ValueError, re.error):
        return None
    return IgnorePattern(tuple(names), is_negated, folders_only)


def _without_trailing_blanks(line: str) -> str:
    text = line.rstrip("\r\n")
    while text.endswith(" ") and not text.endswith("\\ "):
        text = text[:-1]
    return text


def _names(globs: Sequence[str]) -> list[re.Pattern[str] | None]:
    names: list[re.Pattern[str] | None] = []
    for glob in globs:
        if glob != _DOUBLE_STAR:
            names.append(_name(glob))
        elif not names or names[-1] is not None:
            names.append(None)
    if names[-1] is None:  # at the end `**` means what lies inside, not the folder itself
        names[-1:] = [_ANYTHING, None]
    return names


def _name(glob: str) -> re.Pattern[str]:
    """Return the expression for one part. Raises ValueError and re.error."""
    pieces, at = [""], 0
    while at < len(glob):
        character, at = glob[at], at + 1
        if character == "*":
            if pieces[-1] or len(pieces) == 1:
                pieces.append("")
        elif character == "?":
            pieces[-1] += "."
        elif character == "[":
            end = _end_of_class(glob, at)
            pieces[-1] += _class(glob[at:end])
            at = end + 1
        elif character == "\\":
            pieces[-1] += re.escape(glob[at : at + 1] or _fail())
            at += 1
        else:
            pieces[-1] += re.escape(character)
    first, *rest = pieces
    if not rest:
        return re.compile(rf"{first}\Z", re.DOTALL)
    middle = "".join(f"(?>.*?{piece})" for piece in rest[:-1])
    return re.compile(rf"{first}{middle}.*{rest[-1]}\Z", re.DOTALL)


def _fail() -> str:
    raise ValueError("a backslash with nothing behind it")


def _end_of_class(glob: str, at: int) -> int:
    end = at + 1 if glob[at : at + 1] in ("!", "^") else at
    end += glob[end : end + 1] == "]"
    while glob[end : end + 1] != "]":
        end += 2 if glob[end : end + 1] == "\\" else 1
        if end >= len(glob):
            raise ValueError("a class without an end")
    return end


def _class(text: str) -> str:
    negation = "^" if text[:1] in ("!", "^") else ""
    text = text[len(negation) :]
    found, at = "", 0
    while at < len(text):
        if text[at] == "\\":
            at += 1
            found += re.escape(text[at : at + 1] or _fail())
        else:
            found += text[at] if text[at] == "-" else re.escape(text[at])
        at += 1
    return f"[{negation}{found}]"


_ANYTHING = re.compile(r".*\Z", re.DOTALL)
_NOTHING = re.compile(r"(?!)")
