"""What survives: kill -9, a stop, a crash of the agent's host; and what a deletion leaves."""

import json
import os
import shutil
import signal
import stat
from pathlib import Path
from typing import Any

import psutil
import pytest
from websockets.exceptions import ConnectionClosed

from tests.harness import HubProcess, WireClient
from tests.processes import wait_until


def logged(updates: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [u for u in updates if "seq" in u]


def strays(hub: HubProcess) -> list[psutil.Process]:
    data_id = (hub.data / "id").read_text()
    found = []
    for process in psutil.process_iter():
        try:
            mark = process.environ().get("CLAUDEHUB_PROCESS_ID", "")
        except psutil.Error:
            continue
        if mark.startswith(data_id) and process.status() != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def test_a_hub_on_a_copy_of_the_data_leaves_the_agents_of_the_original_alone(
    scratch: Path,
) -> None:
    (scratch / "other").mkdir()
    hub, copy = HubProcess(scratch).start(), HubProcess(scratch / "other")
    with hub.client() as client:
        client.request("project_create", path=hub.folder("p"))
        client.request("project_join", project_id="p")
        client.request("execute", project_id="p", prompt="[[text:begun]][[hang]]")
        client.wait_for("claude")
        agents = strays(hub)
        assert agents
        shutil.copytree(hub.data, copy.data, dirs_exist_ok=True)
        copy.start()
        assert "data folder is a copy" in copy.errors.read_text()
        assert all(agent.is_running() for agent in agents)
        assert copy.stop() == 0
    assert hub.stop() == 0


def test_kill_9_during_a_stream_loses_nothing_that_clients_saw(scratch: Path) -> None:
    hub = HubProcess(scratch).start()
    with hub.client() as one, hub.client() as other:
        one.request("project_create", path=hub.folder("p"))
        log_id = one.request("project_join", project_id="p")["log_id"]
        other.request("project_join", project_id="p")
        prompt = "[[stubborn]][[doublefork]][[lines:100000]][[pace:0.001]]"
        running = one.request("execute", project_id="p", prompt=prompt)["execution_id"]
        waiting = one.request("execute", project_id="p", prompt="later")["execution_id"]
        while len(one.updates) < 300:
            one.updates.append(one.receive()["payload"])
        hub.kill_with_guardian()
        with pytest.raises(ConnectionClosed):
            while True:
                one.updates.append(one.receive()["payload"])
        with pytest.raises(ConnectionClosed):
            while True:
                other.updates.append(other.receive()["payload"])
    seen = logged(one.updates)
    assert strays(hub)

    hub.start()
    wait_until(lambda: strays(hub) == [])  # but for the CLI that is asked for its version
    assert "left behind" in hub.errors.read_text()
    with hub.client() as client:
        last = seen[-1]["seq"]
        client.request("project_join", project_id="p", after_seq=last, log_id=log_id)
        for execution_id in (running, waiting):
            end = client.wait_for("execution_finished", execution_id=execution_id)
            assert end["data"]["outcome"] == "lost"
            assert end["data"]["result"] is None
        rest = logged(client.take())
        assert [u["seq"] for u in rest] == list(range(last + 1, rest[-1]["seq"] + 1))
        history = whole_history(client)
        assert history[: len(seen)] == seen
        assert history[len(seen) :] == rest
        assert logged(other.updates) == history[: len(logged(other.updates))]
        project = client.request("project_list")["projects"][0]
        assert (project["status"], project["queue"]) == ("idle", [])
        assert client.run("p", "again")["outcome"] == "success"
    assert hub.stop() == 0


def whole_history(client: WireClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        after = found[-1]["seq"] if found else 0
        page = client.request("get_messages", project_id="p", after_seq=after, limit=1000)
        found += page["messages"]
        if not page["more"]:
            return found


def test_a_stop_ends_executions_and_closes_in_order(scratch: Path) -> None:
    hub = HubProcess(scratch).start()
    with hub.client() as client:
        client.request("project_create", path=hub.folder("p"))
        client.request("project_join", project_id="p")
        running = client.request("execute", project_id="p", prompt="[[hang]][[grandchild]]")
        waiting = client.request("execute", project_id="p", prompt="later")
        client.wait_for("claude")
        assert hub.stop(signal.SIGTERM) == 0
        ends: dict[str, str] = {}
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                update = client.receive()["payload"]
                if update["update_type"] == "execution_finished":
                    ends[update["data"]["execution_id"]] = update["data"]["outcome"]
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
        assert ends == {running["execution_id"]: "killed", waiting["execution_id"]: "cancelled"}
    assert strays(hub) == []
    meta = json.loads((hub.data / "projects" / "p" / "meta.json").read_text())
    assert meta["log"]["clean"] is not None

    hub.start()
    with hub.client() as client:
        history = whole_history(client)
        finished = [u for u in history if u["update_type"] == "execution_finished"]
        assert len(finished) == 2
        assert client.run_after_join("p", "x")["outcome"] == "success"
    assert hub.stop(signal.SIGINT) == 0


def test_projects_and_sessions_survive(scratch: Path) -> None:
    hub = HubProcess(scratch).start()
    with hub.client() as client:
        client.request("project_create", path=hub.folder("p"), name="Mine")
        client.request("project_join", project_id="p")
        session_id = client.run("p", "x")["session_id"]
        before = client.request("project_list")["projects"]
    hub.stop(signal.SIGKILL)
    hub.start()
    with hub.client() as client:
        after = client.request("project_list")["projects"]
        assert [p | {"subscribers": 0} for p in before] == after
        client.request("project_join", project_id="p")
        args = json.loads(client.run("p", "[[show:args]]")["result"])
        assert f"--resume={session_id}" in args
    assert hub.stop() == 0


def test_a_torn_tail_is_set_aside_at_the_start(scratch: Path) -> None:
    hub = HubProcess(scratch).start()
    with hub.client() as client:
        client.request("project_create", path=hub.folder("p"))
        client.request("project_join", project_id="p")
        client.run("p", "x")
        seen = logged(client.updates)
    hub.stop(signal.SIGKILL)
    segment = next(hub.data.glob("projects/p/log/*.jsonl"))
    with open(segment, "ab") as file:
        file.write(b'{"crc":"00000000","seq":99,"timest')
    hub.start()
    assert "set aside project=p size_bytes=34 " in hub.errors.read_text()
    torn = list(segment.parent.glob("*.torn-*"))
    assert [t.read_bytes() for t in torn] == [b'{"crc":"00000000","seq":99,"timest']
    with hub.client() as client:
        assert whole_history(client) == seen
        end = client.run_after_join("p", "y")
        assert end["outcome"] == "success"
        assert whole_history(client)[: len(seen)] == seen
    assert hub.stop() == 0


def test_damage_is_a_gap_to_readers_and_a_problem_in_health_check(scratch: Path) -> None:
    hub = HubProcess(scratch, MSG_ROTATE_SIZE="600").start()
    with hub.client() as client:
        client.request("project_create", path=hub.folder("p"))
        log_id = client.request("project_join", project_id="p")["log_id"]
        for _ in range(5):  # each is a write of its own at least, and each fills a file
            client.run("p", "[[lines:8]]")
        seen = logged(client.updates)
    assert hub.stop() == 0
    files = sorted(hub.data.glob("projects/p/log/*.jsonl"))
    assert len(files) > 3
    damaged = bytearray(files[1].read_bytes())
    first = damaged.index(b'"seq":') + 6
    number = int(damaged[first : damaged.index(b",", first)])
    damaged[first + 30] ^= 1
    files[1].write_bytes(damaged)
    hub.start()
    with hub.client() as client:
        assert client.request("health_check")["status"] == "ok"  # nobody has looked yet
        client.request("project_join", project_id="p", after_seq=0, log_id=log_id)
        gap = client.wait_for("gap")
        assert gap["data"] == {"first_seq": number, "last_seq": number}
        last = seen[-1]["seq"]
        while logged(client.updates)[-1]["seq"] < last:
            client.updates.append(client.receive()["payload"])
        assert logged(client.updates) == [u for u in seen if u["seq"] != number]
        page = client.request("get_messages", project_id="p", after_seq=number - 1, limit=2)
        assert page["messages"][0]["update_type"] == "gap"
        assert page["messages"][1] == next(u for u in seen if u["seq"] == number + 1)
        # The reader's report passes through the project to the hub, before that answer.
        health = client.request("health_check")
        assert health["status"] == "degraded"
        assert f"record {number};" in health["problems"][0]
    assert hub.stop() == 0
    hub.start()
    with hub.client() as client:
        assert client.request("health_check")["status"] == "degraded"  # it is not forgotten
    assert hub.stop() == 0


def test_files_are_private(scratch: Path) -> None:
    hub = HubProcess(scratch).start()
    with hub.client() as client:
        client.request("project_create", path=hub.folder("p"))
        client.run_after_join("p", "x")
    assert hub.stop() == 0  # from here on nothing is written beside its place and renamed
    for path in [hub.data, *hub.data.rglob("*")]:
        wanted = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path


def test_a_second_server_is_refused_and_names_the_first(scratch: Path) -> None:
    hub = HubProcess(scratch).start()
    second = HubProcess(scratch)
    second.errors = scratch / "second"
    with pytest.raises(AssertionError, match=rf"pid {hub.pid}\b"):
        second.start()
    assert second.stop() == 1
    assert hub.stop() == 0


def test_a_deleted_project_is_gone_and_its_folder_is_not(hub: HubProcess) -> None:
    folder = Path(hub.folder("deleted"))
    (folder / "mine").write_text("x")
    with hub.client() as client, hub.client() as watcher:
        client.request("project_create", path=str(folder))
        for each in (client, watcher):
            each.request("project_join", project_id="deleted")
        client.request("execute", project_id="deleted", prompt="[[hang]]")
        client.wait_for("claude")
        assert client.request("project_delete", project_id="deleted") == {"project_id": "deleted"}
        assert client.refused("project_join", project_id="deleted")["code"] == "project_not_found"
        # Making it again waits for the deletion that is under way.
        made = client.request("project_create", path=str(folder))["project"]
        assert (made["project_id"], made["last_seq"]) == ("deleted", 0)
        end = watcher.wait_for("execution_finished")
        assert end["data"]["outcome"] == "killed"
        gone = watcher.wait_for("project_deleted")
        assert gone["data"]["by"] == client.welcome["client_id"]
        assert (folder / "mine").read_text() == "x"
        assert not list(hub.data.glob("trash/*"))


def test_a_project_with_the_same_id_and_folder_continues_a_kept_history(hub: HubProcess) -> None:
    with hub.client() as client:
        path = hub.folder("p")
        client.request("project_create", path=path)
        client.request("project_join", project_id="p")
        client.run("p", "x")
        seen = logged(client.updates)
        client.take()
        log_id = client.request("get_messages", project_id="p")["log_id"]
        client.request("project_delete", project_id="p", keep_history=True)

        other = hub.folder("other")
        made = client.request("project_create", path=other, project_id="p")["project"]
        assert made["last_seq"] == 0
        client.request("project_delete", project_id="p")

        made = client.request("project_create", path=path, project_id="p")["project"]
        assert made["last_seq"] == seen[-1]["seq"]
        assert made["session_id"] is None
        assert client.request("get_messages", project_id="p")["log_id"] == log_id
        assert whole_history(client) == seen


def test_metadata_that_cannot_be_read_deletes_nothing(scratch: Path) -> None:
    hub = HubProcess(scratch).start()
    with hub.client() as client:
        for name in ("p", "q"):
            client.request("project_create", path=hub.folder(name))
        client.run_after_join("p", "x")
        log_id = client.request("get_messages", project_id="p")["log_id"]
        seen = whole_history(client)
    hub.stop()
    (hub.data / "projects" / "p" / "meta.json").write_text("{")
    for name in ("meta.json", "meta.json.old"):
        (hub.data / "projects" / "q" / name).write_bytes(os.urandom(20))
    hub.start()
    with hub.client() as client:
        listed = {p["project_id"]: p["status"] for p in client.request("project_list")["projects"]}
        assert listed == {"p": "idle", "q": "error"}
        health = client.request("health_check")
        assert health["status"] == "degraded"
        assert "project q" in health["problems"][0]
        assert whole_history(client) == seen
        assert client.request("get_messages", project_id="p")["log_id"] != log_id
        error = client.refused("project_join", project_id="q")
        assert error["code"] == "storage_failed"
    assert (hub.data / "projects" / "q" / "log").exists()
    assert hub.stop() == 0
