"""The command line, as a user types it: exit codes, streams, launcher."""

import base64
import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import claudehub
from claudehub.cli import standin_agent, taking
from claudehub.cli.main import main
from claudehub.cli.where import GONE_S, Where, reached
from claudehub.testing import FakeHub
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


def test_a_hub_that_takes_no_prompts_is_named_and_waited_for() -> None:
    with FakeHub() as fake:
        fake.project("site")
        fake.refuse_next("execute", "shutting_down")
        asking = spawn("run", "--url", fake.url, "site", "hello", stderr=subprocess.PIPE)
        assert asking.stderr is not None
        guard = threading.Timer(TIMEOUT_S, asking.kill)
        guard.start()
        assert "has not taken the prompt yet" in asking.stderr.readline()
        guard.cancel()
        fake.drop_connections()
        _, rest = asking.communicate(timeout=TIMEOUT_S)
        assert asking.returncode == 0, rest
        assert [prompt.prompt for prompt in fake.prompts] == ["hello"]


def test_a_hub_that_is_back_in_time_takes_the_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeHub() as fake:
        fake.project("site")
        fake.refuse_next("execute", "shutting_down")
        monkeypatch.setattr(taking, "TAKES_LONG_S", 0.01)
        monkeypatch.setattr(taking, "say", lambda *_, **__: fake.restart())
        ran = CliRunner().invoke(main, ["run", "--url", fake.url, "site", "hello"])
        assert ran.exit_code == 0, ran.output
        assert [prompt.prompt for prompt in fake.prompts] == ["hello"]


def test_a_command_that_asks_gives_up_on_a_hub_that_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with FakeHub() as fake, reached(Where(fake.url), 0.1) as hub:
        fake.stop()
        with pytest.raises(claudehub.ConnectionLost, match=r"no connection for 0.1 s"):
            hub.projects()
    given: list[float | None] = []
    monkeypatch.setattr(
        "claudehub.cli.where.connected", lambda where, limit: given.append(limit) or fake_lost()
    )
    for words in (["status"], ["tail", "site"], ["tail", "-f", "site"]):
        assert CliRunner().invoke(main, words).exit_code == 7
    assert given == [GONE_S, GONE_S, None], "who follows waits for ever"


def fake_lost() -> claudehub.Hub:
    raise claudehub.ConnectFailed(claudehub.Failure.NOTHING_LISTENS, "nothing listens")


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
        assert process.stdout is not None
        assert any("Ctrl-C again kills it" in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 4


def test_a_permission_is_answered_from_another_terminal(hub: HubProcess) -> None:
    process = spawn(
        "run", hub.folder("asked") + "/", "[[tool:Bash:touch made.txt]]", "--url", hub.url
    )
    with process:
        assert process.stdout is not None
        said = next(line for line in process.stdout if "claudehub answer" in line)
        words = re.findall(r"`claudehub (answer \S+ \S+ allow)`", said)[0].split()
        assert words[:2] == ["answer", "asked"]
        assert run(hub, *words).exit_code == 0
        output, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0
    assert re.search(r"answered by c-\w+: allow", output)
    assert (hub.roots / "asked" / "made.txt").exists()
    refused = run(hub, *words[:3], "deny")
    assert refused.exit_code == 1 and "answered already" in refused.output


def asking(hub: HubProcess, name: str, prompt: str) -> subprocess.Popen[str]:
    """Start a prompt that asks something; return when it does."""
    process = spawn("run", hub.folder(name) + "/", prompt, "--url", hub.url)
    assert process.stdout is not None
    assert any("claudehub answer" in line for line in process.stdout)
    return process


def questions(*asked: dict[str, Any]) -> str:
    calls = json.dumps([["AskUserQuestion", {"questions": list(asked)}]])
    return f"[[calls:{base64.b64encode(calls.encode()).decode()}]]"


COLOUR = {
    "question": "Which colour?",
    "header": "Colour",
    "multiSelect": False,
    "options": [{"label": "Red", "description": "w"}, {"label": "Blue", "description": "c"}],
}
SIZES = {
    "question": "Which sizes?",
    "header": "Sizes",
    "multiSelect": True,
    "options": [{"label": "S", "description": ""}, {"label": "L", "description": ""}],
}


def test_the_only_question_needs_no_id(start_hub: Any) -> None:
    hub = start_hub()
    nothing = run(hub, "answer", "allow")
    assert nothing.exit_code == 1 and nothing.stderr == "claudehub: nothing waits for an answer\n"
    with asking(hub, "a", "[[tool:Bash:touch one]]") as first:
        (waiting,) = run(hub, "pending", "--json").output.splitlines()
        assert json.loads(waiting)["project_id"] == "a"
        assert "Run this command? $ touch one" in run(hub, "pending").output
        with asking(hub, "b", "[[tool:Bash:touch two]]") as second:
            both = run(hub, "answer", "allow")
            assert both.exit_code == 1 and both.stderr.count("claudehub answer") == 2
            assert run(hub, "answer", "a", "deny", "-m", "not now").exit_code == 0
            first_output, _ = first.communicate(timeout=TIMEOUT_S)
            assert run(hub, "answer", "allow").exit_code == 0
            second.communicate(timeout=TIMEOUT_S)
    assert "not now" in first_output
    assert not (hub.roots / "a" / "one").exists() and (hub.roots / "b" / "two").exists()


@pytest.mark.parametrize(
    ("choices", "answers"),
    [
        (
            ["Which colour?=Blue", "Which sizes?=S, L"],
            {"Which colour?": "Blue", "Which sizes?": "S, L"},
        ),
        (["Colour=2", "Sizes=1,2"], {"Which colour?": "Blue", "Which sizes?": "S, L"}),
        (["Colour=Green", "Sizes=2"], {"Which colour?": "Green", "Which sizes?": "L"}),
    ],
)
def test_a_question_is_answered_by_its_choices(
    hub: HubProcess, choices: list[str], answers: dict[str, str]
) -> None:
    name = f"choices-{len(''.join(choices))}"
    with asking(hub, name, questions(COLOUR, SIZES)) as process:
        assert (
            "no answer to 'Which sizes?'" in run(hub, "answer", name, "--choose", choices[0]).stderr
        )
        assert "say `allow` or `deny`" in run(hub, "answer", name).stderr
        flags = [word for choice in choices for word in ("--choose", choice)]
        assert run(hub, "answer", name, *flags).exit_code == 0
        output, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0
    for question, answer in answers.items():
        assert f'"{question}"="{answer}"' in output


def subscribers(client: WireClient, project_id: str) -> int:
    found = client.request("project_list")["projects"]
    return sum(project["subscribers"] for project in found if project["project_id"] == project_id)


def until(lines: Iterable[str], text: str) -> Iterator[str]:
    """Yield lines up to the one with a text. Raises AssertionError if they end before."""
    for line in lines:
        yield line
        if text in line:
            return
    raise AssertionError(f"no {text!r}")


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
        assert list(until(process.stdout, "done in"))
        with hub.client() as client:
            wait_until(lambda: subscribers(client, "deleted") == 1)
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
    whole = claudehub.Project.history
    monkeypatch.setattr(claudehub.Project, "history", lambda project: list(whole(project))[:-1])
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


def test_what_is_to_be_approved_is_never_hidden(start_hub: Any) -> None:
    hub = start_hub()
    command = base64.b64encode(json.dumps([["Bash", {"command": "rm x\nevil"}]]).encode()).decode()
    with asking(hub, "two", f"[[calls:{command}]]") as process:
        listed = run(hub, "pending").output
        assert "$ rm x (+ 1 line: `claudehub pending two`)" in listed
        assert "evil" in run(hub, "pending", "two").output
        tailed = run(hub, "tail", "two").output
        assert "evil" in tailed and "claudehub answer" not in tailed  # what is past needs none
        assert run(hub, "answer", "two", "deny").exit_code == 0
        process.communicate(timeout=TIMEOUT_S)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "p", ""], "the prompt is empty"),
        (["answer", "allow", "-m", "x"], "--message goes with `deny`"),
        (["answer", "deny", "--remember"], "--remember goes with `allow`"),
        (["answer", "p"], "say `allow` or `deny` at the end, or --choose an answer"),
        (["tail", "p", "--after", "foo"], "'foo' is no position"),
        (["nosuch"], "No such command 'nosuch'"),
    ],
)
def test_a_wrong_command_line_is_told_in_two_lines(arguments: list[str], said: str) -> None:
    ran = CliRunner().invoke(main, arguments)
    lines = ran.stderr.splitlines()
    assert ran.exit_code == 2 and len(lines) == 2
    assert lines[0].startswith("claudehub: ") and said in lines[0]
    assert lines[1].endswith("--help` shows how")


def test_what_does_not_exist_is_named(hub: HubProcess) -> None:
    run(hub, "projects", "create", hub.folder("named"))
    killed = run(hub, "kill", "named", "abc")
    assert killed.exit_code == 1 and "no execution `abc` runs or waits there" in killed.stderr
    answered = run(hub, "answer", "nosuch", "allow")
    assert answered.exit_code == 1 and "no project `nosuch`; there are:" in answered.stderr
    folder = run(hub, "projects", "create", str(hub.roots / "none"))
    assert f"there is no such folder: {hub.roots}/none" in folder.stderr


def test_an_output_that_cannot_be_written_is_no_traceback(hub: HubProcess) -> None:
    run(hub, "run", hub.folder("written") + "/", "x")
    with open("/dev/full", "w") as full:
        process = spawn("history", "written", "--url", hub.url, stdout=full)
        _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 1
    assert errors == "claudehub: the output cannot be written: No space left on device\n"
    closed = subprocess.run(
        ["sh", "-c", '"$@" <&- >&-', "sh", sys.executable, "claudehub/__main__.py", "run",
         "written", "x", "--url", hub.url],
        cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    assert (closed.returncode, closed.stderr) == (0, "")


def test_ctrl_c_during_the_imports_is_no_traceback() -> None:
    script = (
        "import os, signal, sys; sys.argv = ['claudehub', 'status'];"
        "from importlib import abc;"
        "class_ = type('Stop', (abc.MetaPathFinder,), {'find_spec': lambda *a: "
        "os.kill(os.getpid(), signal.SIGINT) if a[1] == 'claudehub.cli.state_cli' else None});"
        "sys.meta_path.insert(0, class_()); from claudehub.__main__ import main; main()"
    )
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
        )
    finally:
        signal.signal(signal.SIGINT, before)
    assert done.returncode in (130, -signal.SIGINT)
    assert done.stderr.strip() == ""


def test_a_full_disk_is_degraded(start_hub: Any) -> None:
    hub = start_hub(MIN_FREE_BYTES="1000000GiB")
    ran = run(hub, "health")
    assert ran.exit_code == 1
    assert ran.output.splitlines()[0] == "degraded" and "MIN_FREE_BYTES" in ran.output
    alive = run(hub, "health", "--alive")
    assert (alive.exit_code, alive.output.splitlines()[0]) == (0, "degraded")


def test_a_full_hub_is_alive(start_hub: Any) -> None:
    hub = start_hub(MAX_CONN="1")
    with hub.client():
        assert run(hub, "health").exit_code == 7
        alive = run(hub, "health", "--alive")
        assert alive.exit_code == 0 and "takes no more connections" in alive.output
    hub.stop()
    assert run(hub, "health", "--alive").exit_code == 7
