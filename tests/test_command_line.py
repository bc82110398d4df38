"""The command line, as a user types it: exit codes, streams, launcher."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from claudehub.cli import standin_agent
from claudehub.cli.main import main
from tests.harness import MOCK, ROOT, TIMEOUT_S, HubProcess, WireClient
from tests.processes import wait_until


def run(hub: HubProcess, *arguments: str, text: str | None = None) -> Any:
    return CliRunner(env={"CLAUDEHUB_URL": hub.url}).invoke(main, arguments, input=text)


def spawn(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    """As from a terminal: a suite that runs in the background may have been told to ignore
    SIGINT, and would hand that on."""
    command = [sys.executable, str(ROOT / "claudehub" / "__main__.py"), *arguments]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        given = {"stdin": subprocess.DEVNULL, **pipes, **options}
        return subprocess.Popen(command, text=True, **given)
    finally:
        signal.signal(signal.SIGINT, before)


def test_projects_are_made_listed_and_deleted(start_hub: Any) -> None:
    hub = start_hub()
    assert "no projects" in run(hub, "projects", "list").output
    made = run(hub, "projects", "create", hub.folder("site"), "--id", "s")
    assert (made.exit_code, made.output) == (0, "s\n")
    head, row = run(hub, "projects", "list").output.splitlines()
    assert head.split()[:5] == ["PROJECT", "STATUS", "ASKS", "QUEUE", "UPDATES"]
    assert row.split()[:5] == ["s", "idle", "0", "0", "0"] and row.endswith(f"{hub.roots}/site")
    (listed,) = run(hub, "projects", "list", "--json").output.splitlines()
    assert json.loads(listed)["project_id"] == "s"
    again = run(hub, "projects", "create", hub.folder("site"))
    assert again.exit_code == 1 and "is a project already: `s`" in again.output
    assert run(hub, "projects", "delete", "s").exit_code == 0
    gone = run(hub, "projects", "delete", "s")
    assert gone.exit_code == 1 and "no project `s`" in gone.output


@pytest.mark.parametrize(
    ("prompt", "code"),
    [("[[text:HI]]", 0), ("[[error]]", 1), ("[[exit:9]][[stderr:broken]]", 1), ("[[hang]]", 3)],
)
def test_the_exit_code_of_a_run_is_its_outcome(hub: HubProcess, prompt: str, code: int) -> None:
    limit = ("--timeout", "0.5") if "hang" in prompt else ()
    ran = run(hub, "run", hub.folder(f"ends-{code}") + "/", prompt, *limit)
    assert ran.exit_code == code, ran.output
    if code == 0:
        assert f"made project ends-{code}" in ran.output and "\nHI\ndone in" in ran.output


def test_a_run_streams_and_takes_its_prompt_from_anywhere(hub: HubProcess) -> None:
    folder = hub.folder("streams") + "/"
    assert "--odd" in run(hub, "run", folder, "--json", "--", "--odd").output
    ran = run(hub, "run", "streams", "-", text="[[text:FROM-STDIN]]")
    assert ran.exit_code == 0 and "FROM-STDIN" in ran.output
    lines = run(hub, "run", folder, "[[deltas:1]]", "--json").stdout.splitlines()
    assert len(lines) > 4 and all(line.startswith("{") for line in lines)


def test_ctrl_c_ends_the_execution(hub: HubProcess) -> None:
    folder = hub.folder("ended") + "/"
    process = spawn("run", folder, "[[hang]]", "--url", hub.url)
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        with hub.client() as client:
            client.request("project_join", project_id="ended", after_seq=0)
            client.wait_for("claude")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130, errors
    assert "interrupted" in errors


def project_ids(client: WireClient) -> list[str]:
    return [found["project_id"] for found in client.request("project_list")["projects"]]


def test_a_second_ctrl_c_kills_the_execution(hub: HubProcess) -> None:
    process = spawn("run", hub.folder("killed") + "/", "[[stubborn]][[hang]]", "--url", hub.url)
    with process:
        with hub.client() as client:
            wait_until(lambda: "killed" in project_ids(client))
            client.request("project_join", project_id="killed", after_seq=0)
            client.wait_for("claude", subtype="status")
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        while "again to kill it" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 4


def test_a_permission_is_answered_from_another_terminal(hub: HubProcess) -> None:
    process = spawn(
        "run", hub.folder("asked") + "/", "[[tool:Bash:touch made.txt]]", "--url", hub.url
    )
    with process:
        assert process.stderr is not None
        while "claudehub answer" not in (said := process.stderr.readline()):
            pass
        words = said.split("claudehub ")[1].split()
        assert words[:2] == ["answer", "asked"] and words[-1] == "allow"
        run(hub, *words)
        output, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0
    assert "answered by c-" in output
    assert (hub.roots / "asked" / "made.txt").exists()
    refused = run(hub, *words[:3], "deny")
    assert refused.exit_code == 1 and "answered already" in refused.output


def test_tail_shows_history_and_then_live_updates(hub: HubProcess) -> None:
    run(hub, "run", hub.folder("tailed") + "/", "[[text:BEFORE]]")
    process = spawn("tail", "-f", "tailed", "--url", hub.url)
    with process:
        assert process.stdout is not None
        seen = ""
        while "done in" not in seen:
            seen += process.stdout.readline()
        assert "BEFORE" in seen
        run(hub, "run", "tailed", "[[text:AFTER]]")
        while "AFTER" not in seen:
            seen += process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0


def test_tail_ends_with_its_project_or_names_its_position(hub: HubProcess, scratch: Path) -> None:
    run(hub, "run", hub.folder("deleted") + "/", "x")
    process = spawn("tail", "-f", "deleted", "--last", "1", "--url", hub.url)
    with process:
        assert process.stdout is not None
        while "done in" not in process.stdout.readline():
            pass
        run(hub, "projects", "delete", "deleted")
        output, _ = process.communicate(timeout=TIMEOUT_S)
        assert "the project is deleted" in output
    assert process.returncode == 0


def test_without_a_hub_the_remedy_is_named() -> None:
    ran = CliRunner().invoke(main, ["projects", "list", "--url", "ws://127.0.0.1:1"])
    assert ran.exit_code == 7
    assert "claudehub serve" in ran.output


def test_every_command_has_help_with_an_example() -> None:
    commands = [
        [],
        ["serve"],
        ["demo"],
        ["run"],
        ["tail"],
        ["projects"],
        ["projects", "list"],
        ["projects", "create"],
        ["projects", "delete"],
    ]
    for command in commands:
        shown = CliRunner().invoke(main, [*command, "--help"])
        assert shown.exit_code == 0
        assert "Example:" in shown.output, command


def test_bad_configuration_ends_with_2_and_no_traceback(scratch: Path) -> None:
    hub = HubProcess(scratch)
    environment = hub.environment(WS_PORT="x", HEARTBEAT="5", CLAUDE_CMD="'")
    process = spawn("serve", "--max-conn", "0", env=environment)
    output, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 2
    assert output == ""
    lines = errors.splitlines()
    assert [re.split(r"[:=]", line)[1].strip() for line in lines] == [
        "WS_PORT",
        "CLAUDE_CMD",
        "HEARTBEAT",
        "MAX_CONN",
    ]


def test_a_missing_cli_ends_with_2_and_says_how_to_install_it(scratch: Path) -> None:
    environment = HubProcess(scratch).environment(CLAUDE_CMD="no-such-claude")
    process = spawn("serve", env=environment)
    _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 2
    assert "npm install" in errors and "claudehub demo" in errors


def test_a_taken_port_ends_with_1_and_names_the_remedy(hub: HubProcess, scratch: Path) -> None:
    other = scratch / "other"
    other.mkdir()
    port = hub.url.rsplit(":", 1)[1]
    process = spawn("serve", env=HubProcess(other).environment(WS_PORT=port))
    _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 1
    assert "choose another WS_PORT" in errors


def test_the_demo_shows_the_whole_job() -> None:
    process = spawn("demo")
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "kill -9" in output and "compared number by number" in output


def test_the_demo_fails_when_something_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    from claudehub.cli import demo

    whole = demo._history
    monkeypatch.setattr(demo, "_history", lambda hub: whole(hub)[:-1])
    monkeypatch.setattr(standin_agent, "__file__", str(MOCK))
    monkeypatch.setenv("CLAUDE_MOCK_VERSION", "2.1.197")  # silent after the end
    shown = CliRunner().invoke(main, ["demo"])
    assert shown.exit_code == 1
    assert "FAILED: the history and what the clients saw differ" in shown.output


def test_the_launcher_becomes_the_server(scratch: Path) -> None:
    """It starts through a symlink, from another folder; its pid is the server's."""
    link = scratch / "hub"
    link.symlink_to(ROOT / "bin" / "claudehub")
    hub = HubProcess(scratch)
    environment = hub.environment(CLAUDEHUB_VENV=sys.prefix)
    process = subprocess.Popen(
        [str(link), "serve"], cwd="/", env=environment, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("listening on ws://127.0.0.1:")
        assert (hub.data / "lock").read_text().strip() == str(process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT_S) == 0
