"""claudehub.testing: the fake hub is what the real one is, as far as programs can see."""

import pprint
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import pytest

import claudehub
from claudehub.testing import Ask, Delta, Ending, FakeHub, Hold, Steps
from tests.harness import HubProcess, WireClient
from tests.processes import wait_until


@pytest.fixture
def fake() -> Iterator[FakeHub]:
    with FakeHub() as fake:
        yield fake


@pytest.fixture
def client(fake: FakeHub) -> Iterator[claudehub.Hub]:
    with claudehub.connect(fake.url) as client:
        yield client


# -- beside the real hub


def shape(value: Any) -> Any:
    """Return what a JSON value looks like: names and types, without the values."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value[:1]]
    return type(value).__name__


def fits(fake: Any, real: Any) -> bool:
    """Return True if two shapes agree. Null may stand for anything; what is empty on one side says
    nothing of what is in it."""
    if isinstance(fake, dict) and isinstance(real, dict):
        return fake.keys() == real.keys() and all(fits(fake[key], real[key]) for key in fake)
    if isinstance(fake, list) and isinstance(real, list):
        return not fake or not real or fits(fake[0], real[0])
    numbers = {"int", "float"}
    return "NoneType" in (fake, real) or fake == real or {fake, real} <= numbers


class Scene:
    """A conversation with either hub, and the shapes of all that it says."""

    def __init__(self, url: str) -> None:
        self.client = WireClient(url)
        self.shapes: list[tuple[str, Any]] = [("welcome", shape(self.client.welcome))]

    def ask(self, kind: str, **payload: Any) -> dict[str, Any]:
        reply = self.client.ask(kind, **payload)
        said = reply["payload"] if reply["type"] == "result" else reply["payload"]["code"]
        self.shapes.append((f"reply to {kind}", shape(said) if isinstance(said, dict) else said))
        found: dict[str, Any] = reply["payload"]
        return found

    def until(self, update_type: str) -> dict[str, Any]:
        """Read up to the next such update."""
        found = self.client.wait_for(update_type)
        last = next(n for n, update in enumerate(self.client.updates) if update is found)
        read, self.client.updates = self.client.updates[: last + 1], self.client.updates[last + 1 :]
        for update in read:
            # What a CLI says is its own, and how often the status is told as well.
            if update["update_type"] not in ("claude", "claude_delta", "status", "files_changed"):
                data = shape(update["data"])
                if update["update_type"] == "prompt":
                    data.pop("options")
                self.shapes.append((update["update_type"], {**shape(update), "data": data}))
        return found


QUESTION, HANGS = "[[tool:Bash:touch asked]]", "[[hang]]"


def scene_of(url: str, path: str, project_id: str) -> list[tuple[str, Any]]:
    scene = Scene(url)
    site = {"project_id": project_id}
    scene.ask("project_create", path=path, project_id=project_id)
    scene.ask("project_create", path=path)
    scene.ask("project_join", **site, after_seq=7)
    joined = scene.ask("project_join", **site, after_seq=0)
    scene.ask("execute", **site, prompt=QUESTION, key="k")
    request = scene.until("permission_request")
    scene.ask("execute", **site, prompt="next", options={"model": "claude-mock-1"})
    scene.until("execution_queued")
    scene.ask("project_list")
    answer = {"permission_id": request["data"]["permission_id"], "decision": "allow"}
    scene.ask("permission_answer", **site, **answer)
    scene.ask("permission_answer", **site, **answer)
    scene.until("execution_finished")
    scene.until("execution_finished")
    scene.ask("execute", **site, prompt=QUESTION, key="k")
    scene.ask("execute", **site, prompt="another", key="k")
    scene.ask("execute", **site, prompt=HANGS)
    scene.until("execution_started")
    scene.ask("agent_interrupt", **site)
    scene.until("execution_finished")
    scene.ask("agent_interrupt", **site)
    scene.ask("agent_kill", **site, execution_id="nosuch")
    scene.ask("agent_new_session", **site)
    scene.until("session_reset")
    scene.ask("get_messages", **site, after_seq=0, limit=3)
    scene.ask("get_messages", **site)
    scene.ask("project_join", **site, after_seq=1, log_id="another")
    scene.ask("project_join", **site, last=1, log_id=joined["log_id"])
    scene.ask("project_trust", **site, trusted=True)
    scene.ask("project_leave", **site)
    scene.ask("project_join", **site)
    scene.ask("project_delete", **site)
    scene.until("project_deleted")
    for kind in ("project_join", "execute", "get_messages", "agent_kill", "project_delete"):
        scene.ask(kind, project_id="nosuch", prompt="x")
    scene.ask("execute", **site)
    scene.ask("nonsense")
    scene.ask("ping", a=1)
    scene.client.close()
    return scene.shapes


def agent(prompt: str) -> Steps:
    """Do what the mock of the CLI does."""
    if prompt == QUESTION:
        rule = {"toolName": "Bash", "ruleContent": "touch asked"}
        where = {"behavior": "allow", "destination": "localSettings"}
        suggestion = {"type": "addRules", "rules": [rule], **where}
        command = {"command": "touch asked", "description": "a command"}
        yield Ask("Bash", command, "a command", [suggestion])
    if prompt == HANGS:
        yield Hold()
    return "ok"


def test_the_fake_hub_says_what_the_real_one_says(hub: HubProcess, fake: FakeHub) -> None:
    real = scene_of(hub.url, hub.folder("scene"), "scene")
    fake.script(None, agent)
    fakes = scene_of(fake.url, "/src/scene", "scene")
    assert [kind for kind, _ in fakes] == [kind for kind, _ in real]
    wrong = [(kind, f, r) for (kind, f), (_, r) in zip(fakes, real, strict=True) if not fits(f, r)]
    assert not wrong, pprint.pformat(wrong, width=150)


# -- programs against it


def test_a_prompt_without_a_script_is_answered(fake: FakeHub, client: claudehub.Hub) -> None:
    run = client.project("/src/site").execute("Hi", model="haiku")
    assert run.wait() == "success" and run.text == "ok"
    (prompt,) = fake.prompts
    assert (prompt.project_id, prompt.prompt, prompt.options) == ("site", "Hi", {"model": "haiku"})


def kinds(updates: list[claudehub.Update]) -> list[str]:
    return [type(update).__name__ for update in updates]


def test_a_script_speaks_asks_and_ends(fake: FakeHub, client: claudehub.Hub) -> None:
    def agent(prompt: str) -> Steps:
        yield Delta("I sh")
        yield "I shall clean up."
        answer = yield Ask("Bash", {"command": "rm -r build"})
        if not answer.is_allowed:
            return Ending("error", f"not allowed: {answer.message}")
        yield {"type": "rate_limit_event", "rate_limit_info": {"status": "allowed"}}
        return "Done."

    fake.script("site", agent)
    site = client.project("site")
    follower = site.follow()
    run = site.execute("Go", on_permission=lambda question: "allow")
    assert run.wait() == "success"
    assert kinds(list(islice(follower, 13))) == [
        "Prompt",
        "ExecutionStarted",
        "Status",
        "ClaudeDelta",
        "ClaudeText",
        "ToolUse",
        "PermissionRequest",
        "PermissionResolved",
        "ToolResult",
        "RateLimit",
        "Result",
        "ExecutionFinished",
        "Status",
    ]
    assert run.text == "Done."
    no = claudehub.Answer("deny", message="not today")
    refused = site.execute("Go", on_permission=lambda question: no)
    assert refused.wait() == "error" and refused.text == "not allowed: not today"
    assert [(a.decision, a.message) for a in fake.answers] == [
        ("allow", None),
        ("deny", "not today"),
    ]


def test_a_list_of_texts_is_a_script(fake: FakeHub, client: claudehub.Hub) -> None:
    fake.script("site", lambda prompt: [prompt.upper(), "and that was it"])
    run = client.project("site").execute("hi")
    texts = [update.text for update in run if isinstance(update, claudehub.ClaudeText)]
    assert texts == ["HI", "and that was it"] and run.text == "and that was it"


def test_a_script_that_fails_is_an_error(
    fake: FakeHub, client: claudehub.Hub, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(prompt: str) -> Steps:
        yield "so far"
        raise LookupError("oh no")

    fake.script("site", broken)
    run = client.project("site").execute("Hi")
    assert run.wait() == "error" and "oh no" in str(run.text)
    assert "the script of site has failed" in caplog.text


def hold(prompt: str) -> Steps:
    yield "before"
    yield Hold()
    return "after"


def test_an_execution_holds_until_it_is_released(fake: FakeHub, client: claudehub.Hub) -> None:
    fake.script("site", hold)
    site = client.project("site")
    run, waiting = site.execute("one"), site.execute("two")
    assert (run.state, waiting.state, waiting.queue_position) == ("started", "queued", 1)
    assert fake.release("site")
    assert run.wait() == "success" and run.text == "after"
    waiting.interrupt()
    assert waiting.wait() == "interrupted"
    assert not fake.release("site")


def test_a_waiting_prompt_is_taken_out_of_the_queue(fake: FakeHub, client: claudehub.Hub) -> None:
    fake.script("site", hold)
    site = client.project("site")
    run, waiting = site.execute("one"), site.execute("two")
    waiting.kill()
    assert waiting.wait() == "cancelled"
    assert site.kill() == run.id and run.wait() == "killed"


def test_connections_that_are_dropped_lose_nothing(fake: FakeHub, client: claudehub.Hub) -> None:
    follower = client.project("/src/site").follow()
    for number in range(5):
        fake.say("site", "claude_text", {"text": str(number)})
        fake.drop_connections()
    said = [next(follower) for _ in range(5)]
    assert [update.data["text"] for update in said] == list("01234")
    assert [update.raw for update in said] == fake.log("site")


@pytest.mark.parametrize("kind", ["execute", "get_messages"])
@pytest.mark.parametrize("lose", [FakeHub.lose_request, FakeHub.lose_reply])
def test_a_prompt_runs_once_whatever_is_lost(
    fake: FakeHub, client: claudehub.Hub, kind: str, lose: Callable[[FakeHub, str], None]
) -> None:
    site = client.project("/src/site")
    lose(fake, kind)
    assert site.execute("Hi").wait() == "success"
    assert len(fake.prompts) == 1


def test_requests_are_refused_as_the_test_wants(fake: FakeHub, client: claudehub.Hub) -> None:
    site = client.project("/src/site")
    fake.refuse_next("execute", "rate_limited", retry_after_seconds=0)
    assert site.execute("Hi").wait() == "success"
    fake.refuse_next("execute", "queue_full", "come back later", limit=1)
    with pytest.raises(claudehub.RequestRefused) as refused:
        site.execute("Hi")
    assert (refused.value.code, refused.value.details) == ("queue_full", {"limit": 1})


@pytest.mark.parametrize("crash", [True, False])
def test_a_restart_ends_what_runs_and_keeps_the_log(
    fake: FakeHub, client: claudehub.Hub, crash: bool
) -> None:
    fake.script("site", hold)
    site = client.project("site")
    follower = site.follow(after=0)
    run, waiting = site.execute("one"), site.execute("two")
    fake.restart(crash=crash)
    outcomes = (run.wait(), waiting.wait())
    assert outcomes == (("lost", "lost") if crash else ("killed", "cancelled"))
    log = fake.log("site")
    stored = (update.raw for update in follower if update.seq)
    assert list(islice(stored, len(log))) == log


def test_a_program_sees_a_hub_that_is_away(fake: FakeHub, client: claudehub.Hub) -> None:
    fake.stop()
    with pytest.raises(claudehub.ConnectFailed):
        claudehub.connect(fake.url)
    wait_until(lambda: client.state == "waiting")
    fake.start()
    assert client.projects() == []
    fake.close_connections(1011)
    assert client.projects() == []


def test_logs_are_shortened_damaged_and_lost(fake: FakeHub, client: claudehub.Hub) -> None:
    site = client.project("/src/site")
    for number in range(1, 7):
        fake.say("site", "claude_text", {"text": str(number)})
    fake.damage("site", 4, 5)
    fake.forget_before("site", 3)
    follower = site.follow(after=1)
    assert kinds([next(follower) for _ in range(4)]) == [
        "HistoryGone",
        "OutputText",
        "Gap",
        "OutputText",
    ]
    assert kinds(list(site.history())) == ["OutputText", "Gap", "OutputText"]
    fake.begin_another_log("site")
    fake.drop_connections()
    gone = next(follower)
    assert isinstance(gone, claudehub.HistoryGone) and gone.last_seq == 0


def test_all_projects_can_be_watched(fake: FakeHub, client: claudehub.Hub) -> None:
    fake.script("site", hold)
    watcher = client.watch()
    first = next(watcher)
    assert isinstance(first, claudehub.ProjectChanged) and first.project.status == "idle"
    run = client.project("site").execute("Hi")
    seen = []
    while "executing" not in seen:
        update = next(watcher)
        assert isinstance(update, claudehub.ProjectChanged)
        seen.append(update.project.status)
    fake.project("docs")
    while update.project_id != "docs":
        update = next(watcher)
    run.kill()
    client.project("docs").delete()
    while not isinstance(update, claudehub.ProjectDeleted):
        update = next(watcher)
    assert update.project_id == "docs"


def test_a_project_is_known_by_its_folder(client: claudehub.Hub) -> None:
    made = client.create("/src/My Site", name="mine")
    assert made.id == "my-site" and client.project("/src/My Site").id == "my-site"
    assert made.info().name == "mine"
    with pytest.raises(claudehub.RequestRefused, match="project_exists"):
        client.create("/src/My Site")
    made.trust(False)
    assert made.info().trusted is False


def test_a_client_that_does_not_read_holds_up_nobody(fake: FakeHub, client: claudehub.Hub) -> None:
    site = client.project("/src/site")
    with WireClient(fake.url, close_timeout=0.1) as deaf:
        deaf.request("project_join", project_id="site")
        for _ in range(100):
            fake.say("site", "claude_text", {"text": "x" * 100_000})
        assert site.execute("Hi").wait() == "success"
        assert fake.connections == 2
        fake.drop_connections()
