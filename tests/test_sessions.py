"""Over real sockets: conversations, what the agent sees, what changes in its folder."""

import json
from pathlib import Path

from tests.harness import HubProcess
from tests.test_end_to_end import kinds, listed, make


def test_options_reach_the_agent_through_the_table(hub: HubProcess) -> None:
    options = {
        "model": "opus",
        "permission_mode": "plan",
        "allowed_tools": ["Bash(git *)", "Read"],
        "add_dirs": [hub.folder("more")],
        "max_turns": 3,
        "append_system_prompt": "be brief",
        "timeout_seconds": 20,
    }
    with hub.client() as client:
        project_id = make(hub, client)
        client.request("project_join", project_id=project_id)
        args = json.loads(client.run(project_id, "[[show:args]]", options=options)["result"])
        assert "-c" in args
        assert "--max-turns=3" in args
        assert "--append-system-prompt=be brief" in args
        prompt = next(u for u in client.updates if u["update_type"] == "prompt")
        assert prompt["data"]["options"] == options
        end = client.run(project_id, "[[show:settings]]", options=options)
        assert json.loads(end["result"]) == {
            "model": "opus",
            "mode": "plan",
            "allow": ["Bash(git *)", "Read"],
            "deny": [],
            "folders": [str(hub.roots / "more")],
        }
        end = client.run(project_id, "[[show:settings]]")
        settings = json.loads(end["result"])
        assert settings["allow"] == [] and settings["mode"] == "default"


def test_the_agent_sees_little_of_the_servers_environment(start_hub) -> None:
    hub = start_hub(SECRET_TOKEN="s3cret", CLAUDE_MARK="seen", PYTHONPATH="/nowhere")
    with hub.client() as client:
        project_id = make(hub, client)
        client.request("project_join", project_id=project_id)
        seen = json.loads(client.run(project_id, "[[show:env]]")["result"])
        assert seen["CLAUDE_MARK"] == "seen"
        assert "SECRET_TOKEN" not in seen
        assert "DATA_DIR" not in seen
        assert "CLAUDE_CMD" not in seen
        assert ":" in seen["CLAUDEHUB_PROCESS_ID"]
        cwd = json.loads(client.run(project_id, "[[show:cwd]]")["result"])
        assert cwd == hub.folder(project_id)


def test_sessions_continue_until_a_new_one_is_requested(start_hub, scratch: Path) -> None:
    hub = start_hub(WARM_SESSIONS="0")
    with hub.client() as client:
        project_id = make(hub, client)
        client.request("project_join", project_id=project_id)
        first = client.run(project_id, "[[show:args]]")
        second = client.run(project_id, "[[show:args]]")
        assert "-c" in json.loads(first["result"])
        assert f"--resume={first['session_id']}" in json.loads(second["result"])
        assert second["session_id"] == first["session_id"]

        answer = client.request("agent_new_session", project_id=project_id)
        assert answer["project"]["session_id"] is None
        reset = client.wait_for("session_reset")
        assert reset["data"] == {"old_session_id": first["session_id"], "reason": "requested"}
        third = client.run(project_id, "[[show:args]]")
        args = json.loads(third["result"])
        assert "-c" not in args and not any(a.startswith("--resume") for a in args)
        assert third["session_id"] != first["session_id"]

        (scratch / "sessions").write_text("")
        client.take()
        fourth = client.run(project_id, "[[show:args]]")
        assert fourth["outcome"] == "success"
        args = json.loads(fourth["result"])
        assert "-c" not in args and not any(a.startswith("--resume") for a in args)
        reset = next(u for u in client.updates if u["update_type"] == "session_reset")
        assert reset["data"] == {"old_session_id": third["session_id"], "reason": "forgotten"}
        assert kinds(client).count("execution_finished") == 1


def test_a_running_execution_cannot_bring_an_old_session_back(
    hub: HubProcess, scratch: Path
) -> None:
    go = scratch / "go"
    with hub.client() as client:
        project_id = make(hub, client)
        client.request("project_join", project_id=project_id)
        client.request("execute", project_id=project_id, prompt=f"[[wait:{go}]]")
        client.wait_for("claude")
        client.request("agent_new_session", project_id=project_id)
        go.touch()
        client.wait_for("execution_finished")
        assert listed(client, project_id)["session_id"] is None


def test_an_unknown_control_request_gets_an_answer(hub: HubProcess) -> None:
    with hub.client() as client:
        project_id = make(hub, client)
        client.request("project_join", project_id=project_id)
        end = client.run(project_id, "[[ask]]")
        answer = json.loads(end["result"])
        assert answer["subtype"] == "error"
        assert answer["request_id"] == "r1"
        passed = [u["data"].get("type") for u in client.updates if u["update_type"] == "claude"]
        assert "control_request" not in passed and "control_response" not in passed


def test_files_changed_while_someone_has_joined(hub: HubProcess) -> None:
    with hub.client() as client:
        project_id = make(hub, client)
        folder = Path(hub.folder(project_id))
        (folder / ".gitignore").write_text("*.tmp\nbuild/\n")
        client.request("project_join", project_id=project_id)
        client.run(project_id, f"[[touch:{folder / 'x.tmp'}]]")
        client.run(project_id, f"[[touch:{folder / 'new.txt'}]]")
        update = client.wait_for("files_changed")
        assert update["data"] == {"paths": ["new.txt"], "truncated": False}
        assert "seq" not in update
