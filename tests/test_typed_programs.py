"""Programs that use the library: they type-check under mypy --strict, and they run."""

import asyncio
from pathlib import Path

import pytest
from mypy import api

import claudehub
from claudehub.testing import FakeHub
from tests.harness import ROOT
from tests.typed_programs import answering, reading, testing

PROGRAMS = sorted((ROOT / "tests" / "typed_programs").glob("*.py"))
WRONG = """
import claudehub

def program(hub: claudehub.Hub, update: claudehub.Update) -> None:
    hub.project("site").execute("Hi", on_permission=lambda question: 5)
    hub.nosuch()
    if isinstance(update, claudehub.ClaudeText):
        update.text = "frozen"
        number: int = update.text
    claudehub.Nosuch
"""


def checked(*arguments: str) -> tuple[str, int]:
    """Run mypy; return what it says, and its exit code."""
    said, errors, code = api.run(["--strict", "--no-incremental", "--config-file=", *arguments])
    assert errors == ""
    return said, code


def test_programs_that_use_the_library_are_typed() -> None:
    said, code = checked(*map(str, PROGRAMS))
    assert code == 0, said


def test_what_is_wrong_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The types are there: nothing of the library is Any."""
    monkeypatch.setenv("MYPYPATH", str(ROOT))
    program = tmp_path / "program.py"
    program.write_text(WRONG)
    said, code = checked(str(program))
    assert code == 1
    found = [line.rpartition("[")[2] for line in said.splitlines() if "error:" in line]
    assert found == [
        "arg-type]",
        "return-value]",
        "attr-defined]",
        "misc]",
        "assignment]",
        "attr-defined]",
    ], said


def test_the_programs_run() -> None:
    with FakeHub() as fake:
        fake.script(None, testing.agent)
        fake.project("site")
        assert answering.with_threads(fake.url) == "success"
        said = asyncio.run(answering.with_asyncio(fake.url))
        assert said.startswith("success ['I shall commit.'] execution_finished 1")
        fake.script(None, lambda prompt: ["fixed"])
        lines = reading.main(fake.url)
        assert "FIXED" in lines and lines[-2:] == ["connected", "success"]
        assert answering.failing(fake.url) == "connected"
    assert answering.failing(fake.url) == claudehub.Failure.NOTHING_LISTENS
    assert testing.committed() == ["Commit"]
