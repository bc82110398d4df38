"""Joins while an agent writes thousands of lines: each client gets each number once."""

import random
import threading
from typing import Any

from tests.harness import HubProcess, WireClient
from tests.test_end_to_end import listed

LINES = 4000
JOINS = 25


def follow(client: WireClient, after: int) -> list[int]:
    """Joins behind a number and reads to the end of the execution."""
    client.request("project_join", project_id="live", after_seq=after)
    end = client.wait_for("execution_finished")
    seqs = [u["seq"] for u in client.updates if "seq" in u]
    return [seq for seq in seqs if seq <= end["seq"]]


def test_25_joins_at_random_positions_during_4000_lines(hub: HubProcess) -> None:
    chooser = random.Random(20261124)
    results: dict[int, tuple[int, list[int]]] = {}

    def join(number: int, after: int) -> None:
        with hub.client() as client:
            results[number] = (after, follow(client, after))

    with hub.client() as watcher:
        watcher.request("project_create", path=hub.folder("live"))
        watcher.request("project_join", project_id="live")
        watcher.request("execute", project_id="live", prompt=f"[[lines:{LINES}]][[pace:0.0003]]")
        threads = []
        for number in range(JOINS):
            wanted = (number + 1) * LINES // (JOINS + 2)
            while not watcher.updates or watcher.updates[-1].get("seq", 0) < wanted:
                watcher.updates.append(watcher.receive()["payload"])
            last = watcher.updates[-1]["seq"]
            after = chooser.choice([0, last, chooser.randrange(last + 1)])
            thread = threading.Thread(target=join, args=(number, after))
            thread.start()
            threads.append(thread)
        end = watcher.wait_for("execution_finished")["seq"]
        for thread in threads:
            thread.join(30)
    assert len(results) == JOINS
    for after, seqs in results.values():
        assert seqs == list(range(after + 1, end + 1)), (after, seqs[:3], len(seqs))


def test_each_kind_of_position_starts_where_it_says(hub: HubProcess) -> None:
    with hub.client() as client:
        client.request("project_create", path=hub.folder("positions"))
        client.request("project_join", project_id="positions")
        client.run("positions", "[[lines:10]]")
        seen = [u for u in client.take() if "seq" in u]
        last = seen[-1]["seq"]

        def joined(**position: Any) -> list[int]:
            answer = client.request("project_join", project_id="positions", **position)
            assert (answer["first_seq"], answer["last_seq"]) == (1, last)
            client.request("ping")
            while not position and client.updates:
                client.updates.clear()
            want = expected[-1] if expected else None
            while want and (not client.updates or client.updates[-1].get("seq") != want):
                client.updates.append(client.receive()["payload"])
            return [u["seq"] for u in client.take() if "seq" in u]

        expected = list(range(1, last + 1))
        assert joined(after_seq=0) == expected
        expected = list(range(last - 2, last + 1))
        assert joined(last=3) == expected
        assert joined(after_seq=last - 3) == expected
        expected = list(range(1, last + 1))
        assert joined(since=seen[0]["timestamp"]) == expected
        assert joined(last=10_000) == expected
        expected = []
        assert joined(after_seq=last) == []
        assert joined() == []
        assert joined(since="2999-01-01T00:00:00+01:00") == []


def test_a_position_outside_the_log_is_history_gone(hub: HubProcess) -> None:
    with hub.client() as client:
        client.request("project_create", path=hub.folder("gone"))
        answer = client.request("project_join", project_id="gone")
        for position in ({"after_seq": 1}, {"after_seq": 10**30}, {"log_id": "other"}):
            error = client.refused("project_join", project_id="gone", **position)
            assert error["code"] == "history_gone"
            assert error["details"] == {
                "log_id": answer["log_id"],
                "first_seq": 1,
                "last_seq": 0,
            }
        client.request("project_join", project_id="gone", after_seq=0, log_id=answer["log_id"])


def test_ephemeral_updates_can_be_left_out(hub: HubProcess) -> None:
    with hub.client() as client:
        client.request("project_create", path=hub.folder("ephemeral"))
        client.request("project_join", project_id="ephemeral", ephemeral=False)
        client.run("ephemeral", "[[deltas:3]]")
        kinds = {u["update_type"] for u in client.updates}
        assert "claude_delta" not in kinds
        assert "status" in kinds


def test_leaving_ends_the_updates(hub: HubProcess) -> None:
    with hub.client() as client, hub.client() as other:
        client.request("project_create", path=hub.folder("left"))
        client.request("project_join", project_id="left")
        assert client.request("project_leave", project_id="left") == {"project_id": "left"}
        assert client.request("project_leave", project_id="left") == {"project_id": "left"}
        other.request("project_join", project_id="left")
        other.run("left", "x")
        client.request("ping")
        assert client.updates == []
        assert listed(client, "left")["subscribers"] == 1


def test_get_messages_pages_forwards_and_backwards(hub: HubProcess) -> None:
    with hub.client() as client:
        client.request("project_create", path=hub.folder("pages"))
        client.request("project_join", project_id="pages")
        client.run("pages", "[[lines:10]]")
        seen = [u for u in client.updates if "seq" in u]
        last = seen[-1]["seq"]

        def page(**bounds: Any) -> tuple[list[int], bool]:
            answer = client.request("get_messages", project_id="pages", **bounds)
            assert (answer["first_seq"], answer["last_seq"]) == (1, last)
            return [m["seq"] for m in answer["messages"]], answer["more"]

        assert page() == (list(range(1, last + 1)), False)
        assert page(limit=3) == ([last - 2, last - 1, last], True)
        assert page(after_seq=0, limit=3) == ([1, 2, 3], True)
        assert page(after_seq=last - 1) == ([last], False)
        assert page(after_seq=last) == ([], False)
        assert page(after_seq=10**20) == ([], False)
        assert page(before_seq=4) == ([1, 2, 3], False)
        assert page(before_seq=4, limit=2) == ([2, 3], True)
        assert page(after_seq=2, before_seq=5) == ([3, 4], False)
        assert page(since=seen[0]["timestamp"], limit=2)[0] == [1, 2]
        assert page(until=seen[-1]["timestamp"]) == (list(range(1, last + 1)), False)
        assert page(until="2000-01-01T00:00:00Z") == ([], False)
        answer = client.request("get_messages", project_id="pages", limit=1000)
        assert answer["messages"] == seen
