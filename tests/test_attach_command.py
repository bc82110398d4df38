"""The commands `attach` and `watch` where there is no screen."""

import importlib.util
import signal
import subprocess
import sys
from typing import Any

import pytest
from click.testing import CliRunner

from claudehub.cli import attach_cli
from claudehub.cli.main import main
from tests.harness import ROOT, TIMEOUT_S, HubProcess

WATCH = [sys.executable, str(ROOT / "claudehub" / "__main__.py"), "watch"]


def test_attach_without_a_terminal_names_the_command_that_needs_none() -> None:
    ended = CliRunner().invoke(main, ["attach", "site"])
    assert ended.exit_code == 1
    assert ended.stderr == (
        "claudehub: attach needs a terminal; `claudehub tail` prints what happens\n"
    )


@pytest.mark.parametrize("command", [["attach", "site"], ["watch"]])
def test_without_textual_one_line_says_what_to_type(
    command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def find_spec(name: str, *rest: Any) -> Any:
        return None if name == "textual" else found(name, *rest)

    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    monkeypatch.setattr(attach_cli, "_is_terminal", lambda: True)
    ended = CliRunner().invoke(main, command)
    assert ended.exit_code == 1
    assert ended.stderr == (
        "claudehub: this view needs textual; "
        f"type: {sys.executable} -m pip install 'textual>=8.2,<9'\n"
    )


def test_other_commands_do_not_wait_for_textual() -> None:
    script = (
        "import sys; from claudehub.cli.main import main; main(['--help'], standalone_mode=False);"
        "import claudehub.cli.attach_cli, claudehub.tui.plain_watch;"
        "assert 'textual' not in sys.modules and 'rich' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def test_watch_into_a_pipe_prints_a_line_a_change(hub: HubProcess) -> None:
    with hub.client() as client:
        client.request("project_create", path=hub.folder("piped"), project_id="piped")
        watcher = subprocess.Popen(
            [*WATCH, "--url", hub.url],
            env=hub.environment(PYTHONUNBUFFERED="1"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert watcher.stdout is not None
        lines = iter(line for line in watcher.stdout if line.startswith("piped"))
        assert next(lines) == "piped: idle\n"
        client.request("execute", project_id="piped", prompt="[[tool:Bash:touch it]]")
        asks = next(line for line in lines if "waits" in line)
        assert asks == "piped: waits for you: $ touch it\n"
        client.request("project_delete", project_id="piped")
        assert next(line for line in lines if "deleted" in line) == "piped: deleted\n"
        watcher.send_signal(signal.SIGINT)
        assert watcher.wait(TIMEOUT_S) == 0
        watcher.stdout.close()
