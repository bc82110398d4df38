"""`claudehub import`: the data of the older server, taken over and read back from a hub."""

import fcntl
import json
import os
import re
import shutil
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.sync.client import connect

from claudehub.cli.main import main
from claudehub.moving.import_plan import Fate, Planned
from claudehub.moving.import_work import CUT_OFF, Taker
from storage.layout import DataLayout
from storage.old_data import lines_of, old_projects, size_bytes
from storage.projects import ProjectMeta, ProjectStore, read_meta
from tests.harness import ROOT, TIMEOUT_S, HubProcess, WireClient
from tests.processes import wait_until
from tests.test_command_line import spawn
from tests.test_old_log import ended, line, prompt, said, stamp

SAMPLES = ROOT / "tests" / "data" / "old-data"
PLACE = "/srv/"  # where the projects of the samples lay
RAN = "185f1a3e-5987-4441-9c0b-92f1709d81cf"
IDS = sorted(path.name for path in (SAMPLES / "projects").iterdir())
SESSION = "11111111-2222-4333-8444-555555555555"
FILE = "messages_2026-11-24_13-52-10.jsonl"


class Move:
    """An older server's data, a folder of project folders, and the DATA_DIR of a hub."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch.resolve()
        self.source = self.scratch / "old"
        self.roots = self.scratch / "roots"
        self.data = self.scratch / "data"
        self.roots.mkdir(exist_ok=True)
        (self.source / "projects").mkdir(parents=True)

    def add(self, project_id: str, *lines: bytes, path: str | None = None, **meta: Any) -> Path:
        """Make a project of the older server; return its folder there."""
        folder = self.source / "projects" / project_id
        (folder / "logs").mkdir(parents=True)
        home = self.roots / project_id
        if path is None:
            home.mkdir()
        facts = {
            "id": project_id,
            "path": path or f"{home}/",
            "created_at": "2026-11-24T13:52:07.607945685Z",
            "last_active": "2026-11-24T15:05:22.6+01:00",
            **meta,
        }
        (folder / "metadata.json").write_text(json.dumps(facts))
        if lines:
            self.write(project_id, b"".join(raw + b"\n" for raw in lines))
        return folder

    def write(self, project_id: str, data: bytes, name: str = FILE) -> None:
        with open(self.source / "projects" / project_id / "logs" / name, "ab") as file:
            file.write(data)

    def run(self, *arguments: str, **environment: str) -> Result:
        wanted = ["--data-dir", str(self.data), "--project-roots", str(self.roots)]
        home = {"XDG_CONFIG_HOME": str(self.scratch), "CLAUDE_CONFIG_DIR": str(self.scratch)}
        command = ["import", str(self.source), *wanted, *arguments]
        return CliRunner().invoke(main, command, env={**home, **environment})

    def works(self, *arguments: str) -> dict[str, dict[str, Any]]:
        """Import; return the report by project."""
        ran = self.run("--json", *arguments)
        assert ran.exit_code in (0, 1), ran.output
        return by_id(ran)

    def records(self, project_id: str) -> list[dict[str, Any]]:
        files = sorted((self.data / "projects" / project_id / "log").iterdir())
        return [json.loads(raw) for file in files for raw in file.read_bytes().splitlines()]

    def tree(self) -> dict[str, bytes]:
        """Return all files, without what names a run or a log."""
        found = {}
        for path in sorted(self.data.rglob("*")):
            name = str(path.relative_to(self.data))
            if path.is_file() and name != "lock":
                found[anonymous(name.encode()).decode()] = anonymous(path.read_bytes())
        return found


def by_id(ran: Result) -> dict[str, dict[str, Any]]:
    return {row["project_id"]: row for row in map(json.loads, ran.stdout.splitlines())}


def anonymous(data: bytes) -> bytes:
    """Return the data without a log_id."""
    data = re.sub(rb'("log_id":\s*")[0-9a-f]{16}', rb"\1", data)
    return re.sub(rb"~[0-9a-f]{16}", b"~", data)


@pytest.fixture
def move(tmp_path: Path) -> Move:
    return Move(tmp_path)


def of_samples(scratch: Path) -> Move:
    """The samples, as if their projects lay in the folder `roots`."""
    move = Move(scratch)
    shutil.copytree(SAMPLES, move.source, dirs_exist_ok=True)
    for file in move.source.rglob("metadata.json"):
        file.write_text(file.read_text().replace(PLACE, f"{move.roots}/"))
        Path(json.loads(file.read_text())["path"]).mkdir(parents=True, exist_ok=True)
    return move


def old_records(project_id: str) -> list[dict[str, Any]]:
    """Return the lines of the older server's log."""
    files = sorted((SAMPLES / "projects" / project_id / "logs").glob("*.jsonl"))
    return [json.loads(raw) for file in files for raw in file.read_text().splitlines()]


def old_history(project_id: str) -> list[tuple[str, str, Any]]:
    """Return what the older server shows: the times to the microsecond, the direction, the
    content."""
    return [
        (record["timestamp"][:26] + "Z", record["direction"], record["message"]["content"])
        for record in old_records(project_id)
    ]


def as_old(messages: list[dict[str, Any]]) -> list[tuple[str, str, Any]]:
    """Return the same of a hub's updates, as version 0 of the protocol shows them."""
    found = []
    for update in messages:
        if update["update_type"] == "prompt":
            found.append((update["timestamp"], "client", {"text": update["data"]["prompt"]}))
        elif update["update_type"] == "claude":
            found.append((update["timestamp"], "claude", update["data"]))
    return found


# -- the samples


def test_the_samples_are_read_back_over_the_wire(scratch: Path) -> None:
    move = of_samples(scratch)
    report = move.works()
    assert {row["result"] for row in report.values()} == {"imported"}
    assert {i: report[i]["records"] for i in IDS} == dict(zip(IDS, (0, 18, 0, 6), strict=True))
    (scratch / "sessions").write_text(f"{SESSION}\n")
    before = move.tree()
    hub = HubProcess(scratch).start()
    with hub.client() as client:
        listed = client.request("project_list")["projects"]
        check_read_back(client, move)
    assert hub.stop() == 0
    assert "claudehub.project" not in hub.errors.read_text()  # nothing to mend, no end to add
    assert {name: move.tree()[name] for name in before} == before
    again = move.works()
    assert {row["result"] for row in again.values()} == {"imported before"}
    assert {name: move.tree()[name] for name in before} == before
    hub.start()
    with hub.client() as client:
        assert client.request("project_list")["projects"] == listed
        client.request("project_join", project_id=RAN)
        end = client.run(RAN, "[[text:HELLO]]")
        assert (end["outcome"], end["result"], end["session_id"]) == ("success", "HELLO", SESSION)
        assert client.request("project_list")["projects"][1]["last_seq"] > 18
    assert hub.stop() == 0


def check_read_back(client: WireClient, move: Move) -> None:
    projects = client.request("project_list")["projects"]
    assert [project["project_id"] for project in projects] == IDS
    for project in projects:
        project_id = project["project_id"]
        old = json.loads((SAMPLES / "projects" / project_id / "metadata.json").read_text())
        path = old["path"].replace(PLACE, f"{move.roots}/").rstrip("/")
        assert (project["path"], project["name"]) == (path, os.path.basename(path))
        assert project["session_id"] == old.get("session_id")
        assert project["created_at"] == old["created_at"][:26] + "Z"
        assert project["last_active"] == old["last_active"][:26] + "Z"
        assert (project["status"], project["trusted"]) == ("idle", False)
        page = client.request("get_messages", project_id=project_id, after_seq=0, limit=1000)
        assert as_old(page["messages"]) == old_history(project_id)
        joined = client.request("project_join", project_id=project_id, after_seq=0)
        assert (joined["first_seq"], joined["last_seq"]) == (1, len(page["messages"]))
        assert joined["log_id"] == page["log_id"]
        while len(client.updates) < len(page["messages"]):
            client.updates.append(client.receive()["payload"])
        assert client.take() == page["messages"]
        check_executions(page["messages"])


def check_executions(messages: list[dict[str, Any]]) -> None:
    """Each execution begins once and ends once, and its lines lie between."""
    open_id = None
    for number, update in enumerate(messages, start=1):
        assert update["seq"] == number
        match update["update_type"]:
            case "prompt":
                assert open_id is None
            case "execution_started":
                assert open_id is None
                open_id = update["data"]["execution_id"]
            case "claude":
                assert update["execution_id"] == open_id
            case "execution_finished":
                assert update["data"]["execution_id"] == open_id
                open_id = None
    assert open_id is None


def ask_version_0(hub: HubProcess, kind: str, **data: Any) -> dict[str, Any]:
    """Ask on the older server's path, as an older client does; return the data of the answer."""
    with connect(f"{hub.url.rstrip('/')}/ws", proxy=None, max_size=None) as client:
        client.send(json.dumps({"type": kind, "data": data}))
        answer = json.loads(client.recv(timeout=TIMEOUT_S))
    assert answer["type"] == kind, answer
    found: dict[str, Any] = answer["data"]
    return found


def test_older_clients_see_their_history_again(scratch: Path) -> None:
    move = of_samples(scratch)
    odd = {"type": "assistant", "n": [1.50, 1e22, -0.0], "t": "\u2028<b>é\U0001f600"}
    mock = {"type": "result", "content": {"type": "result", "is_error": False}}
    shutil.rmtree(move.source / "projects" / IDS[0])
    lines = [said(0), prompt("x\x07y", 1), line(odd, timestamp=stamp(2)), line(mock), prompt("", 3)]
    move.add("odd", *lines)
    move.works()
    hub = HubProcess(scratch, PROTOCOL_V0="on").start()
    listed = ask_version_0(hub, "project_list")["projects"]
    assert [project["id"] for project in listed] == [*IDS[1:], "odd"]
    for project_id in IDS[1:]:
        shown = ask_version_0(hub, "get_messages", project_id=project_id, limit=1000)
        records = shown["messages"]
        seen = [(r["timestamp"], r["direction"], r["message"]["content"]) for r in records]
        assert seen == old_history(project_id)
        kinds = [record["message"]["type"] for record in old_records(project_id)]
        assert [record["message"]["type"] for record in records] == kinds
        assert shown["metadata"]["total"] == len(kinds)
    records = ask_version_0(hub, "get_messages", project_id="odd")["messages"]
    assert [r["message"]["content"] for r in records] == [
        json.loads(raw)["message"]["content"] for raw in lines
    ]
    only = ask_version_0(hub, "get_messages", project_id="odd", direction="client")["messages"]
    assert [record["message"]["content"]["text"] for record in only] == ["x\x07y", ""]
    assert hub.stop() == 0


def test_the_report_is_for_people(scratch: Path) -> None:
    move = of_samples(scratch)
    ran = move.run()
    assert ran.exit_code == 0
    assert re.search(rf"(?m)^{RAN} +{move.roots}/v0/inter +18 +0 +imported$", ran.stdout)
    assert "4 projects: 4 imported; 24 records from 16 lines, 0 lines skipped" in ran.stdout
    assert f"{RAN}: Claude's conversation {SESSION} is not in" in ran.stdout
    assert "reading" in ran.stderr


def test_a_conversation_that_is_there_is_not_reported_missing(scratch: Path) -> None:
    move = of_samples(scratch)
    (scratch / "projects" / "-somewhere").mkdir(parents=True)
    (scratch / "projects" / "-somewhere" / f"{SESSION}.jsonl").write_text("{}")
    assert move.works()[RAN]["notes"] == []


def test_a_dry_run_says_the_same_and_writes_nothing(scratch: Path) -> None:
    move = of_samples(scratch)
    dry = move.works("--dry-run")
    assert not move.data.exists()
    assert "nothing was written" in move.run("--dry-run").stdout
    assert move.works() == dry


def test_the_older_servers_folder_is_only_read(
    scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = of_samples(scratch)
    opened = []
    real = os.open

    def noted(path: Any, flags: int, *rest: Any, **options: Any) -> int:
        if str(move.source) in os.fsdecode(path):
            opened.append(flags & (os.O_ACCMODE | os.O_CREAT | os.O_TRUNC))
        return real(path, flags, *rest, **options)

    monkeypatch.setattr(os, "open", noted)
    for path in move.source.rglob("*"):
        os.utime(path, (1, 1), follow_symlinks=False)
    before = {str(p): p.lstat() for p in move.source.rglob("*")}
    move.works()
    assert len(opened) > 8 and set(opened) == {os.O_RDONLY}
    for name, seen in before.items():
        now = os.lstat(name)
        facts = (now.st_mtime_ns, now.st_ctime_ns, now.st_atime_ns, now.st_mode, now.st_size)
        assert facts == (
            seen.st_mtime_ns,
            seen.st_ctime_ns,
            seen.st_atime_ns,
            seen.st_mode,
            seen.st_size,
        )
    assert {str(p) for p in move.source.rglob("*")} == before.keys()


# -- what is in the way


def test_a_running_hub_is_an_error_that_says_what_to_do(scratch: Path) -> None:
    move = of_samples(scratch)
    hub = HubProcess(scratch).start()
    ran = move.run()
    assert ran.exit_code == 1
    assert f"another server (pid {hub.pid}) uses {move.data}; stop it" in ran.stderr
    assert ran.stdout == ""
    dry = move.run("--dry-run")  # it takes no lock
    assert dry.exit_code == 0
    assert f"a hub (pid {hub.pid}) uses {move.data}: stop it" in dry.stderr
    assert hub.stop() == 0
    assert not list((move.data / "projects").iterdir())


def test_a_project_of_that_id_or_folder_is_a_conflict_and_stays(scratch: Path) -> None:
    move = of_samples(scratch)
    hub = HubProcess(scratch).start()
    with hub.client() as client:
        client.request("project_create", path=hub.folder("other"), project_id=RAN)
        inner = str(move.roots / "pocket-agent-test-1795528253418")
        client.request("project_create", path=inner, project_id="same")
        around = str(move.roots / "v0" / "s1795528410438")
        client.request("project_create", path=around, project_id="around")
    assert hub.stop() == 0
    before = move.tree()
    ran = move.run("--json")
    report = by_id(ran)
    assert ran.exit_code == 1
    assert [report[i]["result"] for i in IDS] == ["imported", "conflict", "conflict", "conflict"]
    assert "was not imported" in report[RAN]["notes"][0]
    assert "lies inside or around" in report[IDS[2]]["notes"][0]
    assert "is the folder of project same" in report[IDS[3]]["notes"][0]
    assert {name: move.tree()[name] for name in before} == before


def test_of_two_older_projects_in_one_folder_one_is_imported(move: Move) -> None:
    move.add("a", prompt("x"))
    move.add("b", prompt("y"), path=str(move.roots / "a"))
    report = move.works()
    assert (report["a"]["result"], report["b"]["result"]) == ("imported", "conflict")


def test_what_the_older_server_wrote_since_is_reported(move: Move) -> None:
    move.add("a", prompt("x", 1), said(2))
    move.works()
    before = move.tree()
    move.write("a", ended(3) + b"\n" + b"noise\n" + prompt("y", 4))
    move.write("a", said(5) + b"\n", "messages_2026-11-25_00-00-00.jsonl")
    report = move.works()["a"]
    (note,) = report["notes"]
    assert note.startswith("3 records since, not taken over")
    assert (report["since"], report["records"], report["skipped"]) == (3, 0, {})
    assert move.tree() == before


def test_a_newer_data_folder_is_left_alone(move: Move) -> None:
    move.add("a", prompt("x"))
    move.data.mkdir()
    (move.data / "version").write_text('{"version": 99}')
    ran = move.run()
    assert ran.exit_code == 1 and "newer claudehub" in ran.stderr
    assert list(move.data.iterdir()) == [move.data / "version"]


def test_a_folder_that_is_not_the_older_servers_is_refused(move: Move) -> None:
    (move.source / "projects").rmdir()
    ran = move.run()
    assert ran.exit_code == 1 and "no folder `projects`" in ran.stderr
    assert move.run("--data-dir", str(move.source / "data")).exit_code == 1
    move.data.mkdir()
    (move.data / "projects" / "p").mkdir(parents=True)
    (move.data / "projects" / "p" / "meta.json").write_text("{}")
    other = ["import", str(move.data), "--data-dir", str(move.scratch / "new")]
    ran = CliRunner().invoke(main, other, env={"XDG_CONFIG_HOME": str(move.scratch)})
    assert ran.exit_code == 1 and "not of the older server" in ran.stderr
    assert not (move.scratch / "new").exists()


def test_wrong_settings_are_named_as_serve_names_them(move: Move) -> None:
    ran = move.run(MSG_ROTATE_SIZE="many")
    assert ran.exit_code == 2 and "MSG_ROTATE_SIZE" in ran.stderr


def test_more_projects_than_the_hub_takes_are_mentioned(move: Move) -> None:
    move.add("a"), move.add("b")
    assert "MAX_PROJECTS is 1" in move.run(MAX_PROJECTS="1").stdout


# -- folders


def test_the_history_of_a_folder_outside_the_roots_is_kept_aside(scratch: Path) -> None:
    move = of_samples(scratch)
    everything = move.roots
    move.roots = everything / "v0"
    ran = move.run("--json")
    assert ran.exit_code == 1
    report = by_id(ran)
    outside = IDS[3]
    assert [report[i]["result"] for i in IDS] == [*["imported"] * 3, "history kept"]
    assert "PROJECT_ROOTS" in report[outside]["notes"][0]
    assert not (move.data / "projects" / outside).exists()
    (kept,) = (move.data / "kept").iterdir()
    log = CliRunner().invoke(main, ["log", "verify", kept.name, "--data-dir", str(move.data)])
    assert f"{kept.name}: whole, 6 records" in log.output
    again = move.run("--json")
    assert again.exit_code == 1
    assert by_id(again)[outside]["result"] == "history kept before"
    move.roots = everything
    assert move.works()[outside]["result"] == "made a project"
    meta = read_meta(move.data / "projects" / outside)
    assert meta.session_id == SESSION and meta.log is not None
    assert len(move.records(outside)) == 6
    assert not list((move.data / "kept").iterdir())
    assert {row["result"] for row in move.works().values()} == {"imported before"}


def test_a_hub_takes_up_a_history_that_was_kept_aside(scratch: Path) -> None:
    move = of_samples(scratch)
    everything, outside = move.roots, IDS[3]
    move.roots = everything / "v0"
    move.works()
    hub = HubProcess(scratch).start()
    with hub.client() as client:
        path = str(everything / "pocket-agent-test-1795528253418")
        made = client.request("project_create", path=path, project_id=outside)
        assert made["project"]["last_seq"] == 6
    assert hub.stop() == 0


def test_a_missing_folder_is_reported_and_its_history_can_be_read(scratch: Path) -> None:
    move = of_samples(scratch)
    shutil.rmtree(move.roots / "v0")
    ran = move.run("--json")
    report = by_id(ran)
    assert ran.exit_code == 0
    assert f"{move.roots}/v0/inter: there is no such folder" in report[RAN]["notes"]
    hub = HubProcess(scratch).start()
    with hub.client() as client:
        page = client.request("get_messages", project_id=RAN)
        assert as_old(page["messages"]) == old_history(RAN)
    assert hub.stop() == 0


def test_the_folder_around_the_hubs_own_data_does_not_become_a_project(move: Move) -> None:
    move.add("a", prompt("x"), path=str(move.scratch))
    ran = move.run("--project-roots", str(move.scratch), "--json")
    assert by_id(ran)["a"]["result"] == "history kept"
    assert "DATA_DIR" in by_id(ran)["a"]["notes"][0]


@pytest.mark.parametrize(
    ("name", "meta", "problem"),
    [
        ("Upper-Case", {}, "cannot be the id of a project"),
        ("a" * 65, {}, "cannot be the id of a project"),
        ("b", {"id": "c"}, "names another project, 'c'"),
        ("b", {"path": "relative"}, "no absolute path"),
        ("b", {"path": ["/"]}, "no absolute path"),
        ("b", {"path": "/a\0b"}, "a path that cannot be one"),
        ("b", {"path": "/\ud800"}, "a path that cannot be one"),
    ],
)
def test_a_project_that_cannot_be_taken_over_is_reported(
    move: Move, name: str, meta: dict[str, Any], problem: str
) -> None:
    move.add("good", prompt("x"))
    move.add(name, prompt("x"), **meta)
    ran = move.run("--json")
    assert ran.exit_code == 1
    assert by_id(ran)[name]["result"] == "not imported"
    assert problem in by_id(ran)[name]["notes"][0]
    assert by_id(ran)["good"]["result"] == "imported"


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{", b"\xff", b"[" * 5000, b" " * 2_000_000],
    ids=["empty", "a list", "half", "no UTF-8", "deep", "huge"],
)
def test_metadata_that_cannot_be_read_is_reported(move: Move, content: bytes) -> None:
    (move.add("a", prompt("x")) / "metadata.json").write_bytes(content)
    report = move.works()
    assert report["a"]["result"] == "not imported"
    assert "metadata.json holds no JSON object" in report["a"]["notes"][0]


def test_a_folder_without_metadata_is_reported(move: Move) -> None:
    folder = move.add("a", prompt("x"))
    (folder / "metadata.json").rename(folder / "metadata.json.backup")
    assert "No such file" in move.works()["a"]["notes"][0]


def test_facts_of_metadata_that_are_wrong_have_a_substitute(move: Move) -> None:
    folder = move.add("a", session_id="--evil", created_at=5, last_active="0001-01-01T00:00:00Z")
    os.utime(folder / "metadata.json", (1_700_000_000, 1_700_000_000))
    move.works()
    meta = read_meta(move.data / "projects" / "a")
    assert meta.session_id is None and not meta.fresh
    assert meta.created_at == meta.last_active == "2023-11-14T22:13:20.000000Z"


def test_a_project_that_ran_and_lost_its_session_does_not_take_the_old_one_up(move: Move) -> None:
    move.add("a", prompt("x"), ended())
    move.works()
    assert read_meta(move.data / "projects" / "a").fresh


# -- files


def test_files_are_read_in_the_order_of_their_names_and_others_are_left_out(move: Move) -> None:
    folder = move.add("a", prompt("second", 20)) / "logs"
    move.write("a", prompt("first", 10) + b"\n", "messages_2026-11-24_13-52-09.jsonl")
    move.write("a", prompt("other") + b"\n", ".tmp-1234")
    move.write("a", prompt("other") + b"\n", "messages_x.jsonl")
    (folder / "current.jsonl").symlink_to(FILE)
    (folder / "messages_2026-11-24_13-52-11.jsonl").symlink_to(FILE)
    report = move.works()
    assert "cannot be read" in report["a"]["notes"][0]  # a log file that is a link
    (folder / "messages_2026-11-24_13-52-11.jsonl").unlink()
    assert move.works()["a"]["result"] == "imported"
    asked = [r["data"]["prompt"] for r in move.records("a") if r["update_type"] == "prompt"]
    assert asked == ["first", "second"]


def test_a_pipe_in_the_place_of_a_log_does_not_hold_the_import_up(move: Move) -> None:
    folder = move.add("a") / "logs"
    os.mkfifo(folder / FILE)
    assert move.works()["a"]["result"] == "failed"


def test_skipped_lines_are_counted_with_file_line_and_reason(move: Move) -> None:
    move.add("a", prompt("x", 1), b"junk", b"", said(2), line([], timestamp=stamp(3)), ended(4))
    report = move.works()["a"]
    place = f"projects/a/logs/{FILE}"
    assert report["skipped"] == {
        "is not a JSON object in UTF-8": 1,
        "has no JSON object as its content": 1,
    }
    assert [text.split(" ")[0] for text in report["first_skipped"]] == [
        f"{place}:2:",
        f"{place}:5:",
    ]
    assert (report["lines"], report["records"]) == (3, 5)
    ran = move.run("--dry-run", "--data-dir", str(move.scratch / "new"))
    assert f"skipped: {place}:2: is not a JSON object in UTF-8" in ran.stdout


def test_many_skipped_lines_are_summed_up(move: Move) -> None:
    move.add("a", *[b"junk"] * 50)
    ran = move.run()
    assert ran.stdout.count("projects/a/logs/") == 20
    assert "skipped: 30 more lines; in all: 50 is not a JSON object in UTF-8" in ran.stdout


def test_half_a_line_at_the_end_is_left_for_later(move: Move) -> None:
    move.add("a", prompt("x", 1))
    whole = said(2)
    move.write("a", whole[:40])
    report = move.works()["a"]
    assert list(report["skipped"]) == [CUT_OFF]
    move.write("a", whole[40:] + b"\n")
    (note,) = move.works()["a"]["notes"]
    assert note.startswith("1 record since")


def test_a_whole_line_without_its_newline_is_taken_once(move: Move) -> None:
    move.add("a")
    move.write("a", prompt("x", 1))
    assert move.works()["a"]["lines"] == 1
    move.write("a", b"\n")
    assert move.works()["a"]["notes"] == []


def test_a_prompt_that_cannot_be_read_ends_the_execution_before_it(move: Move) -> None:
    move.add("a", prompt("x", 1), ended(2), line({"text": 7}, "client", stamp(3)), said(4))
    move.works()
    kinds = [record["update_type"] for record in move.records("a")]
    assert kinds.count("execution_finished") == kinds.count("execution_started") == 2


def test_lines_longer_than_the_limit_are_left_out(move: Move) -> None:
    move.add("a", prompt("x"), said(text="x" * 3_000_000), ended())
    ran = move.run("--json", MAX_LINE_BYTES="100000")
    assert by_id(ran)["a"]["skipped"] == {"is longer than MAX_LINE_BYTES": 1}
    assert by_id(ran)["a"]["lines"] == 2


def test_segments_are_of_the_usual_size_and_no_time_falls_within_one(move: Move) -> None:
    lines = [said(n % 50, text="x" * 1000) for n in range(30)]
    early = line({"type": "assistant"}, timestamp="2026-11-24T12:00:00Z")
    move.add("a", prompt("x", 40), said(50), said(49), early, *lines)
    ran = move.run("--json", MSG_ROTATE_SIZE="8KiB")
    assert any("1 records have got the time" in note for note in by_id(ran)["a"]["notes"])
    files = sorted((move.data / "projects" / "a" / "log").iterdir())
    assert len(files) >= 4 and all(file.stat().st_size < 10_000 for file in files)
    for file in files:
        stamps = [json.loads(raw)["timestamp"] for raw in file.read_bytes().splitlines()]
        assert stamps == sorted(stamps)
    verified = CliRunner().invoke(main, ["log", "verify", "a", "--data-dir", str(move.data)])
    assert verified.exit_code == 0, verified.output
    assert [record["seq"] for record in move.records("a")] == list(range(1, 37))


def test_a_clock_that_jumps_to_and_fro_does_not_make_a_file_each_time(move: Move) -> None:
    early = line({"type": "assistant"}, timestamp="2026-11-24T12:00:00Z")
    move.add("a", prompt("x"), *[raw for _ in range(150) for raw in (said(1), early)])
    move.works()
    assert len(list((move.data / "projects" / "a" / "log").iterdir())) == 101
    verified = CliRunner().invoke(main, ["log", "verify", "a", "--data-dir", str(move.data)])
    assert verified.exit_code == 0, verified.output


# -- anything


GOOD = st.sampled_from([prompt("hi"), said(1, text="é <b>"), ended(2), prompt("\ud800")])
BAD = st.binary(max_size=80).map(lambda raw: raw.replace(b"\n", b""))


def mangled(raw: bytes, at: int, patch: bytes) -> bytes:
    cut = at % (len(raw) + 1)
    return raw[:cut] + patch.replace(b"\n", b"") + raw[cut + len(patch) :]


MANGLED = st.builds(mangled, GOOD, st.integers(0, 400), st.binary(max_size=4))
FILES = st.lists(st.lists(GOOD | BAD | MANGLED, max_size=12), max_size=3)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(files=FILES, ends=st.booleans(), meta=st.dictionaries(st.text(max_size=9), st.integers()))
def test_any_data_is_taken_over_whole_or_its_lines_are_reported(
    tmp_path_factory: pytest.TempPathFactory,
    files: list[list[bytes]],
    ends: bool,
    meta: dict[str, Any],
) -> None:
    move = Move(tmp_path_factory.mktemp("any"))
    move.add("a", extra=meta)
    for number, lines in enumerate(files):
        data = b"\n".join(lines) + (b"\n" if ends else b"")
        move.write("a", data, f"messages_2026-11-24_13-52-{number:02d}.jsonl")
    report = move.works()["a"]
    assert report["result"] == "imported"
    blank = [raw for lines in files for raw in lines if not raw.strip(b" \t\r\xef\xbb\xbf")]
    lines = sum(len(each) for each in files)
    assert lines - len(blank) <= report["lines"] + sum(report["skipped"].values()) <= lines
    records = move.records("a")
    assert len(records) == report["records"]
    check_executions(records)
    before = move.tree()
    assert move.works()["a"]["result"] == "imported before"
    assert move.tree() == before
    verified = CliRunner().invoke(main, ["log", "verify", "a", "--data-dir", str(move.data)])
    assert verified.exit_code == 0, verified.output


GOOD_META = json.dumps({"id": "a", "path": "/x", "created_at": stamp(1), "last_active": stamp(2)})
METAS = st.builds(mangled, st.just(GOOD_META.encode()), st.integers(0, 200), st.binary(max_size=6))
NAMES = st.sampled_from([FILE, "current.jsonl", "messages_2026-11-24_13-52-1.jsonl", "logs", "x"])
ENTRIES = st.lists(
    st.tuples(NAMES, st.sampled_from(["file", "folder", "link", "pipe"])), max_size=3
)


@settings(max_examples=40, deadline=None)
@given(meta=METAS, entries=ENTRIES, name=st.sampled_from(["a", "A", "-", "a b", "é", "a" * 64]))
def test_any_folder_is_reported_and_does_not_stop_the_others(
    tmp_path_factory: pytest.TempPathFactory,
    meta: bytes,
    entries: list[tuple[str, str]],
    name: str,
) -> None:
    move = Move(tmp_path_factory.mktemp("any"))
    move.add("zz", prompt("x"))
    folder = move.add(name, path="/x")
    (folder / "metadata.json").write_bytes(meta)
    for entry, kind in entries:
        place = folder / "logs" / entry
        if not os.path.lexists(place):
            make_entry(place, kind)
    ran = move.run("--json")
    assert isinstance(ran.exception, SystemExit) and ran.exit_code in (0, 1), ran.output
    report = by_id(ran)
    assert report["zz"]["result"] == "imported"
    assert report[name]["result"] in ("history kept", "not imported", "failed")
    assert report[name]["notes"]
    (found,) = ProjectStore(DataLayout(move.data)).load_all()
    assert isinstance(found, ProjectMeta) and found.project_id == "zz"


def make_entry(place: Path, kind: str) -> None:
    match kind:
        case "file":
            place.write_bytes(prompt("x") + b"\n")
        case "folder":
            place.mkdir()
        case "link":
            place.symlink_to("nowhere")
        case "pipe":
            os.mkfifo(place)


# -- beside a running server


def test_a_file_that_grows_is_read_as_far_as_it_reached(tmp_path: Path) -> None:
    file = tmp_path / FILE
    file.write_bytes(b"one\ntwo\nthr")
    lines = lines_of(file, 100)
    assert next(lines).data == b"one"
    with open(file, "ab") as more:
        more.write(b"ee\nfour\n")
    assert [(line.data, line.is_torn) for line in lines] == [(b"two", False), (b"thr", True)]
    again = [(line.data, line.end) for line in lines_of(file, 100, 8)]
    assert again == [(b"three", 14), (b"four", 19)]


class OlderServer(threading.Thread):
    """Writes prompts 0, 1, 2 … as fast as it can, each in two pieces; begins a new file now and
    then, and replaces the metadata."""

    LINES, LINES_OF_FILE = 8_000, 1_000

    def __init__(self, move: Move) -> None:
        super().__init__()
        self.folder = move.source / "projects" / "a"
        self.written = 0
        self.is_to_end = threading.Event()
        self.was_read = threading.Event()  # it outlives the first import

    def run(self) -> None:
        meta = (self.folder / "metadata.json").read_bytes()
        fd = -1
        for number in range(self.LINES):
            if number == self.LINES - 1_000:
                self.was_read.wait(TIMEOUT_S)
            if self.is_to_end.is_set():
                break
            if number % self.LINES_OF_FILE == 0:
                if fd >= 0:
                    os.close(fd)
                name = f"messages_2026-11-24_13-{number // self.LINES_OF_FILE:02d}-00.jsonl"
                fd = os.open(self.folder / "logs" / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
                (self.folder / ".tmp-1").write_bytes(meta)
                (self.folder / ".tmp-1").rename(self.folder / "metadata.json")
            raw = prompt(str(number)) + b"\n"
            os.write(fd, raw[:50])
            os.write(fd, raw[50:])
            self.written = number + 1
        os.close(fd)


def test_beside_a_running_server_an_import_has_all_up_to_some_line(move: Move) -> None:
    move.add("a")
    server = OlderServer(move)
    server.start()
    try:
        taken = []
        for number in range(3):
            wait_until(lambda least=500 * number: server.written > least)  # type: ignore[misc]
            least = server.written
            move.data = move.scratch / str(number)
            report = move.works()["a"]
            assert set(report["skipped"]) <= {CUT_OFF} and sum(report["skipped"].values()) <= 1
            asked = [r["data"]["prompt"] for r in move.records("a") if r["seq"] % 3 == 1]
            assert asked == [str(n) for n in range(report["lines"])]
            assert report["lines"] >= least
            taken.append(report["lines"])
            server.was_read.set()
    finally:
        server.was_read.set()
        server.is_to_end.set()
        server.join()
    assert taken == sorted(taken)
    assert taken[0] < server.written
    move.data = move.scratch / "0"
    assert taken[0] + move.works()["a"]["since"] == server.written


def test_a_file_that_is_cut_meanwhile_ends_there(tmp_path: Path) -> None:
    file = tmp_path / FILE
    file.write_bytes(b"one\n" + b"x" * 1_000_000 + b"\n")
    lines = lines_of(file, 2_000_000)
    assert next(lines).data == b"one"
    os.truncate(file, 300_000)
    assert [line.is_torn for line in lines] == [True]


@pytest.mark.parametrize("length", [1, 7, 8, 9, 40])
def test_lines_are_cut_where_they_end_whatever_is_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    monkeypatch.setattr("storage.old_data.READ_BYTES", length)
    file = tmp_path / FILE
    file.write_bytes(b"a\n\n" + b"b" * 8 + b"\n" + b"c" * 9 + b"\nd")
    found = [(line.number, line.end, line.data, line.is_torn) for line in lines_of(file, 8)]
    assert found == [
        (1, 2, b"a", False),
        (2, 3, b"", False),
        (3, 12, b"b" * 8, False),
        (4, 22, None, False),
        (5, 23, b"d", True),
    ]


# -- kill -9


def test_a_killed_import_goes_on_and_gives_the_same(move: Move) -> None:
    lines = [said(n % 60, text="x" * 2000) for n in range(2000)]
    for name in ("a", "b", "c"):
        move.add(name, prompt("x"), *lines, ended())
    command = ["import", str(move.source), "--data-dir", str(move.data)]
    began = move.data / "projects" / ".import" / "b" / "log"
    home = {**os.environ, "XDG_CONFIG_HOME": str(move.scratch)}
    process = spawn(*command, "--project-roots", str(move.roots), env=home)
    try:
        wait_until(began.is_dir)
        process.kill()
        assert process.wait(TIMEOUT_S) == -signal.SIGKILL
    finally:
        process.kill()
        process.communicate()
    assert (move.data / "projects" / "a").is_dir()
    assert not (move.data / "projects" / "c").exists()
    assert move.works()["a"]["result"] == "imported before"
    interrupted = move.tree()
    shutil.rmtree(move.data)
    move.works()
    assert interrupted == move.tree()


def test_the_progress_counts_every_byte(move: Move) -> None:
    folder = move.add("a", prompt("x"), b"junk", b"y" * 2000)
    move.write("a", b"half a li")
    read: list[int] = []
    taker = Taker(move.source, 1000, 1000, read.append)
    (old,) = old_projects(move.source)
    taker.count(Planned(old, Fate.IMPORT))
    assert sum(read) == size_bytes(old) == (folder / "logs" / FILE).stat().st_size


def test_what_a_killed_import_left_goes_at_the_next_start_of_a_hub(scratch: Path) -> None:
    layout = DataLayout(scratch / "data")
    layout.create()
    (layout.staging / "half" / "log").mkdir(parents=True)
    hub = HubProcess(scratch).start()
    with hub.client() as client:
        assert client.request("project_list")["projects"] == []
    assert hub.stop() == 0
    assert not list(layout.staging.glob("*"))


def test_two_imports_do_not_meet(move: Move) -> None:
    move.add("a", prompt("x"))
    layout = DataLayout(move.data)
    layout.create()
    fd = os.open(move.data / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(fd, fcntl.LOCK_EX)
    try:
        assert move.run().exit_code == 1
    finally:
        os.close(fd)
    assert move.works()["a"]["result"] == "imported"
