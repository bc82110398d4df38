"""`claudehub attach` and `watch` in a real terminal, driven by keys, against a real hub.

It needs tmux and is run by .ci/terminal, which sees to that.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.harness import ROOT, HubProcess
from tests.terminal import Terminal

MAIN = [sys.executable, str(ROOT / "claudehub" / "__main__.py")]


@pytest.fixture
def hub(start_hub: Any, scratch: Path) -> HubProcess:
    hub: HubProcess = start_hub(SOCKET=str(scratch / "hub.sock"), WS_PORT="off")
    with hub.client() as client:
        client.request("project_create", path=hub.folder("site"), project_id="site")
    return hub


def terminal(hub: HubProcess, scratch: Path, *arguments: str) -> Terminal:
    kept = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    environment = kept | {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "SHELL": "/bin/sh"}
    command = [*MAIN, *arguments, "--url", hub.url]
    return Terminal(scratch, command, environment)


def test_a_session_from_the_first_prompt_over_a_crash_of_the_hub_to_the_end(
    hub: HubProcess, scratch: Path
) -> None:
    with terminal(hub, scratch, "attach", "site") as screen:
        screen.wait_for("site", "● connected", "Write a prompt")

        screen.type("say [[text:HELLO]]")
        screen.keys("C-j")
        screen.type("to me")
        screen.wait_for("  to me")
        screen.keys("Enter")
        screen.wait_for("\n  HELLO", "\n  to me", "■ done in")

        screen.type("make it [[tool:Bash:touch made.txt]]")
        screen.keys("Enter")
        screen.wait_for("? Run this command?", "$ touch made.txt", "enter, or the letter")
        assert not (hub.roots / "site" / "made.txt").exists()
        screen.keys("y")
        screen.wait_until(lambda text: text.count("■ done in") == 2 and "✓ $ touch" in text)
        assert (hub.roots / "site" / "made.txt").exists()

        hub.stop(signal.SIGKILL)
        screen.wait_for("reconnecting for", "no connection for")
        screen.type("sent later [[text:BACK]]")
        screen.keys("Enter")
        screen.wait_for("will be sent when the hub is back")
        hub.start()
        screen.wait_for("● connected", "BACK")
        screen.wait_without("will be sent")

        screen.keys("C-f")
        screen.wait_for("search")
        screen.type("hello")
        screen.keys("Enter")
        screen.wait_for("found, ", "HELLO")
        screen.keys("Escape")
        screen.wait_without("found, ")

        program = screen.program()
        children = program.children(recursive=True)
        screen.keys("C-q")
        screen.wait_for("ENDED 0")
        assert not program.is_running() and not any(child.is_running() for child in children)


def test_a_question_that_somebody_else_answers_goes_away_and_says_by_whom(
    hub: HubProcess, scratch: Path
) -> None:
    with hub.client() as other, terminal(hub, scratch, "attach", "site") as screen:
        other.request("project_join", project_id="site")
        screen.wait_for("● connected", "1 other here")
        other.request("execute", project_id="site", prompt="[[tool:Bash:touch it]]")
        question = other.wait_for("permission_request")["data"]
        screen.wait_for("? Run this command?")
        answer = {"permission_id": question["permission_id"], "decision": "allow"}
        other.request("permission_answer", project_id="site", **answer)
        screen.wait_for(f"answered by {other.welcome['client_id']}: allow")
        screen.wait_without("? Run this command?")
        screen.keys("C-q")
        screen.wait_for("ENDED 0")


def test_ctrl_c_interrupts_and_leaves_the_view_open(hub: HubProcess, scratch: Path) -> None:
    with terminal(hub, scratch, "attach", "site") as screen:
        screen.wait_for("● connected")
        screen.type("[[hang]]")
        screen.keys("Enter")
        screen.wait_for("○ executing")
        screen.keys("C-c")
        screen.wait_for("■ interrupted after")
        screen.keys("C-q")
        screen.wait_for("ENDED 0")


def test_ctrl_c_while_the_hub_is_away_does_not_hit_the_prompt_that_is_sent_behind_it(
    hub: HubProcess, scratch: Path
) -> None:
    with terminal(hub, scratch, "attach", "site") as screen:
        screen.wait_for("● connected")
        screen.type("[[slow:60:0.1]]")
        screen.keys("Enter")
        screen.wait_for("word0 word1")
        hub.stop(signal.SIGKILL)
        screen.wait_for("reconnecting for")
        screen.type("[[slow:20:0.1]]")
        screen.keys("Enter")
        screen.wait_for("will be sent when the hub is back")
        screen.keys("C-c")
        screen.wait_for("interrupting the agent")
        hub.start()
        screen.wait_for("● connected", "word18 word19", "■ done in")
        screen.keys("C-q")
        screen.wait_for("ENDED 0")


def test_watch_shows_what_waits_first_and_enter_attaches(hub: HubProcess, scratch: Path) -> None:
    with hub.client() as other:
        other.request("project_create", path=hub.folder("docs"), project_id="docs")
        with terminal(hub, scratch, "watch") as screen:
            screen.wait_for("Idle 2", "docs", "site")
            other.request("execute", project_id="site", prompt="[[tool:Bash:touch it]]")
            screen.wait_for("Waits for you 1", "? site", "$ touch it")
            screen.keys("Home", "a")
            screen.wait_for("? Run this command?", "enter, or the letter")
            screen.keys("y")
            screen.wait_for("Idle 2")
            screen.keys("Enter")
            screen.wait_for("Write a prompt", "● connected")
            screen.keys("C-q")
            screen.wait_for("Idle 2")
            screen.keys("q")
            screen.wait_for("ENDED 0")


def test_a_project_that_is_not_there_is_named_before_the_screen_is_taken(
    hub: HubProcess, scratch: Path
) -> None:
    with terminal(hub, scratch, "attach", "nosuch") as screen:
        screen.wait_for("claudehub: no project `nosuch`; there are: site", "ENDED 1")


def test_colours_are_those_of_the_terminal(hub: HubProcess, scratch: Path) -> None:
    """Sixteen colours by number and the terminal's own background: no detection is needed."""
    with hub.client() as other:
        other.request("project_join", project_id="site")
        other.run("site", "[[text:# Title **bold** `code`]] [[tool:Bash:echo hi]] [[after:`x`]]")
    with terminal(hub, scratch, "attach", "site") as screen:
        screen.wait_for("■ done in")
        painted = screen.screen("-e")
        assert "\x1b[32m" in painted  # green, whatever the terminal takes for green
        assert "38;2;" not in painted and "48;2;" not in painted and "48;5;" not in painted
        screen.keys("C-q")
        screen.wait_for("ENDED 0")
