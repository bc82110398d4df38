"""The main job over real sockets: create, join, execute, stream, queue, kill, history."""

import base64
import itertools
from pathlib import Path
from typing import Any

import psutil

from tests.harness import HubProcess, WireClient

_numbers = itertools.count(1)


def make(hub: HubProcess, client: WireClient) -> str:
    """Create a project whose name no other test has."""
    answer = client.request("project_create", path=hub.folder(f"p{next(_numbers)}"))
    project_id: str = answer["project"]["project_id"]
    return project_id


def listed(client: WireClient, project_id: str) -> dict[str, Any]:
    """What project_list says of it."""
    projects = client.request("project_list")["projects"]
    (found,) = [project for project in projects if project["project_id"] == project_id]
    info: dict[str, Any] = found
    return info


def kinds(client: WireClient) -> list[str]:
    return [update["update_type"] for update in client.updates if "seq" in update]


def test_welcome_names_the_server_and_its_limits(hub: HubProcess) -> None:
    with hub.client() as client:
        assert client.welcome["server"].startswith("claudehub/")
        assert client.welcome["protocol"] == 1
        assert client.welcome["protocols"] == [1]
        assert client.welcome["auth"] is None
        assert client.welcome["heartbeat_seconds"] == 30
        assert client.welcome["max_message_bytes"] == 1024 * 1024


def test_a_prompt_reaches_every_client_in_order_and_numbered(hub: HubProcess) -> None:
    with hub.client() as one, hub.client() as other:
        project_id = make(hub, one)
        for client in (one, other):
            client.request("project_join", project_id=project_id)
        end = one.run(project_id, "[[deltas:2:3]]")
        other.wait_for("execution_finished")

        assert end["outcome"] == "success"
        assert end["result"] == "xxxxxx"
        assert end["cost_usd"] == 0.25
        assert kinds(one)[0] == "prompt"
        assert kinds(one)[1] == "execution_started"
        assert kinds(one)[-1] == "execution_finished"
        assert set(kinds(one)[2:-1]) == {"claude"}
        seqs = [update["seq"] for update in one.updates if "seq" in update]
        assert seqs == list(range(1, len(seqs) + 1))
        assert one.updates == other.updates
        deltas = [u for u in one.updates if "delta" in str(u["data"].get("event", {}).get("type"))]
        assert len(deltas) == 3 and "seq" not in deltas[0]


def test_prompts_wait_for_their_turn(hub: HubProcess, scratch: Path) -> None:
    go = scratch / "go"
    with hub.client() as client:
        project_id = make(hub, client)
        client.request("project_join", project_id=project_id)
        first = client.request("execute", project_id=project_id, prompt=f"[[wait:{go}]]")
        client.wait_for("execution_started", execution_id=first["execution_id"])
        second = client.request("execute", project_id=project_id, prompt="[[text:TWO]]")
        assert (first["state"], first["position"]) == ("started", 0)
        assert (second["state"], second["position"]) == ("queued", 1)
        info = listed(client, project_id)
        assert info["status"] == "executing"
        assert info["execution_id"] == first["execution_id"]
        assert [e["execution_id"] for e in info["queue"]] == [second["execution_id"]]
        go.touch()
        client.wait_for("execution_finished", execution_id=second["execution_id"])
        order = [k for k in kinds(client) if k != "claude"]
        assert order == [
            "prompt",
            "execution_started",
            "prompt",
            "execution_queued",
            "execution_finished",
            "execution_started",
            "execution_finished",
        ]


def test_a_queued_prompt_is_cancelled_and_a_running_one_killed(hub: HubProcess) -> None:
    with hub.client() as client:
        project_id = make(hub, client)
        client.request("project_join", project_id=project_id)
        running = client.request("execute", project_id=project_id, prompt="[[hang]]")
        queued = client.request("execute", project_id=project_id, prompt="later")
        answer = client.request(
            "agent_kill", project_id=project_id, execution_id=queued["execution_id"]
        )
        assert answer == {"execution_id": queued["execution_id"]}
        end = client.wait_for("execution_finished", execution_id=queued["execution_id"])
        assert end["data"]["outcome"] == "cancelled"
        assert end["data"]["result"] is None
        client.wait_for("claude")
        client.request("agent_kill", project_id=project_id)
        end = client.wait_for("execution_finished", execution_id=running["execution_id"])
        assert end["data"]["outcome"] == "killed"
        assert end["data"]["exit_code"] == 128 + 15
        assert client.refused("agent_kill", project_id=project_id)["code"] == "nothing_running"


def test_the_time_limit_ends_a_stubborn_agent_and_its_grandchildren(share_hub) -> None:
    hub = share_hub(EXEC_TIMEOUT="1500ms", KILL_GRACE="200ms")
    with hub.client() as client:
        project_id = make(hub, client)
        client.request("project_join", project_id=project_id)
        end = client.run(project_id, "[[stubborn]][[grandchild]][[doublefork]][[hang]]")
        assert end["outcome"] == "timeout"
        assert end["exit_code"] == 128 + 9
        assert "time limit" in end["result"]


def test_a_grandchild_with_the_pipe_open_does_not_delay_the_end(hub: HubProcess) -> None:
    with hub.client() as client:
        project_id = make(hub, client)
        client.request("project_join", project_id=project_id)
        assert client.run(project_id, "[[grandchild]]")["outcome"] == "success"


def test_a_child_without_an_environment_does_not_outlive_its_execution(hub: HubProcess) -> None:
    with hub.client() as client:
        project_id = make(hub, client)
        client.request("project_join", project_id=project_id)
        assert client.run(project_id, "[[naked]]")["outcome"] == "success"
        said = next(u for u in client.updates if "pid " in str(u["data"]))
        pid = int(said["data"]["message"]["content"][0]["text"].split()[1])
        assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie"


def test_a_lingering_agent_is_ended_and_its_result_stands(share_hub) -> None:
    hub = share_hub(EXEC_TIMEOUT="1500ms", KILL_GRACE="200ms")
    with hub.client() as client:
        project_id = make(hub, client)
        client.request("project_join", project_id=project_id)
        end = client.run(project_id, "[[linger]][[text:DONE]]")
        assert (end["outcome"], end["result"]) == ("success", "DONE")


def test_failures_of_the_agent_reach_the_client(hub: HubProcess) -> None:
    with hub.client() as client:
        project_id = make(hub, client)
        client.request("project_join", project_id=project_id)
        end = client.run(project_id, "[[exit:3]][[stderr:something broke]]")
        assert (end["outcome"], end["exit_code"]) == ("error", 3)
        assert end["stderr"] == "something broke"
        end = client.run(project_id, "[[error]]")
        assert (end["outcome"], end["result"]) == ("error", "API Error: 400")
        client.take()
        end = client.run(project_id, "[[torn:half a line]]")
        assert end["outcome"] == "error"
        texts = [u["data"] for u in client.updates if u["update_type"] == "claude_text"]
        assert texts == [{"text": "half a line"}]


def test_lines_pass_unchanged_or_as_text(start_hub) -> None:
    hub = start_hub(MAX_LINE_BYTES="2000")
    lines = [
        b'{"type":"new_kind","a":1.50,"b":"\\ud800"}',
        b"not json",
        b"\xff\xfe",
        b'{"x":"' + b"y" * 3000 + b'"}',
        b"[1]",
        b"",
        '{"u":"\u2028 \u00e9"}'.encode(),
    ]
    raw = base64.b64encode(b"\n".join(lines) + b"\n").decode()
    with hub.client() as client:
        project_id = make(hub, client)
        client.request("project_join", project_id=project_id)
        client.run(project_id, f"[[raw:{raw}]]")
        texts = [u["data"] for u in client.updates if u["update_type"] == "claude_text"]
        assert texts[0] == {"text": "not json"}
        assert texts[1] == {"text": "\ufffd\ufffd"}
        assert texts[2]["truncated"] is True
        assert texts[2]["size_bytes"] == 3008
        assert texts[3] == {"text": "[1]"}
        passed = [u["data"] for u in client.updates if u["update_type"] == "claude"]
        assert {"type": "new_kind", "a": 1.5, "b": "\ud800"} in passed
        assert {"u": "\u2028 \u00e9"} in passed
    stored = b"".join(p.read_bytes() for p in hub.data.glob("projects/*/log/*.jsonl"))
    assert b'"data":{"type":"new_kind","a":1.50,"b":"\\ud800"}}\n' in stored


def test_any_prompt_is_just_text(hub: HubProcess) -> None:
    with hub.client() as client:
        project_id = make(hub, client)
        client.request("project_join", project_id=project_id)
        for prompt in (
            "--dangerously-skip-permissions",
            "-p",
            "a\nb\u2028c\r\n",
            "\x01\x02\ufffe",
            "x" * 900_000,
        ):
            end = client.run(project_id, prompt)
            assert end["outcome"] == "success", prompt[:20]
            sent = [u for u in client.take() if u["update_type"] == "prompt"]
            assert sent[0]["data"]["prompt"] == prompt
