"""examples/answer_bot.py and examples/queue_at_night.sh, against real hubs with the mock CLI."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import claudehub
from examples.answer_bot import USUAL, decide, programs, read_rules
from tests.document_session import PHRASES, free_port
from tests.harness import ROOT, TIMEOUT_S, HubProcess

BOT = ROOT / "examples" / "answer_bot.py"
RULES = read_rules(USUAL)
FOLDER = "/home/ann/src/site"


def info(*, trusted: bool = True, path: str = FOLDER) -> claudehub.ProjectInfo:
    return claudehub.ProjectInfo(
        "site", "site", path, "idle", None, None, (), (), 0, 1, 0, "", "", trusted, (), {}
    )


def decision(tool: str, tool_input: Mapping[str, Any], *, trusted: bool = True) -> str | None:
    rule = decide(RULES, info(trusted=trusted), tool, tool_input)
    return None if rule is None else rule.decision


# -- the rules


@pytest.mark.parametrize(
    "command", ["git status", "git status --short", "git diff", "npm test", "  npm   test "]
)
def test_it_allows_the_commands_of_its_rules(command: str) -> None:
    assert decision("Bash", {"command": command, "description": "…"}) == "allow"


@pytest.mark.parametrize(
    "command",
    [
        "rm x",
        "/bin/rm -rf /",
        "sudo rm x",
        "git status; rm x",
        "git status && rm x",
        "A=1 rm x",
        "sh -c 'rm x'",
        "$(rm x)",
        "ls | xargs rm",
        "git status\nrm x",
        "curl https://example.org",
        "wget x",
    ],
)
def test_it_denies_a_program_wherever_it_is_called(command: str) -> None:
    assert decision("Bash", {"command": command}) == "deny"


@pytest.mark.parametrize(
    "command",
    [
        "git push",
        "git status; make",
        "git status > ~/.bashrc",
        "git status `make`",
        "git status $(make)",
        "git status\nmake",
        "git status & make",
        "git statusx",
        "PATH=. git status",
        "npm test -- --fix",
        "git diff --output=x",
        "cd /tmp; git status",
        "git status {a,b}",
        "git status *",
        "\\rm x",
        "r''m x",
        "",
    ],
)
def test_what_no_rule_covers_waits_for_a_person(command: str) -> None:
    assert decision("Bash", {"command": command}) is None


def test_a_command_with_an_unusual_input_waits_for_a_person() -> None:
    unusual = {"command": "git status", "dangerouslyDisableSandbox": True}
    assert decision("Bash", unusual) is None


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"{FOLDER}/a.txt", "allow"),
        ("a.txt", "allow"),
        (f"{FOLDER}/../other/a.txt", None),
        (f"{FOLDER}2/a.txt", None),
        ("/etc/passwd", None),
        ("~/.ssh/id_ed25519", None),
        (None, None),
        (7, None),
    ],
)
def test_it_allows_reading_inside_the_project(path: object, expected: str | None) -> None:
    assert decision("Read", {"file_path": path}) == expected


def test_a_link_that_leads_out_of_the_project_is_outside(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "link").symlink_to("/etc")
    here = info(path=str(tmp_path / "site"))
    assert decide(RULES, here, "Read", {"file_path": "link/passwd"}) is None
    assert decide(RULES, here, "Read", {"file_path": "other/passwd"}) is not None


def test_in_a_folder_that_is_not_trusted_it_only_denies() -> None:
    assert decision("Bash", {"command": "git status"}, trusted=False) is None
    assert decision("Read", {"file_path": "a.txt"}, trusted=False) is None
    assert decision("Bash", {"command": "rm x"}, trusted=False) == "deny"
    assert decision("WebFetch", {"url": "https://example.org"}, trusted=False) == "deny"


def test_questions_and_plans_are_for_people_whatever_the_rules_say() -> None:
    rules = read_rules("allow AskUserQuestion\nallow ExitPlanMode\ndeny ExitPlanMode")
    assert decide(rules, info(), "AskUserQuestion", {"questions": []}) is None
    assert decide(rules, info(), "ExitPlanMode", {"plan": "…"}) is None


def test_a_denial_counts_more_than_a_permission() -> None:
    rules = read_rules("allow Bash make ...\ndeny Bash make install # not here")
    assert str(decide(rules, info(), "Bash", {"command": "make install"})).startswith("deny")
    assert str(decide(rules, info(), "Bash", {"command": "make test"})).startswith("allow")


@pytest.mark.parametrize("text", ["allow", "permit Bash ls", "allow Bash", "\n\ndeny # Bash rm"])
def test_a_line_that_is_no_rule_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=r"line \d"):
        read_rules(text)


def test_programs_are_seen_with_their_arguments() -> None:
    found = programs("cd x && sudo /usr/bin/env A=1 make -j; (ls)")
    assert found == [("cd", "x"), ("make", "-j"), ("ls",)]


# -- the bot


class Bot:
    """The bot as a process; `wait_for` reads what it prints."""

    def __init__(self, url: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(BOT), "--url", url, *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.output = ""

    def wait_for(self, text: str) -> None:
        assert self._process.stdout is not None
        guard = threading.Timer(TIMEOUT_S, self._process.kill)
        guard.start()
        for line in self._process.stdout:
            self.output += line
            if text in line:
                break
        guard.cancel()
        assert text in self.output, self.output

    def end(self) -> int:
        self._process.send_signal(signal.SIGINT)
        code = self._process.wait(TIMEOUT_S)
        assert self._process.stdout is not None
        self.output += self._process.stdout.read()
        self._process.stdout.close()
        return code


@pytest.fixture
def hub(scratch: Path) -> Iterator[HubProcess]:
    hub = HubProcess(scratch, WS_PORT=str(free_port())).start()
    yield hub
    hub.stop()


@pytest.fixture
def bot(hub: HubProcess) -> Iterator[Bot]:
    bot = Bot(hub.url)
    yield bot
    assert bot.end() == 130, bot.output


def results(execution: claudehub.Execution) -> list[str]:
    return [update.text for update in execution if isinstance(update, claudehub.ToolResult)]


def test_the_bot_answers_in_every_project_and_leaves_the_rest(hub: HubProcess, bot: Bot) -> None:
    with claudehub.connect(hub.url) as client:
        for name in ("site", "docs"):
            project = client.create(hub.folder(name), name, trusted=True)
            bot.wait_for(f"{name}: here I answer")
            allowed = project.execute("[[tool:Bash:git status --short]]")
            assert results(allowed) and allowed.outcome == "success"
            assert results(project.execute("[[tool:Bash:rm -rf build]]")) == [
                "The rule `deny Bash rm` forbids it"
            ]
        asked = client.project("site").execute(PHRASES["which colour"])
        for update in asked:
            if isinstance(update, claudehub.PermissionRequest):
                bot.wait_for("AskUserQuestion")
                client.project("site").answer(update, "allow", answers={"Which colour?": "Red"})
        assert asked.outcome == "success"
    assert "for a person" in bot.output


def test_the_bot_answers_what_waited_before_it_came(hub: HubProcess) -> None:
    with claudehub.connect(hub.url) as client:
        project = client.create(hub.folder("site"), "site", trusted=True)
        execution = project.execute("[[tool:Bash:npm test]]")
        for update in execution:
            if isinstance(update, claudehub.PermissionRequest):
                bot = Bot(hub.url)
                assert execution.wait(TIMEOUT_S) == "success"
                assert bot.end() == 130
        assert "allow Bash npm test" in bot.output


def test_the_bot_goes_on_behind_a_crash_of_the_hub(hub: HubProcess, bot: Bot) -> None:
    with claudehub.connect(hub.url) as client:
        project = client.create(hub.folder("site"), "site", trusted=True)
        bot.wait_for("site: here I answer")
        hub.stop(signal.SIGKILL)
        bot.wait_for("waiting")
        hub.start()
        bot.wait_for("connected")
        assert project.execute("[[tool:Bash:git status]]").wait(TIMEOUT_S) == "success"
        client.create(hub.folder("docs"), "docs", trusted=True)
        bot.wait_for("docs: here I answer")


def test_the_bot_says_what_is_wrong_with_its_rules(scratch: Path) -> None:
    (scratch / "rules").write_text("permit everything\n")
    bot = Bot("ws://127.0.0.1:1", str(scratch / "rules"))
    bot.wait_for("answer_bot: line 1 is no rule: permit everything")
    bot.end()


def test_the_bot_says_that_there_is_no_hub() -> None:
    bot = Bot("ws://127.0.0.1:1")
    bot.wait_for("answer_bot: nothing listens at ws://127.0.0.1:1")
    bot.end()


# -- the script


class Night:
    """Runs the script with `claudehub` on the PATH."""

    def __init__(self, scratch: Path, hub: HubProcess) -> None:
        self.reports = scratch / "reports"
        programs = scratch / "programs"
        programs.mkdir()
        (programs / "claudehub").write_text(
            f'#!/bin/sh\nexec "{sys.executable}" "{ROOT}/claudehub/__main__.py" "$@"\n'
        )
        (programs / "claudehub").chmod(0o755)
        self._file = scratch / "prompts"
        self._environment = {
            **os.environ,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "HOME": str(scratch),
            "XDG_CONFIG_HOME": str(scratch),
            "CLAUDEHUB_URL": hub.url,
            "REPORTS": str(self.reports),
            "PAUSE_SECONDS": "0.1",
            "NIGHT": "one",
        }

    def start(self, *prompts: str, options: tuple[str, ...] = ()) -> "subprocess.Popen[str]":
        self._file.write_text("".join(f"{prompt}\n" for prompt in prompts))
        return subprocess.Popen(
            ["sh", str(ROOT / "examples" / "queue_at_night.sh"), "site", str(self._file), *options],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *prompts: str, options: tuple[str, ...] = ()) -> tuple[int, list[str]]:
        """Return the exit code, and the lines without their times."""
        process = self.start(*prompts, options=options)
        output, _ = process.communicate(timeout=4 * TIMEOUT_S)
        return process.returncode, [line[6:].rstrip() for line in output.splitlines()]


@pytest.fixture
def night(scratch: Path, hub: HubProcess) -> Night:
    with claudehub.connect(hub.url) as client:
        client.create(hub.folder("site"), "site")
    return Night(scratch, hub)


def prompts_of(hub: HubProcess) -> list[str]:
    with claudehub.connect(hub.url) as client:
        history = client.project("site").history()
        return [update.text for update in history if isinstance(update, claudehub.Prompt)]


def test_the_script_runs_every_line_in_its_order(hub: HubProcess, night: Night) -> None:
    code, lines = night.run("one", "", "  # not this", '"two" $HOME `x` %s', "--three")
    assert lines[:3] == ["success     one", 'success     "two" $HOME `x` %s', "success     --three"]
    assert code == 0
    assert prompts_of(hub) == ["one", '"two" $HOME `x` %s', "--three"]
    assert "ok" in (night.reports / "1.txt").read_text()


def test_the_script_says_how_each_prompt_ended(night: Night) -> None:
    code, lines = night.run("[[error:400]]", "two", options=("--max-turns", "3"))
    assert lines[0] == "error       [[error:400]]" and "claudehub: " in lines[1], lines
    assert lines[2] == "success     two"
    assert code == 1


def test_the_script_goes_on_where_the_queue_is_full(scratch: Path) -> None:
    hub = HubProcess(scratch, MAX_QUEUE="2").start()
    with claudehub.connect(hub.url) as client:
        client.create(hub.folder("site"), "site")
    prompts = [f"prompt {number}" for number in range(1, 8)]
    code, lines = Night(scratch, hub).run("[[slow:20:0.1]]", *prompts)
    assert code == 0, lines
    assert prompts_of(hub) == ["[[slow:20:0.1]]", *prompts]
    assert hub.stop() == 0


def test_the_script_started_again_runs_nothing_twice(hub: HubProcess, night: Night) -> None:
    first = night.start("one", "two")
    assert first.stdout is not None
    assert "one" in first.stdout.readline()
    first.kill()
    first.communicate()
    code, lines = night.run("one", "two")
    assert code == 0 and len(lines) == 3, lines
    assert prompts_of(hub) == ["one", "two"]


def test_the_script_outlives_a_crash_of_the_hub(hub: HubProcess, night: Night) -> None:
    script = night.start("[[hang]]", "two")
    with claudehub.connect(hub.url) as client:
        for update in client.project("site").follow(after=0):
            if isinstance(update, claudehub.ExecutionQueued):
                break
        hub.stop(signal.SIGKILL)
        hub.start()
    output, _ = script.communicate(timeout=4 * TIMEOUT_S)
    assert [line.split()[1] for line in output.splitlines()[:2]] == ["lost", "lost"], output
    assert script.returncode == 1


def test_the_script_says_that_there_is_no_such_project(hub: HubProcess, scratch: Path) -> None:
    code, lines = Night(scratch, hub).run("one")
    assert code == 2
    assert len(lines) == 1 and "no project `site`" in lines[0], lines


def test_the_script_wants_a_project_and_a_file() -> None:
    script = ROOT / "examples" / "queue_at_night.sh"
    for arguments in ([], ["site"], ["site", "/nosuch"]):
        ended = subprocess.run(["sh", script, *arguments], capture_output=True, check=False)
        assert ended.returncode == 2 and ended.stderr
