"""The readers of updates: several of one project, slow ones, logs that change, and losses."""

import pytest

from claudehub.client import flows
from claudehub.client.calls import REPLY_TIMEOUT_S
from claudehub.client.errors import NoReply, RequestRefused
from claudehub.client.position import Position
from claudehub.client.progress import Begun, Progress
from claudehub.client.session import State
from claudehub.client.streams import BUFFER_BYTES_MAX, Stream, WatchStream
from claudehub.client.subscriptions import GONE_IN_A_ROW_MAX
from claudehub.client.updates import (
    ExecutionFinished,
    Gap,
    HistoryGone,
    ProjectChanged,
    ProjectDeleted,
    Status,
    Update,
)
from tests.scripted_hub import ScriptedHub, project_object, seqs, taken


@pytest.fixture
def hub() -> ScriptedHub:
    return ScriptedHub().open()


def kinds(stream: Stream) -> list[str]:
    return [update.type for update in taken(stream)]


# -- one reader


def test_a_reader_gets_what_follows_its_position(hub: ScriptedHub) -> None:
    stream = hub.read(41)
    request = hub.take("project_join")
    assert request["payload"] == {
        "project_id": "site",
        "after_seq": 41,
        "log_id": "log",
        "ephemeral": True,
    }
    hub.joined(request, last_seq=42)
    hub.update("site", 42)
    hub.update("site", 43)
    updates = stream.take()
    assert [update.position for update in updates] == [Position("log", 42), Position("log", 43)]


def test_after_a_loss_it_goes_on_behind_the_last(hub: ScriptedHub) -> None:
    stream = hub.read(0)
    hub.joined(hub.take("project_join"))
    for seq in (1, 2, 3):
        hub.update("site", seq)
    hub.cut()
    hub.reopen()
    request = hub.take("project_join")
    assert request["payload"]["after_seq"] == 3 and request["payload"]["log_id"] == "log"
    hub.joined(request)
    hub.update("site", 4)
    assert seqs(stream) == [1, 2, 3, 4]


def test_a_number_that_comes_twice_is_given_once(hub: ScriptedHub) -> None:
    stream = hub.read(0)
    hub.joined(hub.take("project_join"))
    for seq in (1, 2, 2, 1, 3):
        hub.update("site", seq)
    assert seqs(stream) == [1, 2, 3]


def test_a_number_that_is_missing_ends_the_connection_and_is_asked_for_again(
    hub: ScriptedHub,
) -> None:
    stream = hub.read(0)
    hub.joined(hub.take("project_join"))
    hub.update("site", 1)
    hub.update("site", 3)
    assert hub.session.state is State.WAITING and "left out" in hub.session.why
    hub.reopen()
    request = hub.take("project_join")
    assert request["payload"]["after_seq"] == 1
    hub.joined(request)
    hub.update("site", 2)
    hub.update("site", 3)
    assert seqs(stream) == [1, 2, 3]


def test_updates_before_the_answer_to_a_join_are_not_for_it(hub: ScriptedHub) -> None:
    stream = hub.read(0)
    request = hub.take("project_join")
    hub.update("site", 99)
    hub.joined(request)
    hub.update("site", 1)
    assert seqs(stream) == [1]


def test_ephemeral_updates_carry_the_position_of_the_reader(hub: ScriptedHub) -> None:
    stream = hub.read(0)
    hub.joined(hub.take("project_join"))
    hub.update("site", 1)
    hub.update("site", None, "claude_delta", data={"event": {}})
    assert [(u.seq, u.position) for u in stream.take()] == [
        (1, Position("log", 1)),
        (None, Position("log", 1)),
    ]


def test_unknown_types_are_plain_updates(hub: ScriptedHub) -> None:
    stream = hub.read(0)
    hub.joined(hub.take("project_join"))
    hub.update("site", 1, "weather", data={"rain": True})
    hub.update("site", None, "wind", data={"force": 7})
    first, second = stream.take()
    assert type(first) is Update and first.type == "weather" and first.data == {"rain": True}
    assert type(second) is Update and second.raw["data"] == {"force": 7}


def test_known_types_of_another_shape_are_plain_updates(hub: ScriptedHub) -> None:
    stream = hub.read(0)
    hub.joined(hub.take("project_join"))
    known = ["prompt", "execution_queued", "permission_request", "execution_finished", "claude"]
    for seq, kind in enumerate(known, 1):
        hub.update("site", seq, kind, data={"nothing": "as expected"})
    hub.update("site", 6, "claude", data=5)
    hub.update("site", 7, "status", data=None)
    updates = stream.take()
    assert [type(update) for update in updates] == [Update] * 7
    assert [update.type for update in updates[:5]] == known
    assert updates[0].data == {"nothing": "as expected"}


@pytest.mark.parametrize("seq", ["1", [1], {}])
def test_a_number_that_is_none_ends_the_connection_in_words(hub: ScriptedHub, seq: object) -> None:
    hub.read(0)
    hub.joined(hub.take("project_join"))
    raw = {"project_id": "site", "update_type": "status", "data": {}, "seq": seq}
    hub.send({"type": "update", "payload": raw})
    assert hub.session.state is State.WAITING and "no hub sends" in hub.session.why


def test_a_project_that_is_not_there_is_refused_when_the_reader_begins(hub: ScriptedHub) -> None:
    running = hub.run(flows.started_at("nosuch", None, None, None))
    hub.refuse(hub.take("get_messages"), "project_not_found")
    assert isinstance(running.error, RequestRefused)


def test_a_join_that_is_refused_ends_the_reader_with_that(hub: ScriptedHub) -> None:
    stream = hub.read(0)
    hub.refuse(hub.take("project_join"), "forbidden")
    with pytest.raises(RequestRefused, match="forbidden"):
        stream.take()


def test_a_join_that_is_never_answered_ends_the_connection_and_not_the_reader(
    hub: ScriptedHub,
) -> None:
    stream, watcher = hub.read(0), hub.watch()
    for _ in range(int(REPLY_TIMEOUT_S)):
        hub.raw(b"\x89\x00")
        hub.advance(1)
    assert hub.session.state is State.WAITING and "has not answered" in hub.session.why
    hub.requests.clear()
    hub.reopen()
    hub.reply(hub.take("watch"), projects=[])
    hub.joined(hub.take("project_join"))
    hub.update("site", 1)
    assert seqs(stream) == [1] and not watcher.is_over


def test_a_request_that_is_never_answered_fails_alone_beside_a_join(hub: ScriptedHub) -> None:
    call = hub.ask("ping")
    hub.read(0)
    for _ in range(int(REPLY_TIMEOUT_S)):
        hub.raw(b"\x89\x00")
        hub.advance(1)
    assert isinstance(call.error, NoReply)


def test_a_rate_limited_join_is_sent_again(hub: ScriptedHub) -> None:
    stream = hub.read(0)
    hub.refuse(hub.take("project_join"), "rate_limited", retry_after_seconds=3)
    hub.advance(3)
    hub.joined(hub.take("project_join"))
    hub.update("site", 1)
    assert seqs(stream) == [1]


def test_a_rate_limited_join_is_not_sent_on_another_connection_as_well(hub: ScriptedHub) -> None:
    hub.read(0)
    hub.refuse(hub.take("project_join"), "rate_limited", retry_after_seconds=3)
    hub.cut()
    hub.reopen()
    hub.joined(hub.take("project_join"))
    hub.advance(3)
    assert hub.asked_nothing()


# -- several readers of one project


def test_two_readers_share_a_subscription(hub: ScriptedHub) -> None:
    first = hub.read(0)
    hub.joined(hub.take("project_join"))
    hub.update("site", 1)
    second = hub.read(1)
    assert hub.asked_nothing()
    hub.update("site", 2)
    assert seqs(first) == [1, 2] and seqs(second) == [2]


def test_a_reader_that_is_behind_joins_again_and_the_other_sees_nothing_twice(
    hub: ScriptedHub,
) -> None:
    live = hub.read(100)
    hub.joined(hub.take("project_join"), last_seq=100)
    hub.update("site", 101)
    behind = hub.read(98)
    request = hub.take("project_join")
    assert request["payload"]["after_seq"] == 98
    hub.joined(request, last_seq=101)
    for seq in (99, 100, 101, 102):
        hub.update("site", seq)
    assert seqs(live) == [101, 102] and seqs(behind) == [99, 100, 101, 102]


def test_live_updates_during_a_join_make_no_hole_for_the_reader_that_is_behind(
    hub: ScriptedHub,
) -> None:
    live = hub.read(100)
    hub.joined(hub.take("project_join"), last_seq=100)
    behind = hub.read(98)
    request = hub.take("project_join")
    hub.update("site", 101)  # of the subscription before
    hub.update("site", None, "claude_delta", data={"event": {}})
    hub.joined(request, last_seq=101)
    for seq in (99, 100, 101, 102):
        hub.update("site", seq)
    assert seqs(live) == [101, None, 102]
    assert seqs(behind) == [99, 100, 101, 102]


def test_a_gap_that_is_meant_for_another_reader_makes_no_hole(hub: ScriptedHub) -> None:
    live = hub.read(100)
    hub.joined(hub.take("project_join"), last_seq=100)
    behind = hub.read(98)
    request = hub.take("project_join")
    gap = {"first_seq": 101, "last_seq": 103}
    hub.update("site", None, "gap", data=gap)
    hub.joined(request, last_seq=103)
    hub.update("site", 99)
    hub.update("site", 100)
    hub.update("site", None, "gap", data=gap)
    hub.update("site", 104)
    assert seqs(live) == [None, 104]
    assert seqs(behind) == [99, 100, None, 104]


def test_a_third_reader_during_a_join_begins_further_behind(hub: ScriptedHub) -> None:
    streams = [hub.read(100), hub.read(50)]
    hub.joined(hub.take("project_join"), last_seq=100)
    streams.append(hub.read(98))
    hub.joined(hub.take("project_join"), last_seq=100)
    for seq in range(51, 102):
        hub.update("site", seq)
    assert [seqs(stream)[0] for stream in streams] == [101, 51, 99]


def test_a_reader_without_ephemeral_updates_gets_status_and_gap_only(hub: ScriptedHub) -> None:
    stream = hub.read(0, ephemeral=False)
    request = hub.take("project_join")
    assert request["payload"]["ephemeral"] is False
    hub.joined(request)
    hub.read(0)
    again = hub.take("project_join")
    assert again["payload"]["ephemeral"] is True
    hub.joined(again)
    hub.update("site", None, "claude_delta", data={"event": {}})
    hub.update("site", None, "files_changed", data={"paths": ["a"]})
    hub.update("site", None, "status", data={"status": "idle"})
    hub.update("site", None, "gap", data={"first_seq": 1, "last_seq": 2})
    hub.update("site", 3)
    assert [type(u) for u in stream.take()[:2]] == [Status, Gap]


def test_ephemeral_updates_are_joined_again_after_a_loss(hub: ScriptedHub) -> None:
    hub.read(0, ephemeral=False)
    hub.joined(hub.take("project_join"))
    hub.read(0, ephemeral=True)
    hub.joined(hub.take("project_join"))
    hub.cut()
    hub.reopen()
    assert hub.take("project_join")["payload"]["ephemeral"] is True


def test_the_project_is_left_with_its_last_reader(hub: ScriptedHub) -> None:
    first, second = hub.read(0), hub.read(0)
    hub.joined(hub.take("project_join"))
    hub.leave(first)
    assert hub.asked_nothing()
    hub.leave(second)
    assert hub.take("project_leave")["payload"] == {"project_id": "site"}
    hub.cut()
    hub.reopen()
    assert hub.asked_nothing()


def test_a_reader_that_comes_as_the_last_goes_begins_where_it_asks(hub: ScriptedHub) -> None:
    first = hub.read(5)
    hub.joined(hub.take("project_join"), last_seq=5)
    hub.leave(first)
    leave = hub.take("project_leave")
    second = hub.read(3)
    join = hub.take("project_join")
    hub.update("site", 6)  # sent before the hub has read either
    hub.reply(leave, project_id="site")
    hub.joined(join, last_seq=6)
    for seq in (4, 5, 6):
        hub.update("site", seq)
    assert seqs(second) == [4, 5, 6]


def test_a_refusal_of_an_old_join_does_not_end_a_new_reader(hub: ScriptedHub) -> None:
    first = hub.read(0)
    refused = hub.take("project_join")
    hub.leave(first)
    hub.take("project_leave")
    second = hub.read(0)
    request = hub.take("project_join")
    hub.refuse(refused, "project_not_found")
    hub.joined(request)
    hub.update("site", 1)
    assert seqs(second) == [1]


def test_an_abandoned_reader_is_forgotten_with_the_next_update(hub: ScriptedHub) -> None:
    stream = hub.read(0)
    hub.joined(hub.take("project_join"))
    stream.abandon()
    hub.update("site", 1)
    assert hub.take("project_leave")
    watcher = hub.watch()
    hub.reply(hub.take("watch"), projects=[])
    watcher.abandon()
    hub.update("site", None, "project_changed", data={"project": project_object("site")})
    assert hub.take("unwatch")


def test_projects_are_apart(hub: ScriptedHub) -> None:
    site, docs = hub.read(0, "site"), hub.read(7, "docs")
    hub.joined(hub.take("project_join"))
    hub.joined(hub.take("project_join"), last_seq=7)
    hub.update("docs", 8)
    hub.update("site", 1)
    assert seqs(site) == [1] and seqs(docs) == [8]


# -- slow readers

BIG = "x" * (1024 * 1024)
FILLS = BUFFER_BYTES_MAX // len(BIG)


def filled(hub: ScriptedHub, first: int, count: int) -> None:
    for seq in range(first, first + count):
        hub.update("site", seq, data={"text": BIG})


def test_a_slow_reader_leaves_and_comes_back_and_loses_nothing(hub: ScriptedHub) -> None:
    stream = hub.read(0)
    hub.joined(hub.take("project_join"))
    filled(hub, 1, FILLS + 2)
    leave = hub.take("project_leave")
    assert stream.is_paused
    hub.reply(leave, project_id="site")
    got = seqs(stream)
    assert got == list(range(1, FILLS + 1))
    request = hub.take("project_join")
    assert request["payload"]["after_seq"] == FILLS
    hub.joined(request)
    hub.update("site", FILLS + 1)
    assert seqs(stream) == [FILLS + 1]


def test_what_a_slow_reader_holds_is_bounded(hub: ScriptedHub) -> None:
    stream = hub.read(0)
    hub.joined(hub.take("project_join"))
    filled(hub, 1, 3 * FILLS)
    held = sum(len(update.data["text"]) for update in stream.take())
    assert held <= BUFFER_BYTES_MAX + len(BIG)


def test_small_updates_count_by_what_they_cost(hub: ScriptedHub) -> None:
    stream = Stream("site", Position("log", 0), ephemeral=True)
    seq = 0
    while not stream.is_paused:
        seq += 1
        position = Position("log", seq)
        stream.offer(Update("site", seq, "", None, position, {"update_type": "x"}), 1)
    assert seq < BUFFER_BYTES_MAX / 500 + 2


def test_a_slow_reader_does_not_hold_up_a_quick_one(hub: ScriptedHub) -> None:
    slow, quick = hub.read(0), hub.read(0)
    hub.joined(hub.take("project_join"))
    got = []
    for seq in range(1, FILLS + 4):
        filled(hub, seq, 1)
        got += seqs(quick)
    assert got == list(range(1, FILLS + 4)) and slow.is_paused
    assert hub.asked_nothing()
    first = seqs(slow)
    request = hub.take("project_join")
    assert request["payload"]["after_seq"] == first[-1] == FILLS
    hub.update("site", FILLS + 4)  # live, before the hub has read the join
    hub.joined(request)
    for seq in range(FILLS + 1, FILLS + 5):
        hub.update("site", seq)
    assert seqs(slow) == [FILLS + 1, FILLS + 2, FILLS + 3, FILLS + 4]
    assert seqs(quick) == [FILLS + 4]


def test_a_slow_reader_is_told_of_the_deletion_of_its_project(hub: ScriptedHub) -> None:
    slow, quick = hub.read(0), hub.read(0)
    hub.joined(hub.take("project_join"))
    for seq in range(1, FILLS + 2):
        filled(hub, seq, 1)
        taken(quick)
    hub.update("site", None, "project_deleted", data={"by": "ada"})
    assert isinstance(slow.take()[-1], ProjectDeleted)
    assert isinstance(quick.take()[-1], ProjectDeleted)
    with pytest.raises(EOFError):
        slow.take()


def test_a_slow_reader_that_loses_its_connection_goes_on_when_it_has_room(
    hub: ScriptedHub,
) -> None:
    stream = hub.read(0)
    hub.joined(hub.take("project_join"))
    filled(hub, 1, FILLS)
    hub.take("project_leave")
    hub.cut()
    hub.reopen()
    assert hub.asked_nothing()
    seqs(stream)
    assert hub.take("project_join")["payload"]["after_seq"] == FILLS


# -- logs that are not what they were


def gone_details(**details: object) -> dict[str, object]:
    return {"log_id": "new", "first_seq": 1, "last_seq": 2, **details}


def test_another_log_is_told_and_read_from_its_beginning(hub: ScriptedHub) -> None:
    stream = hub.read(41)
    hub.refuse(hub.take("project_join"), "history_gone", **gone_details())
    request = hub.take("project_join")
    assert request["payload"]["after_seq"] == 0 and request["payload"]["log_id"] == "new"
    hub.joined(request, "new", last_seq=2)
    hub.update("site", 1)
    gone, update = stream.take()
    assert isinstance(gone, HistoryGone)
    assert (gone.log_id, gone.first_seq, gone.last_seq) == ("new", 1, 2)
    assert gone.position == Position("new", 0) and update.position == Position("new", 1)


def test_a_shortened_log_is_told_and_read_from_what_is_left(hub: ScriptedHub) -> None:
    stream = hub.read(5)
    details = gone_details(log_id="log", first_seq=100, last_seq=120)
    hub.refuse(hub.take("project_join"), "history_gone", **details)
    request = hub.take("project_join")
    assert request["payload"]["after_seq"] == 99
    hub.joined(request, last_seq=120)
    hub.update("site", 100)
    assert seqs(stream) == [None, 100]


def test_a_position_above_the_last_is_told(hub: ScriptedHub) -> None:
    stream = hub.read(500)
    details = gone_details(log_id="log", first_seq=1, last_seq=3)
    hub.refuse(hub.take("project_join"), "history_gone", **details)
    assert isinstance(stream.take()[0], HistoryGone)
    assert hub.take("project_join")["payload"]["after_seq"] == 0


def test_a_log_that_changes_while_the_connection_is_lost(hub: ScriptedHub) -> None:
    stream = hub.read(0)
    hub.joined(hub.take("project_join"))
    hub.update("site", 1)
    hub.cut()
    hub.reopen()
    hub.refuse(hub.take("project_join"), "history_gone", **gone_details(last_seq=0))
    hub.joined(hub.take("project_join"), "new")
    hub.update("site", 1)
    assert kinds(stream) == ["claude_text", "history_gone", "claude_text"]


def test_only_the_readers_that_are_concerned_hear_of_it(hub: ScriptedHub) -> None:
    old, present = hub.read(10), hub.read(150)
    details = gone_details(log_id="log", first_seq=100, last_seq=150)
    hub.refuse(hub.take("project_join"), "history_gone", **details)
    hub.joined(hub.take("project_join"), last_seq=150)
    for seq in range(100, 152):
        hub.update("site", seq)
    assert seqs(old) == [None, *range(100, 152)] and seqs(present) == [151]


def test_a_reader_of_an_old_log_beside_one_of_the_new_is_not_moved_in_silence(
    hub: ScriptedHub,
) -> None:
    present = hub.read(5, log_id="new")
    hub.joined(hub.take("project_join"), "new", last_seq=5)
    old = hub.read(3, log_id="old")
    request = hub.take("project_join")
    assert request["payload"]["log_id"] == "old"
    hub.update("site", 6)
    hub.refuse(request, "history_gone", **gone_details(last_seq=6))
    hub.joined(hub.take("project_join"), "new", last_seq=6)
    for seq in range(1, 8):
        hub.update("site", seq)
    assert seqs(old) == [None, 1, 2, 3, 4, 5, 6, 7] and seqs(present) == [6, 7]


def test_a_log_that_is_gone_for_ever_ends_the_reader(hub: ScriptedHub) -> None:
    stream = hub.read(0)
    for number in range(GONE_IN_A_ROW_MAX + 1):
        details = gone_details(log_id=f"log {number}")
        hub.refuse(hub.take("project_join"), "history_gone", **details)
    assert hub.asked_nothing()
    assert len(taken(stream)) == GONE_IN_A_ROW_MAX + 1
    with pytest.raises(RequestRefused, match="history_gone"):
        stream.take()


def test_an_answer_of_history_gone_without_its_facts_ends_the_connection(
    hub: ScriptedHub,
) -> None:
    hub.read(0)
    hub.refuse(hub.take("project_join"), "history_gone")
    assert hub.session.state is State.WAITING and "no hub sends" in hub.session.why


def test_a_gap_moves_the_reader_behind_it(hub: ScriptedHub) -> None:
    stream = hub.read(0)
    hub.joined(hub.take("project_join"))
    hub.update("site", 1)
    hub.update("site", None, "gap", data={"first_seq": 2, "last_seq": 5})
    hub.update("site", 6)
    updates = stream.take()
    assert isinstance(updates[1], Gap) and updates[1].position == Position("log", 5)
    hub.cut()
    hub.reopen()
    assert hub.take("project_join")["payload"]["after_seq"] == 6
    assert [update.seq for update in updates] == [1, None, 6]


def test_a_gap_behind_a_missing_number_is_no_excuse_for_it(hub: ScriptedHub) -> None:
    hub.read(0)
    hub.joined(hub.take("project_join"))
    hub.update("site", None, "gap", data={"first_seq": 3, "last_seq": 5})
    assert hub.session.state is State.WAITING and "left out" in hub.session.why


# -- projects that are deleted


def test_a_deleted_project_is_the_last_update(hub: ScriptedHub) -> None:
    stream = hub.read(0, ephemeral=False)
    hub.joined(hub.take("project_join"))
    hub.update("site", None, "project_deleted", data={"by": "ada"})
    (deleted,) = stream.take()
    assert isinstance(deleted, ProjectDeleted) and deleted.by == "ada"
    with pytest.raises(EOFError):
        stream.take()
    hub.cut()
    hub.reopen()
    assert hub.asked_nothing()


def test_a_project_that_is_deleted_while_away_is_told_as_well(hub: ScriptedHub) -> None:
    stream = hub.read(0)
    hub.joined(hub.take("project_join"))
    hub.cut()
    hub.reopen()
    hub.refuse(hub.take("project_join"), "project_not_found")
    (deleted,) = stream.take()
    assert isinstance(deleted, ProjectDeleted) and deleted.by is None
    with pytest.raises(EOFError):
        stream.take()


# -- all projects


def changed(watcher: WatchStream) -> dict[str, str | None]:
    """Return the newest status of each project that a watcher has; None for a deleted one."""
    return {
        u.project_id: u.project.status if isinstance(u, ProjectChanged) else None
        for u in taken(watcher)
    }


def test_a_watcher_gets_the_present_state_and_every_change(hub: ScriptedHub) -> None:
    watcher = hub.watch()
    hub.reply(hub.take("watch"), projects=[project_object("a"), project_object("b")])
    assert changed(watcher) == {"a": "idle", "b": "idle"}
    busy = project_object("b", status="executing")
    hub.update("b", None, "project_changed", data={"project": busy})
    assert changed(watcher) == {"b": "executing"}


def test_a_slow_watcher_gets_the_newest_only(hub: ScriptedHub) -> None:
    watcher = hub.watch()
    hub.reply(hub.take("watch"), projects=[project_object("a")])
    for status in ("executing", "idle", "error"):
        state = project_object("a", status=status)
        hub.update("a", None, "project_changed", data={"project": state})
    assert changed(watcher) == {"a": "error"}


def test_after_a_reconnection_the_present_state_comes_again(hub: ScriptedHub) -> None:
    watcher = hub.watch()
    hub.reply(hub.take("watch"), projects=[project_object("a"), project_object("b")])
    taken(watcher)
    hub.cut()
    hub.reopen()
    hub.reply(hub.take("watch"), projects=[project_object("b"), project_object("c")])
    assert changed(watcher) == {"a": None, "b": "idle", "c": "idle"}


def test_a_deletion_is_told_once(hub: ScriptedHub) -> None:
    watcher = hub.watch()
    hub.reply(hub.take("watch"), projects=[project_object("a")])
    hub.update("a", None, "project_deleted", data={"by": "ada"})
    assert changed(watcher) == {"a": None}
    hub.update("a", None, "project_deleted", data={"by": "ada"})
    assert changed(watcher) == {}


def test_a_second_watcher_gets_the_present_state_and_the_first_does_not_again(
    hub: ScriptedHub,
) -> None:
    first = hub.watch()
    hub.reply(hub.take("watch"), projects=[project_object("a")])
    taken(first)
    second = hub.watch()
    hub.reply(hub.take("watch"), projects=[project_object("a")])
    assert changed(second) == {"a": "idle"} and changed(first) == {}


def test_the_hub_is_asked_no_more_when_the_last_watcher_goes(hub: ScriptedHub) -> None:
    first, second = hub.watch(), hub.watch()
    for _ in range(2):
        hub.reply(hub.take("watch"), projects=[])
    hub.session.subscriptions.unwatch(first)
    assert hub.asked_nothing()
    hub.session.subscriptions.unwatch(second)
    assert hub.take("unwatch")


def test_a_hub_that_knows_no_watch_ends_the_watcher_with_that(hub: ScriptedHub) -> None:
    watcher = hub.watch()
    hub.refuse(hub.take("watch"), "unknown_type")
    with pytest.raises(RequestRefused, match="unknown_type"):
        watcher.take()


# -- executions


def finished(seq: int, execution_id: str) -> ExecutionFinished:
    raw = {"update_type": "execution_finished"}
    where = Position("log", seq)
    rest = ("success", "ok", None, 0, "", 1, None)
    return ExecutionFinished("site", seq, "", execution_id, where, raw, *rest)


def plain(seq: int, log_id: str = "log") -> Update:
    return Update("site", seq, "", None, Position(log_id, seq), {"update_type": "x"})


def progress() -> Progress:
    return Progress(Begun("e1", "started", 0, Position("log", 0)))


def test_an_execution_ends_with_its_own_end() -> None:
    run = progress()
    assert not run.take(finished(3, "another")) and run.outcome is None
    assert run.take(finished(4, "e1")) and run.outcome == "success"


def test_an_execution_whose_end_is_gone_is_lost_behind_what_is_left() -> None:
    run = progress()
    gone = HistoryGone("site", None, "", None, Position("new", 9), {}, "new", 10, 12)
    assert run.take(gone)
    run.gone(gone, 12)
    for seq in (10, 11):
        run.take(plain(seq, "new"))
    assert run.outcome is None
    run.take(plain(12, "new"))
    assert run.outcome == "lost" and run.state == "finished"


def test_an_execution_whose_end_is_still_in_the_log_is_not_lost() -> None:
    run = progress()
    gone = HistoryGone("site", None, "", None, Position("log", 9), {}, "log", 10, 12)
    run.gone(gone, 12)
    run.take(plain(10))
    assert run.take(finished(11, "e1")) and run.outcome == "success"


def test_an_execution_that_the_hub_knows_goes_on_behind_a_gap() -> None:
    run = progress()
    gap = Gap("site", None, "", None, Position("log", 9), {"update_type": "gap"}, 2, 9)
    assert run.take(gap)
    run.gone(gap, None)
    run.take(plain(10))
    assert run.outcome is None


def test_an_execution_whose_end_a_gap_has_swallowed_is_lost() -> None:
    run = progress()
    gap = Gap("site", None, "", None, Position("log", 9), {"update_type": "gap"}, 2, 9)
    run.gone(gap, 9)
    assert run.outcome == "lost"


@pytest.mark.parametrize("where", ["running", "waiting", "neither"])
def test_the_hub_is_asked_if_it_knows_an_execution(hub: ScriptedHub, where: str) -> None:
    running = hub.run(flows.lost_at("site", "e1"))
    queued = [{"execution_id": "e1", "prompt": "", "client_id": "c"}]
    facts = {"running": {"execution_id": "e1"}, "waiting": {"queue": queued}, "neither": {}}
    info = project_object("site", last_seq=7, **facts[where])
    hub.reply(hub.take("project_list"), projects=[info])
    assert running.result == (7 if where == "neither" else None)
