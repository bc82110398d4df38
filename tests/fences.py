"""The fenced code blocks of the documents, with their marks.

A mark is a comment on the line above a block (or above another mark):

    <!-- not run: reason -->        no test runs this block
    <!-- run by: tests/test_x.py -->  that test runs it in its own way
    <!-- before: command -->        set-up that readers do not need: a shell runs it first
    <!-- until: text -->            the program never ends: the test ends it when it prints that
    <!-- goes on: name -->          its last command goes on while the next blocks run
    <!-- shows: name -->            this text is what that command has printed by now
    <!-- ends: name -->             that command has ended; this text is all that it has printed
    <!-- printed -->                this text is what the block before it prints
    <!-- fails -->                  the commands of this block end with an error

`text` is for output and pictures, `mermaid` for diagrams: there is nothing to run.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.harness import ROOT

_FENCE = re.compile(r"^( *)```(.*)$")
_MARK = re.compile(
    r"^ *<!-- (not run|run by|before|fails|until|printed|goes on|shows|ends)(?:: (.*?))? -->$"
)


def pages() -> list[Path]:
    """Return every page whose code blocks are tested."""
    others = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "bench" / "README.md"]
    examples = [ROOT / "examples" / "README.md"]
    found = [*others, *examples, *sorted((ROOT / "docs").rglob("*.md"))]
    return [page for page in found if page.exists()]


@dataclass(frozen=True, slots=True)
class Fence:
    """One block. `line` is that of its first fence, `marks` what the comments above it say."""

    page: Path
    line: int
    language: str
    text: str
    marks: dict[str, list[str]]

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def is_run(self) -> bool:
        """Return True if the tests of the documents run this block themselves."""
        return not self.marks.keys() & {"not run", "run by"}


def fences(page: Path) -> Iterator[Fence]:
    """Yield the blocks of a page in their order."""
    lines = page.read_text().splitlines()
    at = 0
    marks: dict[str, list[str]] = {}
    while at < len(lines):
        if (opening := _FENCE.match(lines[at])) is None:
            if (mark := _MARK.match(lines[at])) is not None:
                marks.setdefault(mark[1], []).append(mark[2] or "")
            elif lines[at].strip():
                assert not marks, f"{page}:{at + 1}: a mark must stand right above its block"
            at += 1
            continue
        end = next(n for n in range(at + 1, len(lines)) if lines[n].strip() == "```")
        indent = len(opening[1])
        text = "\n".join(line[indent:] for line in lines[at + 1 : end])
        yield Fence(page, at + 1, opening[2].strip(), text, marks)
        marks = {}
        at = end + 1
