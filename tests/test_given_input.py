"""What a user or a file gives the commands, and is no good: a sentence, and no traceback."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from claudehub.cli.failures import told
from claudehub.cli.hubs import HubsUnusable, hubs_file, load_hubs
from claudehub.cli.main import main
from tests.harness import ROOT, TIMEOUT_S

NOBODY = "~no-such-user-here/key"


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.mark.parametrize(
    "text",
    [
        "5",
        "[]",
        '{"hubs": []}',
        '{"hubs": {"a": 5}}',
        '{"hubs": {"a": {"url": 5}}}',
        '{"hubs": {"a": {"url": "ws://x", "key": []}}}',
        '{"hubs": {}, "used": {}}',
        "[" * 200_000,
    ],
    ids=lambda text: text[:30],
)
def test_a_file_of_hubs_with_another_shape_is_refused_in_words(text: str) -> None:
    hubs_file().parent.mkdir()
    hubs_file().write_text(text)
    with pytest.raises(HubsUnusable, match="move it away"):
        load_hubs()


@pytest.mark.parametrize(
    "arguments",
    [
        ("status", "--url", "ws://127.0.0.1:1", "--key", NOBODY),
        ("hub", "add", "home", "ws://127.0.0.1:1", "--key", NOBODY),
    ],
)
def test_a_key_in_the_folder_of_nobody_is_a_wrong_use(arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert "there is no home folder of that user" in result.output


def test_a_prompt_that_is_not_utf_8_is_a_wrong_use() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "claudehub", "run", "site", "-", "--url", "ws://127.0.0.1:1"],
        cwd=ROOT,
        input=b"caf\xe9",
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 2
    assert b"the prompt is not UTF-8" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("number", "is_output"),
    [(errno.ENOSPC, True), (errno.EIO, True), (errno.ENOENT, False), (errno.EACCES, False)],
)
def test_only_a_fault_of_the_output_is_called_one(
    number: int, is_output: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    @told
    def command() -> None:
        raise OSError(number, os.strerror(number), "some/file")

    with pytest.raises(SystemExit) as ended:
        command()
    said = capsys.readouterr().err
    assert ended.value.code == 1
    assert ("the output cannot be written" in said) is is_output
    assert is_output or "some/file" in said
