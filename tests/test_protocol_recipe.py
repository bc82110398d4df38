"""The recipe of docs/protocol.md, run as the page has it: against a hub that is killed and that
refuses, and against a server that says what a hub says seldom."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from tests.fences import fences
from tests.harness import ROOT, HubProcess

PAGE = ROOT / "docs" / "protocol.md"


class Recipe:
    """The page's client as a process; `lines` are what it prints. `notes` are those for people."""

    def __init__(self, folder: Path, url: str, *prompts: str) -> None:
        (block,) = (fence for fence in fences(PAGE) if fence.language == "python")
        program = folder / "recipe.py"
        program.write_text(block.text)
        self.process = subprocess.Popen(
            [sys.executable, str(program), url, "site", *prompts], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.lines: Iterator[str] = iter(self.process.stdout)
        self.notes: list[str] = []

    def until(self, found: str) -> list[dict[str, Any]]:
        """Return the updates up to the first one with that type, or up to a note with that text."""
        updates = []
        for line in self.lines:
            if line.startswith("{"):
                updates.append(json.loads(line))
                if updates[-1]["update_type"] == found:
                    return updates
            else:
                self.notes.append(line.strip())
                if found in line:
                    return updates
        raise AssertionError("the client has ended")

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def recipe(scratch: Path) -> Iterator[Any]:
    started: list[Recipe] = []

    def start(url: str, *prompts: str) -> Recipe:
        started.append(Recipe(scratch, url, *prompts))
        return started[-1]

    yield start
    for client in started:
        client.stop()


def ask_from_elsewhere(hub: HubProcess, kind: str, **payload: Any) -> dict[str, Any]:
    with hub.client() as other:
        return other.request(kind, **payload)


# -- against a hub


def restart(hub: HubProcess, **settings: str) -> None:
    hub.start(WS_PORT=hub.url.rpartition(":")[2], **settings)


def test_the_recipe_misses_nothing_and_runs_each_prompt_at_most_once(
    start_hub: Any, recipe: Any
) -> None:
    hub: HubProcess = start_hub()
    ask_from_elsewhere(hub, "project_create", path=hub.folder("site"))
    client = recipe(hub.url, "[[lines:3000]][[hang]]", "second")
    seen = client.until("execution_queued") + client.until("claude")
    for number in (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM):
        hub.stop(number)
        restart(hub)
        ask_from_elsewhere(hub, "execute", project_id="site", prompt="one more")
        while seen[-1]["data"].get("outcome") != "success":
            seen += client.until("execution_finished")
        seen += [{"update_type": "restart", "data": {}}]
    logged = [update for update in seen if "seq" in update]
    assert [update["seq"] for update in logged] == list(range(1, len(logged) + 1))
    prompts = [u["data"]["prompt"] for u in logged if u["update_type"] == "prompt"]
    assert prompts == ["[[lines:3000]][[hang]]", "second", *["one more"] * 3]
    ends = [u["data"]["outcome"] for u in logged if u["update_type"] == "execution_finished"]
    assert ends == ["lost", "lost", "success", "success", "success"]


def test_the_recipe_says_that_a_log_is_another_one_and_goes_on(start_hub: Any, recipe: Any) -> None:
    hub: HubProcess = start_hub()
    ask_from_elsewhere(hub, "project_create", path=hub.folder("site"))
    client = recipe(hub.url, "first")
    client.until("execution_finished")
    hub.stop()
    command = [sys.executable, str(ROOT / "claudehub" / "__main__.py"), "log", "new-id"]
    subprocess.run([*command, "--data-dir", str(hub.data)], check=True, capture_output=True)
    restart(hub)
    assert [u for u in client.until("begins anew") if "seq" in u] == []
    assert client.until("execution_finished")[0]["seq"] == 1


def test_the_recipe_waits_on_its_connection_for_room_in_the_queue(
    start_hub: Any, recipe: Any
) -> None:
    hub: HubProcess = start_hub(MAX_QUEUE="0")
    ask_from_elsewhere(hub, "project_create", path=hub.folder("site"))
    prompts = ["[[slow:3:0.05]]", "[[slow:3:0.1]]", "third"]
    began = time.monotonic()
    client = recipe(hub.url, *prompts)
    seen = [update for _ in prompts for update in client.until("execution_finished")]
    assert [u["data"]["prompt"] for u in seen if u["update_type"] == "prompt"] == prompts
    assert len([note for note in client.notes if "(queue_full)" in note]) >= 2
    assert time.monotonic() - began < 25  # it has not waited for the 30 s of the page
    assert len([note for note in client.notes if note.startswith("now ")]) == 1


def test_a_prompt_that_is_refused_for_good_does_not_end_the_recipe(
    start_hub: Any, recipe: Any
) -> None:
    hub: HubProcess = start_hub()
    ask_from_elsewhere(hub, "project_create", path=hub.folder("site"))
    client = recipe(hub.url, "", "second")
    assert client.until("execution_finished")[0]["data"]["prompt"] == "second"
    assert any("(invalid_message)" in note for note in client.notes)


def test_the_recipe_ends_where_trying_again_is_of_no_use(hub: HubProcess, recipe: Any) -> None:
    client = recipe(hub.url)  # there is no project `site`
    assert client.process.wait(10) == 1
    client = recipe(f"{hub.url}/elsewhere")
    assert client.process.wait(10) == 1


# -- against a server that says what a hub says seldom

PROJECT = {"project_id": "site", "status": "idle", "queue": [], "pending_permissions": []}
BOUNDS = {"log_id": "a", "first_seq": 1, "last_seq": 0}
CLOSE = "close"  # a step of a script: the server closes the connection with 1001

Asked = tuple[float, str, dict[str, Any]]


def joined(**bounds: Any) -> dict[str, Any]:
    return {"type": "result", "payload": {"project": PROJECT, **BOUNDS, **bounds}}


def refused(code: str, **details: Any) -> dict[str, Any]:
    return {"type": "error", "payload": {"code": code, "message": "no", "details": details}}


def update(kind: str, data: dict[str, Any], **fields: Any) -> dict[str, Any]:
    payload = {"project_id": "site", "update_type": kind, "data": data, "timestamp": "", **fields}
    return {"type": "update", "payload": payload}


class ScriptedHub:
    """Answer the n-th request with the n-th entry of a script: a reply, and what follows it.
    `asked` has what came, and when; `handshakes` when a client has knocked."""

    def __init__(self, *script: list[Any], retry_after: str | None = None) -> None:
        self.asked: list[Asked] = []
        self.handshakes: list[float] = []
        self._script = iter(script)
        self._retry_after = retry_after
        self._server = serve(self._serve, "127.0.0.1", 0, process_request=self._knock)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}"

    def _knock(self, connection: ServerConnection, _request: Request) -> Response | None:
        self.handshakes.append(time.monotonic())
        retry_after, self._retry_after = self._retry_after, None
        if retry_after is None:
            return None
        response = connection.respond(503, "too many connections\n")
        response.headers["Retry-After"] = retry_after
        return response

    def _serve(self, connection: ServerConnection) -> None:
        connection.send(json.dumps({"type": "welcome", "payload": {"auth": None}}))
        try:
            for message in connection:
                request = json.loads(message)
                self.asked.append((time.monotonic(), request["type"], request["payload"]))
                reply, *following = next(self._script)
                for said in ({**reply, "id": request["id"]}, *following):
                    if said == CLOSE:
                        connection.close(1001)
                    else:
                        connection.send(json.dumps(said))
        except ConnectionClosed:
            return  # the test has ended

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()


@pytest.fixture
def scripted() -> Iterator[Callable[..., ScriptedHub]]:
    started: list[ScriptedHub] = []

    def start(*script: list[Any], **options: Any) -> ScriptedHub:
        started.append(ScriptedHub(*script, **options))
        return started[-1]

    yield start
    for server in started:
        server.stop()


def positions(server: ScriptedHub) -> list[tuple[Any, Any]]:
    joins = [payload for _, kind, payload in server.asked if kind == "project_join"]
    return [(join.get("log_id"), join.get("after_seq")) for join in joins]


def test_the_recipe_takes_a_second_history_gone_as_the_first(scripted: Any, recipe: Any) -> None:
    gap = update("gap", {"first_seq": 1, "last_seq": 4})
    server = scripted(
        [joined(last_seq=4), gap, CLOSE],
        [refused("history_gone", log_id="a", first_seq=11, last_seq=50)],
        [refused("history_gone", log_id="a", first_seq=21, last_seq=60)],
        [joined(first_seq=21, last_seq=60), update("status", {"status": "idle"})],
    )
    client = recipe(server.url)
    client.until("status")
    assert positions(server) == [(None, None), ("a", 4), ("a", 10), ("a", 20)]
    gone = [note for note in client.notes if "gone" in note]
    assert gone == ["the updates from 5 to 10 are gone", "the updates from 11 to 20 are gone"]


def test_the_recipe_knows_a_position_that_was_wrong(scripted: Any, recipe: Any) -> None:
    server = scripted(
        [joined(last_seq=7), update("prompt", {}, seq=7), CLOSE],
        [refused("history_gone", log_id="a", first_seq=1, last_seq=3)],
        [joined(last_seq=3), update("prompt", {}, seq=1), update("status", {"status": "idle"})],
    )
    client = recipe(server.url)
    assert [u["seq"] for u in client.until("status") if "seq" in u] == [7, 1]
    assert positions(server) == [(None, None), ("a", 7), ("a", 0)]
    assert "the position 7 was wrong: the log ends at 3" in client.notes


def test_the_recipe_holds_back_and_then_sends_one_by_one(scripted: Any, recipe: Any) -> None:
    accepted = [{"type": "result", "payload": {"execution_id": "e", "state": "started"}}]
    server = scripted(
        [refused("rate_limited", retry_after_seconds=0.4)],
        [joined()],
        [refused("rate_limited", retry_after_seconds=0.4)],
        accepted,
        accepted,
        [*accepted, update("status", {"status": "idle"})],
    )
    recipe(server.url, "one", "two", "three").until("status")
    times = [at for at, _, _ in server.asked]
    asked = [payload.get("prompt") for _, _, payload in server.asked]
    assert asked == [None, None, "one", "one", "two", "three"]
    assert times[1] - times[0] >= 0.4 and times[3] - times[2] >= 0.4


def test_the_recipe_waits_as_long_as_retry_after_says(scripted: Any, recipe: Any) -> None:
    server = scripted([joined(), update("status", {"status": "idle"})], retry_after="1")
    recipe(server.url).until("status")
    first, second = server.handshakes
    assert second - first >= 1


def test_the_recipe_keeps_its_connection_when_the_hub_cannot_store(
    scripted: Any, recipe: Any
) -> None:
    server = scripted(
        [joined()],
        [refused("storage_failed")],
        [refused("internal")],
        [{"type": "result", "payload": {}}, update("status", {"status": "idle"})],
    )
    recipe(server.url, "one").until("status")
    keys = {payload["key"] for _, kind, payload in server.asked if kind == "execute"}
    assert len(server.asked) == 4 and len(keys) == len(server.handshakes) == 1
