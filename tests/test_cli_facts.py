"""What the installed CLI is: asked again when it may be another one, and shown in health_check."""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors import messages
from actors.executor.cli_facts import ASK_PAUSE_S, RETRY_PAUSE_S, CliFacts
from actors.executor.cli_probe import CliProbe, Found, version_in
from actors.executor.walls import NO_WALLS
from actors.runtime.problems import Problems
from protocol.updates import Outcome
from tests.executor_setup import INIT, KnownCli, Setup, no_processes, setup
from tests.fakes import Probe
from tests.harness import HubProcess
from tests.processes import wait_until

__all__ = ["no_processes", "setup"]

OLD, NEW = Found("2.1.197"), Found("2.1.331", has_snapshots=True)
WAIT_S = 10.0


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("2.1.331 (Claude Code)\n", "2.1.331"),
        ("2.1.331-beta.1 (Claude Code)", "2.1.331-beta.1"),
        ("Using node 22.1.0\n2.1.197 (Claude Code)\n", "2.1.197"),
        ("loading profile …\n2.1.197\n", "2.1.197"),
        ("v3.0.0", "3.0.0"),
        (f"1.2.{'0' * 500_000}7 (Claude Code)", None),  # every client would be shown it
        (f"1.2.3-{'0' * 60}", None),
        (f"{'1.' * 32_000} (Claude)", None),  # in no time
        ("Now using Claude\n", None),
        ("127.0.0.1:8080", None),
        ("", None),
    ],
)
def test_a_version_is_taken_only_where_it_looks_like_one(said: str, version: str | None) -> None:
    assert version_in(said) == version


class ScriptedProbe:
    """A program whose identity and answers the test sets; `gate` holds an answer back."""

    def __init__(self) -> None:
        self.program: object = "old"
        self.found = OLD
        self.asked = 0
        self.gate = threading.Event()
        self.gate.set()

    def identity(self) -> object:
        return self.program

    def ask(self) -> Found:
        self.gate.wait(WAIT_S)
        self.asked += 1
        return self.found


class StillClock:
    def __init__(self) -> None:
        self.at_s = 1000.0

    def monotonic(self) -> float:
        return self.at_s

    def now(self) -> object:
        raise NotImplementedError


class Facts:
    """CliFacts over a scripted probe, with a Hub that is a probe."""

    def __init__(self) -> None:
        self.probe, self.clock, self.problems, self.hub = (
            ScriptedProbe(),
            StillClock(),
            Problems(),
            Probe(),
        )
        self.facts = CliFacts(self.probe, problems=self.problems, clock=self.clock)  # type: ignore[arg-type]
        self.facts.tells(self.hub.actor_ref)

    def settle(self) -> None:
        """Wait until it knows, and has said so."""
        assert self.facts._known.wait(WAIT_S)
        for thread in threading.enumerate():
            if thread.name == "claude-facts":
                thread.join(WAIT_S)


@pytest.fixture
def given() -> Iterator[Facts]:
    made = Facts()
    made.facts.look()
    made.settle()
    yield made
    made.probe.gate.set()
    made.settle()


def test_the_hub_is_told_once_the_cli_is_known(given: Facts) -> None:
    assert given.hub.take() == [messages.CliKnown()]
    assert given.facts.is_known() and given.facts.version == "2.1.197"
    assert given.probe.asked == 1


def test_another_program_is_asked_before_it_is_started(given: Facts) -> None:
    assert not given.facts.knows_snapshots()
    given.probe.program, given.probe.found = "new", NEW
    assert given.facts.knows_snapshots()
    assert given.facts.version == "2.1.331" and given.probe.asked == 2


def test_a_version_is_not_known_while_another_program_is_asked(given: Facts) -> None:
    given.probe.gate.clear()
    given.probe.program = "new"
    assert not given.facts.is_known()
    given.probe.gate.set()
    given.settle()
    assert given.facts.is_known()


def test_an_unknown_option_has_the_program_asked_at_once(given: Facts) -> None:
    """A wrapper whose file stays the same may start another version."""
    given.probe.found = NEW
    assert given.facts.ended_without_a_word("error: unknown option '--system-prompt-snapshot'")
    assert given.facts.knows_snapshots() and given.probe.asked == 2


def test_a_program_that_fails_again_and_again_is_asked_now_and_then(given: Facts) -> None:
    assert not given.facts.ended_without_a_word("Segmentation fault")
    given.facts.doubt()
    given.settle()
    assert given.probe.asked == 1
    given.clock.at_s += ASK_PAUSE_S
    given.facts.doubt()
    given.settle()
    assert given.probe.asked == 2


def test_health_names_a_cli_that_cannot_start_until_it_can(given: Facts) -> None:
    given.probe.program, given.probe.found = "gone", Found(failure="CLAUDE_CMD does not answer")
    given.facts.look()
    given.settle()
    assert given.problems.now() == ["claude: CLAUDE_CMD does not answer"]
    given.facts.works()
    assert given.problems.now() == []


def test_a_program_that_could_not_be_asked_is_asked_again(given: Facts) -> None:
    """The reason may have been a passing one, such as a lack of descriptors."""
    given.probe.program, given.probe.found = "new", Found(failure="Too many open files")
    given.facts.look()
    given.settle()
    given.probe.found = NEW
    assert given.facts.is_known() and given.probe.asked == 2, "not at once"
    given.clock.at_s += ASK_PAUSE_S
    given.facts.look()
    given.settle()
    assert given.facts.version == "2.1.331" and given.problems.now() == []


def test_a_cli_that_does_not_work_is_asked_without_an_occasion(given: Facts) -> None:
    given.clock.at_s += RETRY_PAUSE_S
    given.facts.retry()
    assert given.probe.asked == 1, "it works"
    given.probe.program, given.probe.found = "new", Found(failure="Too many open files")
    given.facts.look()
    given.settle()
    given.probe.found = NEW
    given.facts.retry()
    assert given.probe.asked == 2, "not at once"
    given.clock.at_s += RETRY_PAUSE_S
    given.facts.retry()
    given.settle()
    assert given.probe.asked == 3 and given.problems.now() == []


# -- the probe -------------------------------------------------------------------------------


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return path


def probe(command: Path) -> CliProbe:
    return CliProbe([str(command)], {"PATH": "/usr/bin:/bin"}, NO_WALLS)


def test_the_probe_asks_the_program(tmp_path: Path) -> None:
    old = script(tmp_path / "claude", 'echo "2.1.197 (Claude Code)"')
    assert probe(old).ask() == OLD
    new = script(tmp_path / "claude", 'echo "2.1.331 (Claude Code) --system-prompt-snapshot"')
    assert probe(new).ask() == NEW


def test_the_probe_says_why_a_program_cannot_start(tmp_path: Path) -> None:
    failing = script(tmp_path / "claude", "echo no licence >&2; exit 3")
    assert probe(failing).ask().failure == "CLAUDE_CMD ends with 3 at --version: no licence"
    missing = probe(tmp_path / "nowhere").ask().failure
    assert missing is not None and "No such file" in missing


def test_the_probe_hides_secrets_in_what_a_program_says(tmp_path: Path) -> None:
    text = "x" * 5000 + " token sk-ant-api03-abcdefghijklmnop " + "y " * 140
    failing = script(tmp_path / "claude", f"echo '{text}' >&2; exit 3")
    reason = probe(failing).ask().failure
    assert reason is not None and "token *** y" in reason and len(reason) < 400
    slow = CliProbe(["/nowhere/env", "MY_API_KEY=hunter2222"], {}, NO_WALLS).ask().failure
    assert slow is not None and "hunter2222" not in slow


@pytest.mark.parametrize("way", ["", ">&2"])
def test_what_a_program_prints_without_an_end_takes_no_memory(tmp_path: Path, way: str) -> None:
    """More on standard output is a fault, more on standard error is none."""
    endless = script(tmp_path / "claude", f"yes | head -c 300000 {way}; echo 2.1.197")
    found = probe(endless).ask()
    if way:
        assert found == Found("2.1.197")
    else:
        assert found.failure is not None and "it prints more than 64 KiB" in found.failure


def test_a_program_that_prints_for_ever_is_ended(tmp_path: Path) -> None:
    found = probe(script(tmp_path / "claude", "exec yes")).ask()
    assert found.failure is not None and "it prints more than 64 KiB" in found.failure


@pytest.mark.parametrize("how", ["rewritten", "replaced", "link moved"])
def test_another_program_has_another_identity(tmp_path: Path, how: str) -> None:
    first, second = script(tmp_path / "1", "echo 1"), script(tmp_path / "2", "echo 22")
    link = tmp_path / "claude"
    link.symlink_to(first)
    before = probe(link).identity()
    assert probe(link).identity() == before
    if how == "rewritten":
        script(first, "echo another")
    elif how == "replaced":
        second.replace(first)
    else:
        link.unlink()
        link.symlink_to(second)
    assert probe(link).identity() != before


def test_a_script_behind_its_interpreter_counts_too(tmp_path: Path) -> None:
    path = script(tmp_path / "cli.py", "1")
    asked = CliProbe([sys.executable, str(path)], {}, NO_WALLS)
    before = asked.identity()
    script(path, "1 # another")
    assert asked.identity() != before


# -- in the executor -------------------------------------------------------------------------


def test_a_prompt_runs_again_where_the_cli_has_become_another_one(setup: Setup) -> None:
    setup.start()
    setup.process.errors = "error: unknown option '--system-prompt-snapshot=off'"
    setup.gone(1)
    assert setup.told(messages.RunEnded) == [], "it goes to a new process"
    setup.process.errors = "error: unknown option '--verbose'"
    setup.gone(1)
    assert setup.end().outcome is Outcome.ERROR, "once"


def test_a_process_that_ends_without_a_word_raises_doubts() -> None:
    cli = KnownCli()
    setup = Setup(cli=cli)
    setup.start()
    setup.process.errors = "Segmentation fault"
    setup.gone(139)
    assert cli.complaints == ["Segmentation fault"]
    assert setup.end().outcome is Outcome.ERROR
    setup.start(execution_id="f")
    setup.read(INIT)
    setup.gone(1)
    assert len(cli.complaints) == 1, "it had begun"


# -- in a hub --------------------------------------------------------------------------------


def test_a_cli_that_is_exchanged_under_a_running_hub_is_noticed(start_hub, scratch: Path) -> None:
    command = script(scratch / "claude", 'echo "2.1.197 (Claude Code)"')
    hub: HubProcess = start_hub(CLAUDE_CMD=str(command))
    with hub.client() as client:
        health = client.request("health_check")
        assert (health["claude"], health["status"]) == ("2.1.197", "ok"), "known at once"
        script(command, "echo broken >&2; exit 1")
        health = client.request("health_check")
        assert (health["claude"], health["status"]) == (None, "degraded")
        assert "broken" in health["problems"][0]
        script(command, 'echo "2.1.331 (Claude Code)"')
        health = client.request("health_check")
        assert (health["claude"], health["status"]) == ("2.1.331", "ok")


def test_a_cli_that_the_stop_ends_is_no_problem(scratch: Path) -> None:
    """Its end came as `CLAUDE_CMD ends with -15`, in the last lines of the log."""
    begun = scratch / "begun"
    program = scratch / "slow"
    program.write_text(f"#!/bin/sh\ntouch {begun}\nexec sleep 60\n")
    program.chmod(0o755)
    hub = HubProcess(scratch, CLAUDE_CMD=str(program)).start()
    wait_until(begun.exists)
    assert hub.stop() == 0
    assert "CLAUDE_CMD" not in hub.errors.read_text()
