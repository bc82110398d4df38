"""The hub's view over real sockets: `watch`, `unwatch`, `project_changed`, `project_deleted`."""

import contextlib
import itertools
import re
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.harness import HubProcess, WireClient
from tests.processes import wait_until
from tests.sockets import frame, read_until, upgraded
from tests.test_access import Keys, close_of, enter, keys
from tests.test_end_to_end import listed
from tests.test_ssh import keygen, public

__all__ = ["keys"]  # a fixture

_numbers = itertools.count(1)


def is_newest(client: WireClient, project_id: str, **facts: Any) -> bool:
    """Return True if the newest update of a project has shown these facts."""
    updates = of(client.updates, project_id)
    return bool(updates) and facts.items() <= updates[-1]["data"]["project"].items()


@pytest.fixture
def owner(hub: HubProcess) -> Iterator[WireClient]:
    with hub.client() as client:
        yield client


def make(hub: HubProcess, client: WireClient) -> str:
    """Create a project whose name no other test has."""
    answer = client.request("project_create", path=hub.folder(f"w{next(_numbers)}"))
    project_id: str = answer["project"]["project_id"]
    return project_id


def of(updates: list[dict[str, Any]], project_id: str) -> list[dict[str, Any]]:
    return [u for u in updates if u["project_id"] == project_id]


def wait_for_project(client: WireClient, project_id: str, **facts: Any) -> dict[str, Any]:
    """Return the next `project_changed` of a project with these facts."""
    while True:
        message = client.receive()
        assert message["type"] == "update", message
        update: dict[str, Any] = message["payload"]
        client.updates.append(update)
        project = update["data"].get("project")
        if update["project_id"] == project_id and project and facts.items() <= project.items():
            return update


def test_a_whole_turn_is_seen_without_a_join(hub: HubProcess, owner: WireClient) -> None:
    project_id = make(hub, owner)
    with hub.client() as viewer:
        seen = viewer.request("watch")["projects"]
        assert listed(viewer, project_id) in seen
        asked = owner.request("execute", project_id=project_id, prompt="[[tool:Bash:touch x]]")
        execution_id = asked["execution_id"]
        wait_for_project(viewer, project_id, status="executing", execution_id=execution_id)
        while not (pending := viewer.updates[-1]["data"]["project"]["pending_permissions"]):
            wait_for_project(viewer, project_id)
        answer = {"permission_id": pending[0]["permission_id"], "decision": "deny"}
        viewer.request("permission_answer", project_id=project_id, **answer)
        end = wait_for_project(viewer, project_id, status="idle")
        assert "seq" not in end and end["data"]["project"]["pending_permissions"] == []
        assert end["data"]["project"]["session_id"]
        assert {u["update_type"] for u in viewer.updates} == {"project_changed"}
        assert listed(viewer, project_id)["subscribers"] == 0


def test_a_new_project_comes_and_a_deleted_one_goes(hub: HubProcess, owner: WireClient) -> None:
    with hub.client() as one, hub.client() as other:
        for viewer in (one, other):
            viewer.request("watch")
        project_id = make(hub, owner)
        owner.request("project_delete", project_id=project_id)
        for viewer in (one, other):
            viewer.wait_for("project_deleted")
            types = [u["update_type"] for u in of(viewer.take(), project_id)]
            assert types == ["project_changed", "project_deleted"]


def test_who_has_joined_and_watches_gets_the_end_once(hub: HubProcess, owner: WireClient) -> None:
    project_id, other_id = make(hub, owner), make(hub, owner)
    with hub.client() as viewer:
        viewer.request("project_join", project_id=project_id)
        viewer.request("watch")
        for each in (project_id, other_id):
            owner.request("project_delete", project_id=each)
        wait_until_end(viewer, other_id)
        viewer.request("ping")
        ends = [u for u in viewer.updates if u["update_type"] == "project_deleted"]
        assert [u["project_id"] for u in ends] == [project_id, other_id]


def wait_until_end(client: WireClient, project_id: str) -> None:
    while not [u for u in of(client.updates, project_id) if u["update_type"] == "project_deleted"]:
        client.updates.append(client.receive()["payload"])


def test_unwatch_ends_it(hub: HubProcess, owner: WireClient) -> None:
    project_id = make(hub, owner)
    with hub.client() as viewer:
        viewer.request("watch")
        for _ in range(2):
            assert viewer.request("unwatch") == {}
        viewer.take()
        owner.run_after_join(project_id, "x")
        viewer.request("ping")
        assert viewer.take() == []
        again = viewer.request("watch")["projects"]
        assert project_id in [project["project_id"] for project in again]


def test_watch_twice_is_one_watch(hub: HubProcess, owner: WireClient) -> None:
    with hub.client() as viewer:
        first, second = viewer.request("watch"), viewer.request("watch")
        assert first == second
        project_id = make(hub, owner)
        wait_for_project(viewer, project_id)
        owner.request("project_delete", project_id=project_id)
        wait_until_end(viewer, project_id)
        assert len(of(viewer.take(), project_id)) == 2


def test_many_lines_are_few_changes(hub: HubProcess, owner: WireClient) -> None:
    project_id = make(hub, owner)
    with hub.client() as viewer:
        viewer.request("watch")
        owner.run_after_join(project_id, "[[lines:3000]]")
        wait_for_project(viewer, project_id, status="idle")
        changes = of(viewer.take(), project_id)
        # queued or started, the session is named, the end; and no line of the agent
        assert len(changes) <= 6


def test_many_changes_are_at_most_four_a_second(hub: HubProcess, owner: WireClient) -> None:
    project_id = make(hub, owner)
    with hub.client() as viewer:
        viewer.request("watch")
        last = ""
        for number in range(12):
            payload = {"project_id": project_id, "prompt": f"[[hang]] {number}"}
            last = owner.request("execute", **payload)["execution_id"]
        while not of(viewer.updates, project_id) or last not in queue(viewer.updates[-1]):
            wait_for_project(viewer, project_id)
        stamps = [datetime.fromisoformat(u["timestamp"]) for u in of(viewer.take(), project_id)]
        owner.request("project_delete", project_id=project_id)
    assert len(stamps) < 12
    firsts = zip(stamps, stamps[4:], strict=False)
    assert all(fifth - first > timedelta(seconds=0.99) for first, fifth in firsts)


def queue(update: dict[str, Any]) -> list[str]:
    return [waiting["execution_id"] for waiting in update["data"]["project"]["queue"]]


def churn(hub: HubProcess, name: str, made: list[str]) -> None:
    """Create projects, and delete every third; note those that stay."""
    with hub.client() as client:
        for number in range(12):
            project_id = f"{name}-{number}"
            path = hub.folder(project_id)
            client.request("project_create", path=path, project_id=project_id)
            if number % 3 == 0:
                client.request("project_delete", project_id=project_id)
            else:
                made.append(project_id)


def seen_by(view: set[str], updates: list[dict[str, Any]]) -> set[str]:
    """Return what a client has that applies the updates to its list."""
    for update in updates:
        gone = update["update_type"] == "project_deleted"
        (view.discard if gone else view.add)(update["project_id"])
    return {project_id for project_id in view if project_id.startswith("churn")}


def test_list_and_stream_have_no_hole_while_others_create_and_delete(
    hub: HubProcess, owner: WireClient
) -> None:
    """Each of many watches begins at another moment, and all end with what there is."""
    made: list[str] = []
    names = ("churn-x", "churn-y", "churn-z")
    threads = [threading.Thread(target=churn, args=(hub, name, made)) for name in names]
    with contextlib.ExitStack() as stack:
        viewers = []
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads) and len(viewers) < 60:
            viewer = stack.enter_context(hub.client())
            projects = viewer.request("watch")["projects"]
            assert viewer.updates == []  # nothing comes before the list
            viewers.append((viewer, {project["project_id"] for project in projects}))
        for thread in threads:
            thread.join()
        mark = make(hub, owner)
        assert len(made) == 24 and len(viewers) > 3
        for viewer, view in viewers:
            if mark not in view:
                wait_for_project(viewer, mark)
            viewer.request("unwatch")
            assert seen_by(view, viewer.updates) == set(made)
    for project_id in [*made, mark]:
        owner.request("project_delete", project_id=project_id)


def test_a_slow_client_gets_the_newest_only(hub: HubProcess, owner: WireClient) -> None:
    """Its socket is full with history while a project changes."""
    project_id, long_id = make(hub, owner), make(hub, owner)
    owner.run_after_join(long_id, "[[big:5000000]]")
    with upgraded(hub, receive_buffer=64 * 1024) as slow, hub.client() as prompt:
        slow.sendall(frame(1, b'{"type":"watch"}'))
        read_until(slow, b'"projects"')
        join = f'{{"type":"project_join","payload":{{"project_id":"{long_id}","after_seq":0}}}}'
        slow.sendall(frame(1, join.encode()))
        read_until(slow, b"x" * 1000)  # the rest of the line fills the socket
        prompt.request("watch")
        for _ in range(5):
            owner.request("agent_new_session", project_id=project_id)
            owner.run_after_join(project_id, "x")
        session_id = listed(owner, project_id)["session_id"]
        while not is_newest(prompt, project_id, session_id=session_id, status="idle"):
            prompt.updates.append(prompt.receive()["payload"])
        sent = len(of(prompt.updates, project_id))
        shown = rf'"{project_id}","update_type":"project_changed".*?"session_id":("\S+?"|null)'
        slow.sendall(frame(1, b'{"type":"ping","id":"last"}'))
        data = read_until(slow, b'"id":"last"').decode(errors="replace")
        found = re.findall(shown, data)
        assert found[-1] == f'"{session_id}"'
        assert len(found) < sent


def test_a_watcher_that_drops_leaves_nothing_behind(hub: HubProcess, owner: WireClient) -> None:
    with upgraded(hub) as dropping:
        dropping.sendall(frame(1, b'{"type":"watch"}'))
    wait_until(lambda: owner.request("health_check")["connections"] == 1)
    project_id = make(hub, owner)
    assert owner.run_after_join(project_id, "x")["outcome"] == "success"


# -- keys ------------------------------------------------------------------------------------


def test_keys_see_their_own_and_lose_it(keys: Keys, start_hub: Any, scratch: Path) -> None:
    guest = keygen(scratch, name="guest")
    line = 'claudehub="projects=b;read-only" ' + public(guest)
    keys.write(public(keys.key) + line)
    hub = start_hub(AUTHORIZED_KEYS=str(keys.file))
    with hub.client() as owner, hub.client() as viewer:
        enter(owner, keys.key)
        enter(viewer, guest)
        owner.request("project_create", path=hub.folder("a"))
        assert viewer.request("watch") == {"projects": []}
        owner.request("project_create", path=hub.folder("b"))
        for name in "ab":
            owner.run_after_join(name, "x")
        wait_for_project(viewer, "b", status="executing")
        assert {update["project_id"] for update in viewer.take()} == {"b"}
        keys.write(public(keys.key))
        assert close_of(viewer)[0] == 1008
        owner.run("b", "x")
        audit = (hub.data / "audit.jsonl").read_text()
        assert '"action":"watch"' in audit.replace(" ", "")
