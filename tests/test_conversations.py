"""Conversations with the agent, over real sockets: each is held with the mock as both versions in
every run, and with both real programs in .ci/run, and must give the same kinds of lines in the
same order."""

import base64
import contextlib
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.agents import Agent, agents, hub_with
from tests.harness import HubProcess, WireClient
from tests.processes import marked, wait_until

PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAA"
    "AABJRU5ErkJggg=="
)
# Of this process alone: the same test may run in another at the same time.
LONG = f"sleep 300.{os.getpid()}"
QUESTION = {
    "question": "Which colour?",
    "header": "Colour",
    "multiSelect": False,
    "options": [
        {"label": "Red", "description": "warm"},
        {"label": "Blue", "description": "cold"},
    ],
}
# Lines that only the newer version writes.
NEW_KINDS = ("conversation_reset", "system/background_tasks_changed")
ONE_ANSWER = ["system/init", "system/status/requesting", "assistant/text", "result/success"]
TOOL_FIRST = ["system/init", "system/status/requesting", "assistant/tool_use"]
THEN_DONE = [
    "user/tool_result",
    "system/status/requesting",
    "assistant/text",
    "result/success",
    "execution_finished/success",
]
ABORTED = ["user/text", "result/error_during_execution", "execution_finished/interrupted"]
STARTED = ["prompt", "execution_started/prompt"]


def kind(update: dict[str, Any]) -> str:
    data, name = update["data"], update["update_type"]
    if name != "claude":
        extra = [data[k] for k in ("outcome", "decision", "reason", "origin") if data.get(k)]
        return "/".join([name, *extra])
    parts = [data["type"], *(str(data[k]) for k in ("subtype", "state") if data.get(k))]
    if parts == ["system", "status"]:
        parts.append(str(data.get("status") or data.get("permissionMode")))
    if data["type"] in ("user", "assistant"):
        content = data["message"]["content"]
        parts.append("text" if isinstance(content, str) else content[-1]["type"])
    return "/".join(parts)


def kinds(updates: list[dict[str, Any]]) -> list[str]:
    """Without what is partial, what is about the hub, and how often a line was repeated. A question
    may come between the pieces of the message that asks it, and lifecycle lines are the newer
    version's own."""
    left_out = ("claude_delta", "status", "files_changed")
    found: list[str] = []
    for update in updates:
        name = kind(update)
        if update["update_type"] in left_out or name.startswith("command_lifecycle"):
            continue
        if not found or found[-1] != name:
            found.append(name)
    return found


class Talk:
    """One client of one project."""

    def __init__(self, agent: Agent, hub: HubProcess, client: WireClient, name: str) -> None:
        self.agent, self.hub, self.client = agent, hub, client
        self.folder = Path(hub.folder(name))
        project = client.request("project_create", path=str(self.folder))["project"]
        self.project_id = project["project_id"]
        client.request("project_join", project_id=self.project_id)

    def start(self, prompt: str | None = None, **payload: Any) -> str:
        payload = {**payload, **({} if prompt is None else {"prompt": prompt})}
        answer = self.client.request("execute", project_id=self.project_id, **payload)
        return str(answer["execution_id"])

    def end_of(self, execution_id: str) -> dict[str, Any]:
        end = self.client.wait_for("execution_finished", execution_id=execution_id)
        data: dict[str, Any] = end["data"]
        return data

    def run(self, prompt: str | None = None, **payload: Any) -> dict[str, Any]:
        return self.end_of(self.start(prompt, **payload))

    def question(self, number: int = 1) -> dict[str, Any]:
        """The data of the nth permission_request so far."""
        while True:
            asked = [u for u in self.client.updates if u["update_type"] == "permission_request"]
            if len(asked) >= number:
                data: dict[str, Any] = asked[number - 1]["data"]
                return data
            self.client.updates.append(self.client.receive()["payload"])

    def answer(self, question: dict[str, Any], decision: str, **payload: Any) -> None:
        self.client.request(
            "permission_answer",
            project_id=self.project_id,
            permission_id=question["permission_id"],
            decision=decision,
            **payload,
        )

    def interrupt(self) -> None:
        self.client.request("agent_interrupt", project_id=self.project_id)

    def expect(self, expected: list[str]) -> None:
        """Everything since the last time."""
        if self.agent.is_old:
            expected = [name for name in expected if name not in NEW_KINDS]
        assert kinds(self.client.take()) == [*STARTED, *expected]

    def tool_results(self) -> list[str]:
        found = []
        for update in self.client.updates:
            if update["update_type"] == "claude" and update["data"]["type"] == "user":
                content = update["data"]["message"]["content"]
                blocks = content if isinstance(content, list) else []
                found += [str(b.get("content")) for b in blocks if b["type"] == "tool_result"]
        return found

    def settle(self) -> None:
        """What comes right behind an end belongs to nothing."""
        self.client.request("ping")
        self.client.take()


def calls(*wanted: list[Any]) -> str:
    return f"[[calls:{base64.b64encode(json.dumps(wanted).encode()).decode()}]]"


@pytest.fixture(scope="module", params=agents(), ids=str)
def agent(request: pytest.FixtureRequest) -> Agent:
    found: Agent = request.param
    return found


@pytest.fixture(scope="module")
def shared(agent: Agent, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """One hub for all conversations of an agent, each in a project of its own."""
    with hub_with(agent, tmp_path_factory.mktemp("hub").resolve(), AGENT_BACKGROUND="off") as hub:
        hub.is_shared = True
        yield hub


@pytest.fixture(scope="module")
def with_background(agent: Agent, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    with hub_with(agent, tmp_path_factory.mktemp("hub").resolve(), AGENT_BACKGROUND="on") as hub:
        hub.is_shared = True
        yield hub


@contextlib.contextmanager
def talking(agent: Agent, hub: HubProcess, request: pytest.FixtureRequest) -> Iterator[Talk]:
    if not hub.is_running():  # the test before has ended it
        hub.stop()
        hub.start()
    with hub.client() as client:
        held = Talk(agent, hub, client, request.function.__name__.replace("_", "-")[:50])
        yield held
        client.request("project_delete", project_id=held.project_id)
        client.wait_for("project_deleted")  # and with it the process


@pytest.fixture
def talk(agent: Agent, shared: HubProcess, request: pytest.FixtureRequest) -> Iterator[Talk]:
    with talking(agent, shared, request) as held:
        yield held


@pytest.fixture
def background_talk(
    agent: Agent, with_background: HubProcess, request: pytest.FixtureRequest
) -> Iterator[Talk]:
    with talking(agent, with_background, request) as held:
        yield held


def test_a_second_prompt_uses_the_same_process(talk: Talk) -> None:
    first = talk.run("[[text:HELLO]]")
    assert (first["outcome"], first["result"], first["exit_code"]) == ("success", "HELLO", None)
    partial = [u for u in talk.client.updates if u["update_type"] == "claude_delta"]
    assert {"message_start", "message_stop"} <= {u["data"]["event"]["type"] for u in partial}
    talk.expect([*ONE_ANSWER, "execution_finished/success"])
    process = warm_process(talk)
    second = talk.run("[[text:AGAIN]]")
    assert (second["result"], second["session_id"]) == ("AGAIN", first["session_id"])
    assert warm_process(talk) == process
    costs = (first["cost_usd"], second["cost_usd"])
    assert costs[0] == pytest.approx(costs[1]) and costs[0] > 0


def warm_process(talk: Talk) -> int:
    """The pid of the project's CLI process between two prompts."""
    while True:
        warm = talk.client.request("health_check")["warm_sessions"]
        for session in warm:
            if session["project_id"] == talk.project_id:
                assert session["memory_bytes"] > 0
                return int(session["pid"])


def test_options_hold_for_one_turn(talk: Talk) -> None:
    talk.run("[[text:A]]")
    process = warm_process(talk)
    options = {"model": "claude-haiku-5-5", "permission_mode": "plan"}
    talk.client.take()
    talk.run("[[text:B]]", options=options)
    init = next(u["data"] for u in talk.client.updates if u["data"].get("subtype") == "init")
    assert init["model"] == "claude-haiku-5-5" and init["permissionMode"] == "plan"
    talk.client.take()
    talk.run("[[text:C]]")
    init = next(u["data"] for u in talk.client.updates if u["data"].get("subtype") == "init")
    assert init["model"] != "claude-haiku-5-5" and init["permissionMode"] == "default"
    assert warm_process(talk) == process


def test_rules_hold_for_one_turn(talk: Talk) -> None:
    prompt = "[[tool:Bash:touch made.txt]]"
    talk.run(prompt, options={"allowed_tools": ["Bash(touch:*)"]})
    assert (talk.folder / "made.txt").exists()
    talk.expect([*TOOL_FIRST, *THEN_DONE])
    execution_id = talk.start(prompt)
    talk.answer(talk.question(), "deny")
    talk.end_of(execution_id)


def test_some_options_need_another_process(talk: Talk) -> None:
    first = talk.run("[[text:A]]")
    process = warm_process(talk)
    end = talk.run("[[loop:9]][[tool:Bash:echo 0]]", options={"max_turns": 2})
    assert (end["outcome"], end["session_id"]) == ("error", first["session_id"])
    assert "maximum number of turns" in end["result"]
    assert warm_process(talk) != process


def test_an_allowed_tool_runs(talk: Talk) -> None:
    execution_id = talk.start("[[tool:Bash:touch made.txt]]")
    question = talk.question()
    assert question["tool"] == "Bash" and question["execution_id"] == execution_id
    assert question["input"]["command"] == "touch made.txt"
    assert question["blocked_path"].endswith("made.txt")
    with talk.hub.client() as late:
        joined = late.request("project_join", project_id=talk.project_id)
        assert joined["project"]["pending_permissions"] == [question]
    talk.answer(question, "allow")
    assert talk.end_of(execution_id)["outcome"] == "success"
    assert (talk.folder / "made.txt").exists()
    talk.expect([*TOOL_FIRST, "permission_request", "permission_resolved/allow", *THEN_DONE])


def test_an_allowed_tool_runs_with_the_updated_input(talk: Talk) -> None:
    execution_id = talk.start("[[tool:Bash:touch made.txt]]")
    changed = {"command": "touch other.txt", "description": "x"}
    talk.answer(talk.question(), "allow", updated_input=changed)
    talk.end_of(execution_id)
    assert [path.name for path in talk.folder.iterdir()] == ["other.txt"]


def test_a_denied_tool_tells_the_agent_why(talk: Talk) -> None:
    execution_id = talk.start("[[tool:Bash:touch made.txt]]")
    talk.answer(talk.question(), "deny", message="not now, please")
    assert talk.end_of(execution_id)["outcome"] == "success"
    assert not (talk.folder / "made.txt").exists()
    assert "not now, please" in talk.tool_results()[0]
    talk.expect([*TOOL_FIRST, "permission_request", "permission_resolved/deny", *THEN_DONE])


@pytest.mark.parametrize("tool", ["Bash:touch made.txt", "Write:made.txt:hello"])
def test_the_agent_does_not_ask_again_for_a_remembered_permission(talk: Talk, tool: str) -> None:
    """This holds in the next process of the session too."""
    made = talk.folder / "made.txt"
    execution_id = talk.start(f"[[tool:{tool}]]")
    talk.answer(talk.question(), "allow", remember=True)
    talk.end_of(execution_id)
    for options in ({}, {"max_turns": 5}):
        made.unlink()
        talk.client.take()
        talk.run(f"[[tool:{tool}]]", options=options)
        assert "permission_request" not in kinds(talk.client.take())
        assert made.exists()
    made.unlink()
    talk.client.request("agent_new_session", project_id=talk.project_id)
    execution_id = talk.start(f"[[tool:{tool}]]")
    talk.answer(talk.question(), "deny")
    talk.end_of(execution_id)


def test_two_permissions_wait_at_once(talk: Talk) -> None:
    reads = [["Read", {"file_path": p}] for p in ("/etc/hostname", "/etc/passwd")]
    execution_id = talk.start(calls(*reads))
    second = talk.question(2)
    talk.answer(second, "allow")
    talk.answer(talk.question(1), "deny")
    assert talk.end_of(execution_id)["outcome"] == "success"
    assert len(talk.tool_results()) == 2


def test_the_user_answers_a_question_of_the_agent(talk: Talk) -> None:
    execution_id = talk.start(calls(["AskUserQuestion", {"questions": [QUESTION]}]))
    question = talk.question()
    assert question["tool"] == "AskUserQuestion"
    answered = {**question["input"], "answers": {"Which colour?": "Blue"}}
    talk.answer(question, "allow", updated_input=answered)
    assert talk.end_of(execution_id)["outcome"] == "success"
    assert '"Which colour?"="Blue"' in talk.tool_results()[0]
    talk.expect([*TOOL_FIRST, "permission_request", "permission_resolved/allow", *THEN_DONE])


def test_an_approved_plan_leaves_the_next_prompts_mode_alone(talk: Talk) -> None:
    execution_id = talk.start(
        calls(["ExitPlanMode", {"plan": "# Plan"}]), options={"permission_mode": "plan"}
    )
    question = talk.question()
    assert question["tool"] == "ExitPlanMode"
    talk.answer(question, "allow")
    assert talk.end_of(execution_id)["outcome"] == "success"
    talk.client.take()
    talk.run("[[text:A]]", options={"permission_mode": "plan"})
    init = next(u["data"] for u in talk.client.updates if u["data"].get("subtype") == "init")
    assert init["permissionMode"] == "plan"


def test_an_interrupt_withdraws_a_question(talk: Talk) -> None:
    execution_id = talk.start("[[tool:Bash:touch made.txt]]")
    question = talk.question()
    talk.interrupt()
    assert talk.end_of(execution_id)["outcome"] == "interrupted"
    resolved = talk.client.wait_for("permission_resolved")["data"]
    assert (resolved["decision"], resolved["by"]) == ("deny", "withdrawn")
    refused = talk.client.refused(
        "permission_answer",
        project_id=talk.project_id,
        permission_id=question["permission_id"],
        decision="allow",
    )
    assert refused["code"] == "already_answered"
    asked = ["permission_request", "permission_resolved/deny", "user/tool_result"]
    talk.expect([*TOOL_FIRST, *asked, *ABORTED])


def test_an_interrupt_keeps_the_process(talk: Talk) -> None:
    talk.run("[[text:A]]")
    process = warm_process(talk)
    talk.settle()
    execution_id = talk.start("[[slow:100:0.1]]")
    talk.client.wait_for("claude_delta")
    talk.interrupt()
    end = talk.end_of(execution_id)
    assert (end["outcome"], end["exit_code"]) == ("interrupted", None)
    assert end["result"] == "Interrupted."
    assert warm_process(talk) == process
    assert talk.run("[[big:7]]")["result"] == "x" * 7


def test_an_interrupt_before_the_turn_begins_ends_it(talk: Talk) -> None:
    execution_id = talk.start("[[slow:100:0.1]]")
    talk.interrupt()
    assert talk.end_of(execution_id)["outcome"] == "interrupted"
    assert talk.run("[[big:7]]")["result"] == "x" * 7


def test_an_interrupt_ends_a_tool(talk: Talk) -> None:
    execution_id = talk.start(f"[[tool:Bash:{LONG}]]")
    wait_until(lambda: running(LONG))
    talk.interrupt()
    assert talk.end_of(execution_id)["outcome"] == "interrupted"
    assert not running(LONG)


def running(command: str) -> bool:
    found = (p.info["cmdline"] or [] for p in psutil.process_iter(["cmdline"]))
    return any(" ".join(words) == command for words in found)


def test_processes_of_a_turn_end_with_it(talk: Talk) -> None:
    """The CLI's own process stays."""
    prompt = f"[[tool:Bash:(setsid {LONG} &) ; sleep 0.3]]"
    end = talk.run(prompt, options={"allowed_tools": ["Bash"]})
    assert end["outcome"] == "success"
    assert not running(LONG)
    assert psutil.pid_exists(warm_process(talk))


def test_a_kill_ends_a_grandchild(talk: Talk) -> None:
    prompt = f"[[tool:Bash:(setsid {LONG} &) ; {LONG}]]"
    execution_id = talk.start(prompt, options={"allowed_tools": ["Bash"]})
    wait_until(lambda: running(LONG))
    talk.client.request("agent_kill", project_id=talk.project_id)
    end = talk.end_of(execution_id)
    assert (end["outcome"], end["exit_code"]) == ("killed", 143)
    assert not running(LONG)
    assert talk.run("[[text:B]]")["outcome"] == "success"


def test_clear_resets_the_session_and_compact_keeps_it(talk: Talk) -> None:
    first = talk.run("[[text:A]]")
    talk.run("[[text:B]]")
    talk.settle()
    cleared = talk.run("/clear")
    assert cleared["session_id"] != first["session_id"] and cleared["cost_usd"] == 0
    reset = talk.client.wait_for("session_reset")["data"]
    assert reset == {"old_session_id": first["session_id"], "reason": "cleared"}
    after = talk.run("[[text:C]]")
    assert after["session_id"] == cleared["session_id"]
    assert after["cost_usd"] == pytest.approx(first["cost_usd"])
    talk.run("[[text:D]]")
    talk.settle()
    assert talk.run("/compact")["session_id"] == after["session_id"]
    names = kinds(talk.client.take())
    assert "system/compact_boundary" in names and "session_reset/cleared" not in names


def test_an_api_error_is_an_error_with_its_text(talk: Talk) -> None:
    end = talk.run("[[error:400]]")
    assert end["outcome"] == "error" and "400" in end["result"]
    talk.expect(
        [
            "system/init",
            "system/status/requesting",
            "assistant/text",
            "result/success",
            "execution_finished/error",
        ]
    )


def test_the_cli_retries_the_api(talk: Talk) -> None:
    end = talk.run("[[error:529]]")
    assert end["outcome"] == "error"
    retries = [u for u in talk.client.updates if u["data"].get("subtype") == "api_retry"]
    assert len(retries) == 2


def test_an_answer_of_three_megabytes_arrives_whole(talk: Talk) -> None:
    end = talk.run("[[big:3000000]]")
    assert end["result"] == "x" * 3_000_000


def test_an_image_reaches_the_model(talk: Talk, agent: Agent) -> None:
    image = {"type": "base64", "media_type": "image/png", "data": PNG}
    words = "[[text:SEEN]]" if agent.is_real else "[[show:content]]"
    content = [{"type": "text", "text": words}, {"type": "image", "source": image}]
    end = talk.run(content=content)
    prompt = talk.client.wait_for("prompt")["data"]
    assert prompt["content"] == content and "prompt" not in prompt
    if agent.is_real:
        assert end["result"] == "SEEN"
        assert PNG in (talk.hub.scratch / "requests").read_text()
    else:
        assert json.loads(end["result"]) == content


def test_a_system_prompt_holds_for_one_prompt(talk: Talk, agent: Agent) -> None:
    for words in ("FIRST-WORDS", "SECOND-WORDS", None):
        options = {} if words is None else {"append_system_prompt": words}
        prompt = "[[text:ok]]" if agent.is_real else "[[show:args]]"
        end = talk.run(prompt, options=options)
        if agent.is_real:
            said = (talk.hub.scratch / "requests").read_text().splitlines()
            systems = [json.dumps(json.loads(line).get("system")) for line in said[-3:]]
        else:
            systems = [end["result"]]
        for other in ("FIRST-WORDS", "SECOND-WORDS"):
            assert (other in systems[-1]) == (other == words), (words, other)


def test_a_prompt_for_a_forgotten_session_runs_in_a_new_one(talk: Talk, agent: Agent) -> None:
    first = talk.run("[[text:A]]")
    crash_between_turns(talk, agent, first["session_id"])
    forget_everything(talk, agent)
    talk.settle()
    end = talk.run("[[text:B]]")
    assert (end["outcome"], end["result"]) == ("success", "B")
    reset = talk.client.wait_for("session_reset")["data"]
    assert reset == {"old_session_id": first["session_id"], "reason": "forgotten"}
    assert end["session_id"] != first["session_id"]


def forget_everything(talk: Talk, agent: Agent) -> None:
    if not agent.is_real:
        (talk.hub.scratch / "sessions").write_text("")
        return
    for path in (talk.hub.scratch / "home" / ".claude" / "projects").rglob("*.jsonl"):
        path.unlink()


def crash_between_turns(talk: Talk, agent: Agent, session_id: str) -> None:
    """Once the CLI has kept the turn: it writes its transcript a moment later."""
    transcripts = talk.hub.scratch / "home" / ".claude" / "projects"

    def is_kept() -> bool:
        kept = [path.read_text() for path in transcripts.rglob(f"{session_id}.jsonl")]
        return any('"assistant"' in text for text in kept)

    if agent.is_real:
        wait_until(is_kept)
    process = warm_process(talk)
    os.kill(process, signal.SIGKILL)
    wait_until(lambda: not psutil.pid_exists(process))


def test_a_crash_between_turns_is_no_error(talk: Talk, agent: Agent) -> None:
    first = talk.run("[[text:A]]")
    crash_between_turns(talk, agent, first["session_id"])
    end = talk.run("[[text:B]]")
    assert (end["outcome"], end["result"]) == ("success", "B")
    assert end["session_id"] == first["session_id"]


# -- a hub of its own ------------------------------------------------------------------------


def test_kill_9_of_the_server_ends_the_agent_at_once(agent: Agent, scratch: Path) -> None:
    with hub_with(agent, scratch) as hub:
        with hub.client() as client:
            talk = Talk(agent, hub, client, "p")
            prompt = f"[[tool:Bash:(setsid {LONG} &) ; {LONG}]]"
            execution_id = talk.start(prompt, options={"allowed_tools": ["Bash"]})
            wait_until(lambda: running(LONG))
        hub.stop(signal.SIGKILL)
        wait_until(lambda: not running(LONG) and not marked(hub.data))
        hub.start()
        with hub.client() as client:
            client.request("project_join", project_id="p", after_seq=0)
            lost = client.wait_for("execution_finished", execution_id=execution_id)
            assert lost["data"]["outcome"] == "lost"
            talk = Talk.__new__(Talk)
            talk.agent, talk.hub, talk.client, talk.project_id = agent, hub, client, "p"
            end = talk.run("[[text:B]]")
            assert end["outcome"] == "success", end


def test_a_result_beyond_the_line_limit_ends_its_turn(agent: Agent, scratch: Path) -> None:
    """The hub cannot read it whole, and must not wait for the time limit."""
    with hub_with(agent, scratch, MAX_LINE_BYTES="100000") as hub, hub.client() as client:
        talk = Talk(agent, hub, client, "p")
        first = talk.run("[[text:A]]")
        end = talk.run("[[big:300000]]")
        assert end["outcome"] == "success" and "MAX_LINE_BYTES" in end["result"]
        assert end["session_id"] == first["session_id"]
        cut = [u["data"] for u in client.updates if u["update_type"] == "claude_text"]
        assert len(cut) == 2 and all(data["truncated"] for data in cut)
        assert talk.run("[[big:7]]")["result"] == "x" * 7


def test_background_off_everything_happens_in_the_turn(talk: Talk) -> None:
    client = talk.client
    shell = {"command": "sleep 0.4; echo BG", "description": "x", "run_in_background": True}
    execution_id = talk.start(calls(["Bash", shell]))
    answer_all(talk, execution_id)
    assert "unexpected parameter `run_in_background`" in talk.tool_results()[0]
    called = ["Bash", {"command": "touch sub.txt", "description": "a command"}]
    sub = {"description": "sub", "prompt": calls(called), "subagent_type": "general-purpose"}
    execution_id = talk.start(calls(["Task", sub]))
    answer_all(talk, execution_id)
    client.request("ping")
    assert [u for u in client.updates if u["data"].get("origin") == "background"] == []


def answer_all(talk: Talk, execution_id: str) -> None:
    """Allows whatever is asked until the execution's end."""
    answered: set[str] = set()
    while True:
        for update in list(talk.client.updates):
            data = update["data"]
            if update["update_type"] == "permission_request":
                if data["permission_id"] not in answered:
                    answered.add(data["permission_id"])
                    talk.answer(data, "allow")
            elif kind(update).startswith("execution_finished") and (
                data["execution_id"] == execution_id
            ):
                return
        talk.client.updates.append(talk.client.receive()["payload"])


OWN_TURN = ["execution_started/background", *ONE_ANSWER, "execution_finished/success"]
TASK_NEWS = [
    "system/task_updated",
    "system/task_notification",
    "system/background_tasks_changed",
]


def test_background_on_a_shell_brings_a_turn_of_its_own(background_talk: Talk) -> None:
    talk = background_talk
    shell = {"command": "sleep 0.5; echo BG", "description": "x", "run_in_background": True}
    execution_id = talk.start(calls(["Bash", shell]))
    own = wait_for_own(talk)
    assert own["data"]["execution_id"] != execution_id
    began = ["system/background_tasks_changed", "system/task_started"]
    talk.expect([*TOOL_FIRST, *began, *THEN_DONE, *TASK_NEWS, *OWN_TURN])


def wait_for_own(talk: Talk) -> dict[str, Any]:
    """The end of the first turn that the CLI has begun by itself."""
    while True:
        for started in talk.client.updates:
            if started["data"].get("origin") == "background" and "execution_id" in started["data"]:
                talk.end_of(started["data"]["execution_id"])
                return started
        talk.client.updates.append(talk.client.receive()["payload"])


def test_background_on_an_agents_question_outlives_the_turn(
    background_talk: Talk, agent: Agent
) -> None:
    talk, client = background_talk, background_talk.client
    called = ["Bash", {"command": "touch sub.txt", "description": "a command"}]
    sub = {
        "description": "sub",
        "prompt": calls(called),
        "subagent_type": "general-purpose",
        "run_in_background": True,
    }
    execution_id = talk.start(calls(["Task", sub]))
    talk.end_of(execution_id)
    question = talk.question()
    (project,) = client.request("project_list")["projects"]
    assert project["pending_permissions"] == [question]
    talk.answer(question, "allow")
    wait_for_own(talk)
    assert (talk.folder / "sub.txt").exists() or not agent.is_real
    resolved = [u["data"] for u in client.updates if u["update_type"] == "permission_resolved"]
    assert [r["decision"] for r in resolved] == ["allow"]
