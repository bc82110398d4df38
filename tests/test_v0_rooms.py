"""Clients of version 0 and of version 1 in one room: they see one truth."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.harness import HubProcess, WireClient
from tests.processes import wait_until
from tests.sockets import UPGRADE, close_of, frame, raw, read_all, read_until
from tests.v0_client import Client0, Frame

StartHub = Callable[..., HubProcess]
ASKS = "[[tool:Bash:touch made]]"


@pytest.fixture
def hub(start_hub: StartHub) -> HubProcess:
    return start_hub(PROTOCOL_V0="on")


def lines(frames: list[Frame]) -> list[Any]:
    return [frame["data"] for frame in frames if frame["type"] == "agent_message"]


def test_both_see_the_same_lines_in_the_same_order(hub: HubProcess) -> None:
    with hub.client() as current, Client0(hub) as older, Client0(hub) as other:
        project_id = older.create(hub.folder("p"))
        older.join(project_id)
        other.join(project_id)
        current.request("project_join", project_id=project_id)
        older.send("execute", prompt="[[lines:50]]")
        mine = older.until("project_state", state="IDLE")
        assert [f["type"] for f in mine[:2]] == ["project_state", "execute"]
        assert [f for f in mine if f["type"] != "execute"] == other.until(
            "project_state", state="IDLE"
        )
        current.wait_for("execution_finished", outcome="success")
        shown = [u["data"] for u in current.updates if u["update_type"] == "claude"]
        bare = [u["data"]["event"] for u in current.updates if u["update_type"] == "claude_delta"]
        assert [line for line in lines(mine) if line not in bare] == shown[: len(shown)]
        prompt = next(u["data"] for u in current.updates if u["update_type"] == "prompt")
        assert prompt["prompt"] == "[[lines:50]]"


def test_the_history_is_one(hub: HubProcess) -> None:
    with hub.client() as current, Client0(hub) as older:
        project_id = older.create(hub.folder("h"))
        older.join(project_id)
        for text in ("one", "two"):
            older.send("execute", prompt=text)
            older.wait_for("project_state", state="IDLE")
        updates = current.request("get_messages", project_id=project_id, limit=1000)["messages"]
        wanted = [u for u in updates if u["update_type"] in ("prompt", "claude")]
        older.send("get_messages", limit=1000)
        answer = older.wait_for("get_messages")["data"]
        assert answer["metadata"]["total"] == len(wanted) == len(answer["messages"])
        for record, update in zip(answer["messages"], wanted, strict=True):
            assert record["timestamp"] == update["timestamp"]
            if update["update_type"] == "prompt":
                assert record["message"]["content"] == {"text": update["data"]["prompt"]}
            else:
                assert record["message"]["content"] == update["data"]
        pages: list[Any] = []
        while len(pages) < len(wanted):
            older.send("get_messages", limit=3, offset=len(pages))
            page = older.wait_for("get_messages")["data"]
            pages += page["messages"]
            assert page["metadata"]["has_more"] is (len(pages) < len(wanted))
        assert pages == answer["messages"]
        since = answer["messages"][4]["timestamp"]
        older.send("get_messages", since=since, direction="claude")
        later = older.wait_for("get_messages")["data"]["messages"]
        behind = [r for r in answer["messages"] if r["timestamp"] > since]
        assert later == [r for r in behind if r["direction"] == "claude"] and later


def test_a_queue_of_version_1_is_invisible(hub: HubProcess) -> None:
    with hub.client() as current, Client0(hub) as older:
        project_id = older.create(hub.folder("q"))
        older.join(project_id)
        current.request("project_join", project_id=project_id)
        go = hub.scratch / "go"
        current.request("execute", project_id=project_id, prompt=f"[[wait:{go}]]")
        current.request("execute", project_id=project_id, prompt="second")
        older.wait_for("project_state", state="EXECUTING")
        older.send("execute", prompt="third")
        assert older.wait_for("error")["data"]["code"] == "PROCESS_ACTIVE"
        go.touch()
        states = [
            frame["data"]["state"]
            for frame in older.until("project_state", state="IDLE")
            if frame["type"] == "project_state"
        ]
        assert states == ["IDLE"]
        ended = [u for u in current.updates if u["update_type"] == "execution_finished"]
        while len(ended) < 2:
            ended.append(current.wait_for("execution_finished"))
        older.send("execute", prompt="now")
        assert older.wait_for("execute")["data"]["status"] == "started"


def test_what_one_does_the_other_sees(hub: HubProcess) -> None:
    with hub.client() as current, Client0(hub) as older:
        project_id = older.create(hub.folder("d"))
        older.join(project_id)
        current.request("project_join", project_id=project_id)
        older.send("execute", prompt="[[hang]]")
        started = current.wait_for("execution_started")["data"]
        current.request("agent_kill", project_id=project_id)
        frames = older.until("process_killed")
        assert [f["type"] for f in frames[-2:]] == ["project_state", "process_killed"]
        end = current.wait_for("execution_finished")["data"]
        assert (end["execution_id"], end["outcome"]) == (started["execution_id"], "killed")
        current.request("project_delete", project_id=project_id)
        assert older.wait_for("project_deleted")["data"]["reason"] == "project_deleted"
        current.wait_for("project_deleted")
        older.send("execute", prompt="x")
        assert older.wait_for("error")["data"]["code"] == "PROJECT_NOT_FOUND"


@pytest.mark.parametrize("is_watched", [True, False])
def test_a_question_is_denied_at_once_where_nobody_could_answer(
    hub: HubProcess, is_watched: bool
) -> None:
    """PERMISSION_TIMEOUT is two minutes, longer than this test waits."""
    with hub.client() as current, Client0(hub) as older:
        project_id = older.create(hub.folder(f"asks{is_watched}"))
        older.join(project_id)
        if is_watched:
            current.request("project_join", project_id=project_id)
        older.send("execute", prompt=ASKS)
        if is_watched:
            question = current.wait_for("permission_request")["data"]
            answer = {"permission_id": question["permission_id"], "decision": "allow"}
            current.request("permission_answer", project_id=project_id, **answer)
        end = older.until("project_state", state="IDLE")
        assert not [f for f in end if f["type"].startswith("permission")]
        updates = current.request("get_messages", project_id=project_id)["messages"]
        resolved = [u["data"] for u in updates if u["update_type"] == "permission_resolved"]
        assert [r["decision"] for r in resolved] == ["allow" if is_watched else "deny"]
        denied = "Nobody is there who could answer" in json.dumps(lines(end))
        assert denied is not is_watched


def test_a_question_is_denied_when_the_last_who_could_answer_leaves(hub: HubProcess) -> None:
    with hub.client() as current, Client0(hub) as older:
        project_id = older.create(hub.folder("left"))
        older.join(project_id)
        current.request("project_join", project_id=project_id)
        older.send("execute", prompt=ASKS)
        current.wait_for("permission_request")
        current.request("project_leave", project_id=project_id)
        end = older.until("project_state", state="IDLE")
        assert "Nobody is there who could answer" in json.dumps(lines(end))


def test_a_kill_in_the_same_breath_is_told(hub: HubProcess) -> None:
    """The CLI never had the prompt: version 1 calls such an execution cancelled."""
    with Client0(hub) as older:
        project_id = older.create(hub.folder("breath"))
        older.join(project_id)
        older.send("execute", prompt="[[hang]]")
        older.send("agent_kill")
        frames = older.until("agent_kill")
        told = [f["type"] for f in frames if f["type"] not in ("agent_message", "project_update")]
        assert [kind for kind in told if kind != "execute"] == [
            "project_state",
            "project_state",
            "process_killed",
            "agent_kill",
        ]


def test_a_kill_that_comes_too_late_finds_nothing(hub: HubProcess) -> None:
    with Client0(hub) as older:
        project_id = older.create(hub.folder("late"))
        older.join(project_id)
        for _ in range(10):
            older.send("execute", prompt="x")
            older.wait_for("agent_message", type="result")
            older.send("agent_kill")
            frames: list[Frame] = []
            while not frames or frames[-1]["type"] not in ("agent_kill", "error"):
                frames.append(older.receive())
            was_killed = "process_killed" in [frame["type"] for frame in frames]
            assert (frames[-1]["type"] == "agent_kill") is was_killed
            if not was_killed:
                assert frames[-1]["data"]["code"] == "PROCESS_NOT_FOUND"


def test_a_question_of_a_version_1_prompt_waits_for_its_asker(hub: HubProcess) -> None:
    """Somebody who can answer has asked for the execution, and may come back."""
    with hub.client() as current, Client0(hub) as older:
        project_id = older.create(hub.folder("waits"))
        older.join(project_id)
        current.request("execute", project_id=project_id, prompt=ASKS)
        older.wait_for("project_state", state="EXECUTING")

        def pending() -> list[Any]:
            projects = current.request("project_list")["projects"]
            found = next(p for p in projects if p["project_id"] == project_id)
            return list(found["pending_permissions"])

        wait_until(lambda: bool(pending()))
        current.request("agent_kill", project_id=project_id)


def test_requests_need_not_wait_for_one_another(hub: HubProcess) -> None:
    with Client0(hub) as older:
        older.send("project_create", path=hub.folder("quick"))
        project_id = older.receive()["project_id"]
        older.send("project_join", project_id=project_id)
        older.send("execute", prompt="x")
        older.send("execute", prompt="y")
        older.send("project_list")
        frames = older.until("project_list")
        answers = [
            f["type"] for f in frames if f["type"] not in ("agent_message", "project_update")
        ]
        assert answers[:4] == ["project_state", "project_join", "project_state", "execute"]
        assert [f["data"].get("code") for f in frames if f["type"] == "error"] in (
            ["PROCESS_ACTIVE"],
            [],  # the first one had ended
        )


def test_whoever_does_not_read_holds_nobody_up(start_hub: StartHub) -> None:
    """The slow client is closed with 1013; the others, of both versions, get everything."""
    hub = start_hub(PROTOCOL_V0="on", SLOW_CLIENT_BYTES="1MiB")
    with (
        hub.client() as current,
        Client0(hub) as older,
        raw(hub, receive_buffer=64 * 1024) as slow,
    ):
        slow.sendall(UPGRADE.replace(b"GET / ", b"GET /ws "))
        read_until(slow, b"\r\n\r\n")
        project_id = older.create(hub.folder("s"))
        older.join(project_id)
        current.request("project_join", project_id=project_id)
        join = {"type": "project_join", "data": {"project_id": project_id}}
        slow.sendall(frame(1, json.dumps(join).encode()))
        read_until(slow, b'"project_join"')
        older.send("execute", prompt="[[lines:10000]][[pace:0.00005]]")
        count = 0
        while "it reads too slowly" not in hub.errors.read_text():
            count += older.receive()["type"] == "agent_message"
        assert close_of(read_all(slow))[0] == 1013
        count += len(lines(older.until("project_state", state="IDLE")))
        current.wait_for("execution_finished", outcome="success")
        shown = ("claude", "claude_delta")
        assert count == len([u for u in current.updates if u["update_type"] in shown])


def project_of(current: WireClient, project_id: str) -> dict[str, Any]:
    found: dict[str, Any] = next(
        p for p in current.request("project_list")["projects"] if p["project_id"] == project_id
    )
    return found


def test_a_project_of_version_0_is_trusted_as_the_setting_says(start_hub: StartHub) -> None:
    hub = start_hub(PROTOCOL_V0="on", TRUST_PROJECTS="ask")
    folder = Path(hub.folder("t"))
    (folder / ".claude").mkdir()
    (folder / ".claude" / "settings.json").write_text("{}")
    with hub.client() as current, Client0(hub) as older:
        project_id = older.create(str(folder))
        assert project_of(current, project_id)["trusted"] is False
