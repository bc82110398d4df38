"""Data folders of released versions, opened by the program of the day: clients see what they saw.

tests/make_data_fixture.py made them, with the program of their release.
"""

import json
import secrets
import signal
import tarfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from claudehub.cli.main import main
from storage.data_version import DATA_VERSION, UNNAMED_VERSION, read_version
from tests.harness import HubProcess, WireClient
from tests.make_data_fixture import FOLDER, ROOTS, SETTINGS, seen_by_a_client

FIXTURES = sorted(path.name.removesuffix(".tar.gz") for path in FOLDER.glob("data-v*.tar.gz"))
STOPPED = [name for name in FIXTURES if not name.endswith("-killed")]
# What the folder of a version has at least, so that a fixture is one of all that is kept.
KEPT = (
    "projects/site/meta.json.old",
    "projects/site/keys.jsonl",
    "projects/site/log/*.jsonl",
    "projects/site/log/*.jsonl.gz",
    "projects/empty/meta.json",
    "kept/gone~*/meta.json",
    "kept/gone~*/log/*.jsonl",
    "audit.jsonl",
    "audit-*.jsonl",
    "configuration",
    "id",
)


def version_of(name: str) -> int:
    return int(name.removeprefix("data-v").removesuffix("-killed"))


class Opened:
    """A fixture in a folder of its own. `seen` is what a client saw of it then."""

    def __init__(self, name: str, scratch: Path) -> None:
        self.version = version_of(name)
        self.hub = HubProcess(scratch, **{**SETTINGS, "LOG_COMPRESS": "off"})
        self.hub.data.mkdir()
        with tarfile.open(FOLDER / f"{name}.tar.gz") as tar:
            tar.extractall(self.hub.data, filter="data")
        # A hub ends at its start what carries the id of its folder: another test's agents, too.
        (self.hub.data / "id").write_text(secrets.token_hex(8))
        roots = str(self.hub.roots.resolve())
        for meta in self.hub.data.rglob("meta.json*"):
            meta.write_bytes(meta.read_bytes().replace(ROOTS.encode(), roots.encode()))
        self.seen: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
        for project_id in (*self.seen, "gone"):
            self.hub.folder(project_id)


@pytest.fixture
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    found = Opened(request.param, tmp_path)
    yield found
    assert found.hub.stop() == 0
    assert "Traceback" not in (found.hub.errors.read_text() if found.hub.errors.exists() else "")


def fixtures(names: list[str]) -> Any:
    return pytest.mark.parametrize("opened", names, indirect=True)


@fixtures(FIXTURES)
def test_a_fixture_has_all_that_is_kept(opened: Opened) -> None:
    data = opened.hub.data
    assert [pattern for pattern in KEPT if not list(data.glob(pattern))] == []
    assert len(list((data / "projects/site/log").glob("*.jsonl*"))) > 4


def test_every_version_up_to_the_present_one_has_its_fixtures_once_it_is_released() -> None:
    """The present version has none before its release."""
    versions = {version_of(name) for name in FIXTURES}
    assert versions >= set(range(UNNAMED_VERSION, DATA_VERSION))
    both = {f"data-v{version}{end}" for version in versions for end in ("", "-killed")}
    assert set(FIXTURES) == both


@fixtures(STOPPED)
def test_clients_see_a_stopped_folder_as_it_was(opened: Opened) -> None:
    before = (opened.hub.data / "audit.jsonl").read_bytes()
    opened.hub.start()
    with opened.hub.client() as client:
        assert seen_by_a_client(client) == opened.seen
        check_keys(client, opened.seen["site"]["messages"])
        check_kept_history(client, opened.hub)
        check_work_goes_on(client, opened.seen["docs"])
    assert read_version(opened.hub.data) == DATA_VERSION
    is_older = opened.version < DATA_VERSION
    assert opened.hub.errors.read_text().count("taken over") == is_older
    said = b"".join(p.read_bytes() for p in sorted(opened.hub.data.glob("audit*.jsonl")))
    assert before in said


def check_keys(client: WireClient, messages: list[dict[str, Any]]) -> None:
    """Send each prompt again, with its key: nothing runs, and the answer names what ran then."""
    keyed = [m["data"] for m in messages if m["update_type"] == "prompt" and m["data"]["key"]]
    assert len(keyed) > 10
    for data in keyed:
        again = {name: data[name] for name in ("prompt", "key")}
        answer = client.request("execute", project_id="site", **again)
        assert (answer["execution_id"], answer["state"]) == (data["execution_id"], "finished")


def check_kept_history(client: WireClient, hub: HubProcess) -> None:
    """The history of the deleted project is taken up, with its numbers."""
    made = client.request("project_create", path=hub.folder("gone"), project_id="gone")
    last = made["project"]["last_seq"]
    page = client.request("get_messages", project_id="gone")
    assert [message["seq"] for message in page["messages"]] == list(range(1, last + 1))
    assert page["messages"][0]["data"]["prompt"] == "[[text:kept]]"
    end = client.run_after_join("gone", "[[text:more]]")
    assert end["result"] == "more"


def check_work_goes_on(client: WireClient, seen: dict[str, Any]) -> None:
    """A client that comes back with its position gets what is new, and only that."""
    last = seen["project"]["last_seq"]
    position = {"after_seq": last, "log_id": seen["log_id"]}
    assert client.request("project_join", project_id="docs", **position)["last_seq"] == last
    assert client.run("docs", "[[text:new]]")["result"] == "new"
    logged = [
        update for update in client.take() if "seq" in update and update["project_id"] == "docs"
    ]
    assert logged[0]["seq"] == last + 1 and logged[0]["update_type"] == "prompt"


@fixtures([name for name in FIXTURES if name.endswith("-killed")])
def test_clients_see_what_a_kill_left_and_each_open_execution_ends_as_lost(opened: Opened) -> None:
    opened.hub.start()
    with opened.hub.client() as client:
        now = seen_by_a_client(client)
    assert now.keys() == opened.seen.keys()
    for project_id, then in opened.seen.items():
        found = now[project_id]
        assert found["log_id"] == then["log_id"]
        assert found["messages"][: len(then["messages"])] == then["messages"]
        project = then["project"]
        running = {project["execution_id"]} - {None} | {q["execution_id"] for q in project["queue"]}
        new = found["messages"][len(then["messages"]) :]
        ends = [m["data"] for m in new if m["update_type"] == "execution_finished"]
        assert {(e["execution_id"], e["outcome"]) for e in ends} == {(r, "lost") for r in running}
        resolved = [m["data"] for m in new if m["update_type"] == "permission_resolved"]
        asked = {question["permission_id"] for question in project["pending_permissions"]}
        assert {answer["permission_id"] for answer in resolved} == asked
        assert (found["project"]["status"], found["project"]["queue"]) == ("idle", [])


@fixtures(FIXTURES)
def test_the_logs_are_whole_before_and_after_they_are_taken_over(opened: Opened) -> None:
    def verify() -> None:
        ended = CliRunner().invoke(main, ["log", "verify", "--data-dir", str(opened.hub.data)])
        assert ended.exit_code == 0, ended.output
        assert "DAMAGED" not in ended.stdout and ended.stdout.count(": whole, ") >= 3

    verify()
    opened.hub.start()
    opened.hub.stop(signal.SIGKILL)
    verify()
    opened.hub.start()
    opened.hub.stop()
    verify()
