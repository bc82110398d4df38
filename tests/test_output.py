"""What a hub says, as the commands print it: no control characters, and no tracebacks."""

import contextlib
import io
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from claudehub.cli import state_cli, tail_cli
from claudehub.cli.output import say
from claudehub.client.position import Position
from claudehub.client.reading import project_info, update_of
from tests.scripted_hub import project_object, update_payload

BAD = "\x1b]0;title\x07\u202e\ud800"


class Hub:
    """A hub that says what the test gives."""

    url = "ws://127.0.0.1:1"

    def __init__(self, project: Any = None) -> None:
        self.welcome = {"server": BAD}
        self._project = project

    def health(self) -> dict[str, Any]:
        said = {"status": BAD, "claude": BAD, "connections": BAD, "executing": BAD}
        return {**said, "problems": [BAD, 5]}

    def projects(self) -> list[Any]:
        entry = {"permission_id": BAD, "tool": BAD, "input": {}}
        return [project_info(project_object(BAD, pending_permissions=[entry]))]

    def project(self, name: str, create: bool = True) -> Any:
        return self._project


def run(monkeypatch: pytest.MonkeyPatch, module: Any, hub: Hub, *arguments: str) -> str:
    """Return what a command of the module prints."""

    @contextlib.contextmanager
    def reached(*_: object, **__: object) -> Iterator[Hub]:
        yield hub

    monkeypatch.setattr(module, "reached", reached)
    command, *rest = arguments
    result = CliRunner().invoke(getattr(module, command), rest)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.output


@pytest.mark.parametrize("command", ["status", "health", "pending"])
def test_text_of_the_hub_is_made_safe(monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    printed = run(monkeypatch, state_cli, Hub(), command, "--url", "ws://127.0.0.1:1")
    assert "title" in printed
    assert not set(printed) & set(BAD.replace("]0;title", ""))


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8"])
def test_what_the_encoding_lacks_is_a_question_mark(
    monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    say("one\n  \u2713 \ud800\x1b[2J")
    sys.stdout.flush()
    lines = written.getvalue().decode(encoding).split("\n")
    assert lines == ["one", "  \u2713 \ufffd[2J" if encoding == "utf-8" else "  ? ?[2J", ""]


class SilentProject:
    """A project with many updates that show nothing."""

    def history(self, *, newest_first: bool) -> Iterator[Any]:
        for seq in range(10_000, 0, -1):
            raw = update_payload("site", seq, "status", data={"status": "idle"})
            yield update_of(raw, Position("log", seq))


def test_tail_shows_a_long_silent_log_only_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    shown, real = [], tail_cli.recorder_of

    def recorder(*arguments: Any) -> Any:
        shown.append(arguments)
        return real(*arguments)

    monkeypatch.setattr(tail_cli, "recorder_of", recorder)
    hub = Hub(SilentProject())
    assert run(monkeypatch, tail_cli, hub, "tail", "site", "--url", "ws://127.0.0.1:1") == ""
    assert 1 < len(shown) < 9
