"""A project's folder that is swapped for a link after the project was made."""

import os
from pathlib import Path

import pytest

from actors.executor.process import held
from tests.harness import HubProcess


def test_an_open_folder_stays_the_same_under_any_name(scratch: Path) -> None:
    (scratch / "a").mkdir()
    (scratch / "a" / "file").write_text("here")
    with held(str(scratch / "a")) as path:
        os.rename(scratch / "a", scratch / "b")
        (scratch / "a").symlink_to("/etc")
        assert (Path(path) / "file").read_text() == "here"


@pytest.mark.parametrize("where", ["itself", "above", "gone", "a file"])
def test_a_replaced_folder_is_refused(scratch: Path, where: str) -> None:
    folder = scratch / "above" / "a"
    folder.mkdir(parents=True)
    (scratch / "other" / "a").mkdir(parents=True)
    if where == "above":
        os.rename(scratch / "above", scratch / "away")
        (scratch / "above").symlink_to("other")
    else:
        folder.rmdir()
        if where == "itself":
            folder.symlink_to(scratch / "other")
        elif where == "a file":
            folder.touch()
    with pytest.raises(OSError), held(str(folder)):
        raise AssertionError("it was opened")


def test_an_agent_does_not_follow_a_link_out_of_its_roots(hub: HubProcess) -> None:
    with hub.client() as client:
        folder = hub.folder("linked")
        client.request("project_create", path=folder)
        client.request("project_join", project_id="linked")
        assert client.run("linked", "[[touch:here]]")["outcome"] == "success"
        client.request("agent_new_session", project_id="linked")  # its process goes
        os.rename(folder, hub.roots / "linked-away")
        outside = hub.scratch / "linked-outside"
        outside.mkdir()
        os.symlink(outside, folder)
        end = client.run("linked", "[[touch:there]]")
        assert end["outcome"] == "error" and "could not be started" in end["result"]
        assert list(outside.iterdir()) == []
        os.unlink(folder)
        os.rename(hub.roots / "linked-away", folder)
        assert client.run("linked", "[[touch:again]]")["outcome"] == "success"
        assert sorted(os.listdir(folder)) == ["again", "here"]


def test_a_kept_process_does_not_work_in_a_moved_folder(hub: HubProcess) -> None:
    with hub.client() as client:
        folder = hub.folder("moved")
        client.request("project_create", path=folder)
        client.request("project_join", project_id="moved")
        assert client.run("moved", "[[touch:here]]")["outcome"] == "success"
        away = hub.scratch / "moved-away"
        os.rename(folder, away)
        os.symlink(away, folder)
        end = client.run("moved", "[[touch:there]]")
        assert end["outcome"] == "error" and "could not be started" in end["result"]
        assert sorted(os.listdir(away)) == ["here"]


def test_a_folder_of_add_dirs_becomes_a_link_while_its_prompt_waits(hub: HubProcess) -> None:
    with hub.client() as client:
        client.request("project_create", path=hub.folder("waits"))
        client.request("project_join", project_id="waits")
        extra, outside, go = hub.roots / "extra", hub.scratch / "outside", hub.scratch / "go"
        extra.mkdir()
        outside.mkdir()
        client.request("execute", project_id="waits", prompt=f"[[wait:{go}]]")
        options = {"add_dirs": [str(extra)]}
        waiting = client.request("execute", project_id="waits", prompt="x", options=options)
        extra.rmdir()
        extra.symlink_to(outside)
        go.touch()
        end = client.wait_for("execution_finished", execution_id=waiting["execution_id"])["data"]
        assert end["outcome"] == "error" and str(extra) in end["result"]
        extra.unlink()
        extra.mkdir()
        assert client.run("waits", "x", options=options)["outcome"] == "success"
