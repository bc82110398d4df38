"""What docs/protocol.md says to writers of clients, tried: its tables, its frames of questions and
plans, and the orders that it promises. The recipe is in test_protocol_recipe.py."""

import base64
import json
import re
from typing import Any

import pytest

from protocol.errors import ErrorCode
from protocol.updates import Outcome, ProjectStatus
from tests.fences import fences
from tests.harness import ROOT, HubProcess, WireClient
from tests.test_documents import values

PAGE = ROOT / "docs" / "protocol.md"


def section(title: str) -> str:
    """Return what stands below a heading, up to the next one of its level."""
    (level,) = re.findall(rf"(?m)^(#+) {re.escape(title)}$", PAGE.read_text())
    text = PAGE.read_text().split(f"\n{level} {title}\n")[1]
    return re.split(rf"(?m)^#{{2,{len(level)}}} ", text)[0]


def rows(title: str) -> list[str]:
    """Return the first cells of the tables of a section, those with code in them."""
    return re.findall(r"(?m)^\| (`[^|]+) \|", section(title))


# -- tables


def test_the_table_of_errors_has_every_code_once() -> None:
    codes = [code for row in rows("Errors") for code in re.findall(r"`(\w+)`", row)]
    assert sorted(codes) == sorted(ErrorCode)


def test_the_table_of_statuses_has_every_value_once() -> None:
    assert rows("The state at the join") == [f"`{status}`" for status in ProjectStatus]


def test_the_table_of_outcomes_has_every_value_once() -> None:
    assert [row for row in rows("Updates") if row.strip("`") in list(Outcome)] == [
        f"`{outcome}`" for outcome in Outcome
    ]


# -- questions and plans


def frames(title: str) -> list[Any]:
    """Return the messages in the blocks of a section."""
    text = section(title)
    return [
        value
        for fence in fences(PAGE)
        if fence.language == "json" and fence.text in text
        for value in values(fence.text)
    ]


def answered(hub: HubProcess, project_id: str, tool: str, given: Any, answer: Any) -> str:
    """Let an agent call a tool, answer with a frame of the page, and return what the tool says."""
    calls = base64.b64encode(json.dumps([[tool, given]]).encode()).decode()
    with hub.client() as client:
        client.request("project_create", path=hub.folder(project_id))
        client.request("project_join", project_id=project_id)
        client.request(
            "execute",
            project_id=project_id,
            prompt=f"[[calls:{calls}]]",
            options={"permission_mode": "plan"},
        )
        asked = client.wait_for("permission_request")["data"]
        assert (asked["tool"], asked["input"]) == (tool, given)
        ids = {"project_id": project_id, "permission_id": asked["permission_id"]}
        client.request("permission_answer", **{**answer["payload"], **ids})
        client.wait_for("execution_finished", outcome="success")
        lines = [u["data"] for u in client.take() if u["data"].get("type") == "user"]
    (result,) = lines[0]["message"]["content"]
    return str(result["content"])


def test_the_answer_of_the_page_answers_the_question_of_the_page(hub: HubProcess) -> None:
    question, answer = frames("A question")
    asked = question["payload"]["data"]
    assert answer["payload"]["permission_id"] == asked["permission_id"]
    assert answer["payload"]["updated_input"].items() >= asked["input"].items()
    told = answered(hub, "question", asked["tool"], asked["input"], answer)
    said = re.search(r"The agent then reads `([^`]+)\.`", section("A question"))
    assert said is not None and told.startswith(said[1].replace("\n", " "))


def test_a_question_that_is_allowed_without_answers_is_not_answered(hub: HubProcess) -> None:
    question, answer = frames("A question")
    asked = question["payload"]["data"]
    del answer["payload"]["updated_input"]
    told = answered(hub, "no-answers", asked["tool"], asked["input"], answer)
    assert told == "The user did not answer the questions."


def test_the_answers_of_the_page_approve_a_plan_and_refuse_it(hub: HubProcess) -> None:
    plan, approval, refusal = frames("A plan")
    assert "approved" in answered(hub, "approved", "ExitPlanMode", plan, approval)
    told = answered(hub, "refused", "ExitPlanMode", plan, refusal)
    assert told == refusal["payload"]["message"]


# -- the state of a project


def apply(project: dict[str, Any], update: dict[str, Any]) -> None:
    """Change a `project` as "What an update changes" says."""
    data, pending = update["data"], project["pending_permissions"]
    match update["update_type"]:
        case "status":
            project["status"] = data["status"]
        case "execution_queued":
            project["queue"].append(data["execution_id"])
        case "execution_started":
            project["execution_id"] = data["execution_id"]
            project["queue"] = [i for i in project["queue"] if i != data["execution_id"]]
        case "execution_finished":
            if project["execution_id"] == data["execution_id"]:
                project["execution_id"] = None
            project["queue"] = [i for i in project["queue"] if i != data["execution_id"]]
        case "permission_request":
            pending.append(data["permission_id"])
        case "permission_resolved":
            pending.remove(data["permission_id"])


def of_ids(project: dict[str, Any]) -> dict[str, Any]:
    """Return what `apply` keeps of a `project`."""
    return {
        "status": project["status"],
        "execution_id": project["execution_id"],
        "queue": [queued["execution_id"] for queued in project["queue"]],
        "pending_permissions": [p["permission_id"] for p in project["pending_permissions"]],
    }


def test_the_updates_keep_the_state_of_the_join_up_to_date(hub: HubProcess) -> None:
    with hub.client() as client:
        client.request("project_create", path=hub.folder("state"))
        kept = of_ids(client.request("project_join", project_id="state")["project"])

        def check() -> dict[str, Any]:
            """Compare what is kept with what the hub says, and return it."""
            for update in client.take():
                apply(kept, update)
            (listed,) = (
                of_ids(project)
                for project in client.request("project_list")["projects"]
                if project["project_id"] == "state"
            )
            assert kept == listed
            return kept

        def run(prompt: str) -> str:
            return str(client.request("execute", project_id="state", prompt=prompt)["execution_id"])

        first = run("[[tool:Bash:touch made.txt]]")
        asked = client.wait_for("permission_request")["data"]["permission_id"]
        second, third = run("[[hang]]"), run("never")
        client.wait_for("execution_queued", execution_id=third)
        assert check() == {
            "status": "executing",
            "execution_id": first,
            "queue": [second, third],
            "pending_permissions": [asked],
        }
        client.request("agent_kill", project_id="state", execution_id=third)
        client.wait_for("execution_finished", execution_id=third)
        assert check()["queue"] == [second]
        client.request(
            "permission_answer", project_id="state", permission_id=asked, decision="deny"
        )
        client.wait_for("execution_started", execution_id=second)
        assert check()["execution_id"] == second
        client.request("agent_kill", project_id="state")
        client.wait_for("status", status="idle")
        assert check()["execution_id"] is None


# -- what the page promises about order


def test_execute_needs_no_join(hub: HubProcess) -> None:
    with hub.client() as client:
        client.request("project_create", path=hub.folder("no-join"))
        client.request("execute", project_id="no-join", prompt="hello")
        page: dict[str, Any] = {"messages": []}
        while "execution_finished" not in [m["update_type"] for m in page["messages"]]:
            page = client.request("get_messages", project_id="no-join")
        assert client.updates == []


def test_the_result_of_a_join_comes_before_its_updates(hub: HubProcess) -> None:
    with hub.client() as client, hub.client() as joiner:
        client.request("project_create", path=hub.folder("order"))
        client.request("execute", project_id="order", prompt="[[lines:300]][[pace:0.001]]")
        joiner.send(
            {"type": "project_join", "payload": {"project_id": "order", "after_seq": 0}, "id": "j"}
        )
        assert joiner.receive()["id"] == "j"
        joiner.wait_for("execution_finished")
        client.request("project_leave", project_id="order")


def test_nothing_comes_after_the_result_of_a_leave(hub: HubProcess) -> None:
    with hub.client() as client, hub.client() as other:
        client.request("project_create", path=hub.folder("leave"))
        client.run_after_join("leave", "[[lines:5000]]")
        for after_seq in (0, None):  # during a replay, and live
            client.request("project_join", project_id="leave", after_seq=after_seq)
            other.request("execute", project_id="leave", prompt="[[lines:200]][[pace:0.001]]")
            client.request("project_leave", project_id="leave")
            client.take()
            client.request("ping")
            other.run_after_join("leave", "last")
            client.request("ping")
            assert client.take() == []


def last_seq(client: WireClient, project_id: str) -> int:
    listed = client.request("project_list")["projects"]
    return next(p["last_seq"] for p in listed if p["project_id"] == project_id)


def test_the_replay_is_over_at_the_last_seq_of_the_join(hub: HubProcess) -> None:
    with hub.client() as client:
        client.request("project_create", path=hub.folder("over"))
        client.run_after_join("over", "hello")
        client.request("project_leave", project_id="over")
        client.take()
        joined = client.request("project_join", project_id="over", last=3)
        while [u.get("seq") for u in client.updates][-1:] != [joined["last_seq"]]:
            client.updates.append(client.receive()["payload"])
        first = joined["last_seq"] - 3 + 1
        assert [u["seq"] for u in client.take()] == [first, first + 1, first + 2]
        again = client.request("project_join", project_id="over", after_seq=joined["last_seq"])
        assert again["last_seq"] == last_seq(client, "over") == joined["last_seq"]
        client.request("ping")
        assert client.take() == []


def test_a_status_that_falls_into_a_replay_is_not_sent(hub: HubProcess) -> None:
    """Whoever shows a status must follow the logged updates, as the page says."""
    with hub.client() as client, hub.client() as joiner:
        client.request("project_create", path=hub.folder("replay"))
        client.run_after_join("replay", "[[lines:30000]]")
        joiner.send({"type": "project_join", "payload": {"project_id": "replay", "after_seq": 0}})
        joiner.reply()  # its replay waits from here on until somebody reads it
        running = client.request("execute", project_id="replay", prompt="[[hang]]")
        joiner.wait_for("execution_started", execution_id=running["execution_id"])
        assert [u for u in joiner.take() if u["update_type"] == "status"] == []
        client.request("agent_kill", project_id="replay")
        joiner.wait_for("status", status="idle")


def test_a_queue_stays_executing_from_the_first_prompt_to_the_last_end(hub: HubProcess) -> None:
    with hub.client() as client:
        client.request("project_create", path=hub.folder("queue"))
        client.request("project_join", project_id="queue")
        client.request("execute", project_id="queue", prompt="[[slow:3:0.05]]")
        client.run("queue", "second")
        client.wait_for("status", status="idle")
        seen = [(u["update_type"], u["data"].get("status")) for u in client.take()]
    kinds = [kind for kind, _ in seen]
    assert [status for kind, status in seen if kind == "status"] == ["executing", "idle"]
    assert kinds.index("status") < kinds.index("execution_started")


# -- deltas


@pytest.mark.parametrize("version", ["2.1.197", "2.1.331"])
def test_a_whole_line_comes_before_the_stop_of_its_block(share_hub: Any, version: str) -> None:
    hub: HubProcess = share_hub(CLAUDE_MOCK_VERSION=version)
    with hub.client() as client:
        client.request("project_create", path=hub.folder("deltas"))
        client.run_after_join("deltas", "[[slow:3:0.02]]")
        provisional, shown = "", []
        for update in client.take():
            data = update["data"]
            if update["update_type"] == "claude_delta":
                event = data["event"]
                if event["type"] == "content_block_start":
                    provisional = ""
                provisional += event.get("delta", {}).get("text", "")
                shown.append(event["type"])
            elif data.get("type") == "assistant":
                assert data["message"]["content"][0]["text"] == provisional
                shown.append("assistant")
    assert shown[-5:-2] == ["content_block_delta", "assistant", "content_block_stop"]
