"""What a Project says to the Hub while somebody watches. The Project is not started."""

import dataclasses
import json
from typing import Any

import pytest

from actors import messages
from actors.project.status import Status
from actors.project.trust import LOOK_KEPT_S
from protocol import requests
from protocol.shown_projects import NO_NEWS_FIELDS
from protocol.updates import PermissionRequest, ProjectInfo
from storage.errors import DiskFull
from tests.project_setup import ProjectSetup, execute, frozen, output, setup
from tests.test_shown_projects import question

__all__ = ["frozen", "setup"]


def await_change(setup: ProjectSetup) -> ProjectInfo:
    """Ask as the Hub does for those who watch; return what the project is."""
    setup.hub.take()
    setup.tell(messages.Describe(is_watched=True))
    (described,) = setup.hub.take()
    assert described.list_number is None
    info: ProjectInfo = described.info
    return info


def changes(setup: ProjectSetup) -> int:
    return setup.hub.take().count(messages.ProjectChanged(project_id="p"))


def ask_permission(setup: ProjectSetup, execution_id: str, permission_id: str = "q") -> None:
    request: PermissionRequest = question(permission_id, execution_id=execution_id)
    setup.tell(messages.PermissionAsked(request=request, outlives_turn=False))


def test_a_change_is_said_once_until_the_project_is_asked_again(setup: ProjectSetup) -> None:
    await_change(setup)
    execution_id = setup.execute()
    setup.end(execution_id)
    assert changes(setup) == 1
    await_change(setup)
    setup.execute()
    assert changes(setup) == 1


def test_nothing_is_said_where_nobody_watches(setup: ProjectSetup) -> None:
    setup.tell(messages.Describe(list_number=1))
    setup.execute()
    assert changes(setup) == 0


def test_every_kind_of_change_is_said(setup: ProjectSetup) -> None:
    """Each step changes other fields of the object; together they are all that can change."""
    seen: set[str] = set()
    before = await_change(setup)

    def said() -> None:
        nonlocal before
        assert changes(setup) == 1
        after = await_change(setup)
        old, new = before.model_dump(), after.model_dump()
        seen.update(name for name in new if new[name] != old[name])
        before = after

    execution_id = setup.execute("one")
    said()
    setup.execute("two")
    said()
    line = json.dumps({"type": "system", "session_id": "s"}).encode()
    setup.tell(output(execution_id, line, session_id="s"))
    said()
    ask_permission(setup, execution_id)
    said()
    answer = requests.PermissionAnswer(project_id="p", permission_id="q", decision="allow")
    setup.ask(answer)
    said()
    setup.end(execution_id)
    said()
    setup.ask(requests.ProjectTrust(project_id="p", trusted=True))
    said()
    never = {"project_id", "name", "path", "created_at"}
    elsewhere = {"first_seq", "untrusted_files"}  # the tests below
    assert seen - set(NO_NEWS_FIELDS) == set(ProjectInfo.model_fields) - never - elsewhere - set(
        NO_NEWS_FIELDS
    )


def test_files_of_an_untrusted_folder_are_said_while_it_works(
    setup: ProjectSetup, frozen: Any
) -> None:
    await_change(setup)
    (setup.folder / ".mcp.json").write_text("{}")
    frozen.tick(LOOK_KEPT_S)
    setup.tell(messages.LookAtKeys())  # any message
    assert changes(setup) == 1
    assert await_change(setup).untrusted_files == [".mcp.json"]


def test_a_log_that_begins_later_is_said(
    setup: ProjectSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup.end(setup.execute())
    await_change(setup)
    later = dataclasses.replace(setup.project._log.bounds, first_seq=2)
    monkeypatch.setattr(type(setup.project._log), "bounds", later)
    setup.tell(messages.LookAtKeys())
    assert changes(setup) == 1


def test_a_log_that_cannot_be_written_is_said(
    setup: ProjectSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    await_change(setup)

    def full(*_: object, **__: object) -> None:
        raise DiskFull("no space")

    monkeypatch.setattr(setup.project._log, "append", full)
    setup.ask(execute())
    assert changes(setup) == 1
    assert await_change(setup).status == "error"


def test_lines_joins_and_leaves_are_no_change(setup: ProjectSetup) -> None:
    execution_id = setup.execute()
    await_change(setup)
    setup.join()
    setup.tell(output(execution_id, b'{"type":"x"}'))
    setup.ask(requests.ProjectLeave(project_id="p"))
    setup.tell(messages.SubscriberGone(subscriber_id="c1"))
    assert changes(setup) == 0


def test_a_thousand_lines_describe_the_project_never(
    setup: ProjectSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution_id = setup.execute()
    await_change(setup)
    described: list[int] = []
    describe = Status.describe
    monkeypatch.setattr(Status, "describe", lambda self: described.append(1) or describe(self))
    for _ in range(1000):
        setup.tell(output(execution_id, b'{"type":"x"}'))
    assert described == [] and changes(setup) == 0


def test_who_watches_is_no_subscriber_and_keeps_no_files_watched(setup: ProjectSetup) -> None:
    setup.project._watching._is_due = False
    assert await_change(setup).subscribers == 0
    assert setup.project._watching._watcher is None


def test_a_change_while_the_project_describes_itself_is_said(
    setup: ProjectSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder may be looked into anew between the two."""
    (setup.folder / ".mcp.json").write_text("{}")
    files = iter([[], [".mcp.json"]])
    monkeypatch.setattr(
        type(setup.project._trust),
        "files_without_effect",
        property(lambda _: next(files, [".mcp.json"])),
    )
    setup.tell(messages.Describe(is_watched=True))
    assert changes(setup) == 1


def test_a_project_that_is_closed_still_answers(setup: ProjectSetup) -> None:
    setup.tell(messages.StopProject())
    assert await_change(setup).project_id == "p"
