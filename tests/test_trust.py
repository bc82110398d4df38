"""A project that nobody trusts runs without its folder's settings, and says so."""

import errno
import json
from pathlib import Path
from typing import Any

import pytest

from actors import messages
from actors.hub.metadata import new_meta
from actors.project.trust import LOOK_KEPT_S
from protocol import requests
from protocol.claude import SessionChoice
from storage import disk
from tests.executor_setup import RESULT, FakeProcess, Setup, no_processes
from tests.harness import HubProcess, WireClient
from tests.project_setup import ProjectSetup, frozen, setup
from tests.test_command_line import run

__all__ = ["frozen", "no_processes", "setup"]

TEXT_VARIABLE = "CLAUDE_CODE_ADDITIONAL_DIRECTORIES_CLAUDE_MD"


def put(folder: Path | str, *names: str, text: str = "{}") -> None:
    for name in names:
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def trust(setup: ProjectSetup, trusted: bool) -> dict[str, Any]:
    setup.ask(requests.ProjectTrust(project_id="p", trusted=trusted))
    return setup.answers()[-1]


def order(setup: ProjectSetup) -> messages.StartRun:
    return [m for m in setup.executor.take() if isinstance(m, messages.StartRun)][-1]


# -- the project -----------------------------------------------------------------------------


def test_a_project_is_not_trusted_until_somebody_says_so(setup: ProjectSetup, frozen: Any) -> None:
    put(setup.folder, ".mcp.json", ".claude/settings.json", "CLAUDE.md")
    assert setup.project._status.describe().untrusted_files == [], "it has just looked"
    frozen.tick(LOOK_KEPT_S)
    info = setup.project._status.describe()
    assert (info.trusted, info.untrusted_files) == (False, [".claude/settings.json", ".mcp.json"])
    setup.end(setup.execute())
    assert not order(setup).trusted
    project = trust(setup, True)["project"]
    assert (project["trusted"], project["untrusted_files"]) == (True, [])
    setup.execute()
    assert order(setup).trusted


def test_what_was_said_is_kept(setup: ProjectSetup) -> None:
    trust(setup, True)
    assert setup.meta().trusted is True
    setup.open()
    assert setup.project._status.describe().trusted
    trust(setup, False)
    setup.open()
    assert not setup.project._status.describe().trusted


def test_a_change_lets_a_kept_process_go(setup: ProjectSetup) -> None:
    setup.end(setup.execute())
    setup.executor.take()
    trust(setup, True)
    assert setup.executor.take() == [messages.LetGo()]


def test_trust_that_cannot_be_kept_is_not_given(
    setup: ProjectSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(disk, "replace_file", full)
    assert trust(setup, True)["code"] == "storage_failed"
    assert not setup.project._status.describe().trusted


def test_a_session_of_a_trusted_time_is_told_its_model(setup: ProjectSetup) -> None:
    """The CLI would bring the model of the folder's settings back with the session."""
    setup.end(setup.execute())
    order(setup)
    trust(setup, False)
    setup.execute()
    assert order(setup).model_named


def test_trust_projects_all_holds_where_nobody_has_said_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = ProjectSetup(tmp_path, monkeypatch, trusts_all=True)
    assert setup.project._status.describe().trusted
    trust(setup, False)
    assert not setup.project._status.describe().trusted
    setup.project.release()


@pytest.mark.parametrize("trusted", [None, True, False])
def test_a_new_project_has_what_its_creator_said(trusted: bool | None) -> None:
    request = requests.ProjectCreate(path="/p", trusted=trusted)
    meta = new_meta(request, "p", Path("/p"), "2026", None)
    assert meta.trusted is trusted
    again = new_meta(request, "p", Path("/p"), "2026", meta.model_copy(update={"trusted": True}))
    assert again.trusted is trusted, "a kept history brings no trust back"


# -- the process -----------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path.resolve()


def started(folder: Path, **order: Any) -> FakeProcess:
    executor = Setup(folder=str(folder))
    executor.start(trusted=False, **order)
    return executor.process


def test_the_cli_starts_without_the_folders_settings_and_reads_its_text(folder: Path) -> None:
    spec = started(folder).spec
    expected = {"--setting-sources=user", "--strict-mcp-config", f"--add-dir={folder}"}
    assert expected <= set(spec.argv)
    assert spec.environment[TEXT_VARIABLE] == "1"
    assert not any(word.startswith("--settings=") for word in spec.argv)


def test_the_cli_starts_as_usual_in_a_trusted_folder(folder: Path) -> None:
    executor = Setup(folder=str(folder))
    executor.start()
    spec = executor.process.spec
    named = ("--setting-sources", "--strict-mcp-config", "--add-dir", "--settings")
    assert not any(word.startswith(named) for word in spec.argv)
    assert TEXT_VARIABLE not in spec.environment


def test_text_that_leads_out_is_not_read(folder: Path) -> None:
    (folder / "CLAUDE.md").symlink_to("/etc/hostname")
    spec = started(folder).spec
    assert not any(word.startswith("--add-dir") for word in spec.argv)
    assert TEXT_VARIABLE not in spec.environment
    assert "--setting-sources=user" in spec.argv


def test_git_is_asked_for_where_it_would_run_the_folders_programs(folder: Path) -> None:
    put(folder, ".git/config", text="[core]\nfsmonitor = ./evil")
    (settings,) = [w for w in started(folder).spec.argv if w.startswith("--settings=")]
    assert json.loads(settings.removeprefix("--settings=")) == {
        "permissions": {"ask": ["Bash(git:*)"]},
        "includeGitInstructions": False,
    }


def test_another_trust_needs_another_process(folder: Path) -> None:
    executor = Setup(folder=str(folder))
    executor.start(trusted=False)
    executor.read(RESULT)
    for trusted, processes in ((False, 1), (True, 2)):
        executor.start(SessionChoice(resume="s"), f"f{trusted}", trusted=trusted)
        executor.gone() if trusted else executor.read(RESULT)
        assert len(FakeProcess.started) == processes


def test_a_process_ahead_of_a_prompt_trusts_as_little(folder: Path) -> None:
    executor = Setup(folder=str(folder))
    executor.tell(messages.WarmUp(session=SessionChoice(), trusted=False))
    assert "--setting-sources=user" in executor.process.spec.argv
    executor.start(trusted=False)
    assert len(FakeProcess.started) == 1


# -- over the wire, and on the command line --------------------------------------------------


def arguments_of(client: WireClient, project_id: str) -> list[str]:
    shown: list[str] = json.loads(client.run(project_id, "[[show:args]]")["result"])
    return shown


def test_a_client_gives_and_takes_trust(hub: HubProcess) -> None:
    folder = hub.folder("given")
    put(folder, ".claude/settings.json")
    with hub.client() as client:
        made = client.request("project_create", path=folder)["project"]
        assert (made["trusted"], made["untrusted_files"]) == (False, [".claude/settings.json"])
        client.request("project_join", project_id="given")
        assert "--setting-sources=user" in arguments_of(client, "given")
        project = client.request("project_trust", project_id="given", trusted=True)["project"]
        assert (project["trusted"], project["untrusted_files"]) == (True, [])
        assert "--setting-sources=user" not in arguments_of(client, "given")
        client.request("project_trust", project_id="given", trusted=False)
        assert "--setting-sources=user" in arguments_of(client, "given")
        field = client.refused("project_trust", project_id="given")["details"]["field"]
        assert field == "payload.trusted"


def test_a_project_may_be_made_trusted(hub: HubProcess) -> None:
    with hub.client() as client:
        made = client.request("project_create", path=hub.folder("own"), trusted=True)["project"]
        assert made["trusted"]
        assert client.request("project_list")["projects"][-1]["trusted"] in (True, False)


def test_run_names_the_files_that_have_no_effect(hub: HubProcess) -> None:
    folder = hub.folder("cloned")
    put(folder, ".mcp.json", ".claude/skills/s/SKILL.md")
    ran = run(hub, "run", folder + "/", "[[text:HI]]")
    assert ran.exit_code == 0
    assert f"{folder} is not trusted; these files have no effect:\n  .mcp.json\n" in ran.output
    assert "  .claude/skills/\n`claudehub projects trust cloned` gives them effect" in ran.output
    again = run(hub, "run", folder + "/", "[[text:HI]]")
    assert "not trusted" not in again.output, "only when it makes a project"


@pytest.mark.parametrize(("typed", "trusted"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_run_asks_on_a_terminal(
    hub: HubProcess, monkeypatch: pytest.MonkeyPatch, typed: str, trusted: bool
) -> None:
    name = f"asked-{typed.strip() or 'nothing'}"
    folder = hub.folder(name)
    put(folder, ".mcp.json")
    monkeypatch.setattr("claudehub.cli.trusting.sys", Terminal)
    ran = run(hub, "run", folder + "/", "[[text:HI]]", text=typed)
    assert "Do you trust who wrote them? [y/N]" in ran.output
    with hub.client() as client:
        found = [p for p in client.request("project_list")["projects"] if p["project_id"] == name]
        assert [p["trusted"] for p in found] == [trusted]


class Terminal:
    """Standard input as a terminal has it."""

    class stdin:  # noqa: N801 - the name in sys
        @staticmethod
        def isatty() -> bool:
            return True


def test_a_folder_without_such_files_is_not_asked_about(hub: HubProcess) -> None:
    folder = hub.folder("plain")
    put(folder, "CLAUDE.md")
    assert "trust" not in run(hub, "run", folder + "/", "[[text:HI]]").output


def test_trust_is_given_and_revoked_on_the_command_line(hub: HubProcess) -> None:
    folder = hub.folder("by-hand")
    put(folder, ".mcp.json")
    made = run(hub, "projects", "create", folder, "--trust")
    assert (made.exit_code, made.output) == (0, "by-hand\n")
    revoked = run(hub, "projects", "trust", "by-hand", "--revoke")
    assert (revoked.exit_code, revoked.output) == (0, "without effect: .mcp.json\n")
    given = run(hub, "projects", "trust", "by-hand")
    assert (given.exit_code, given.output) == (0, "")
