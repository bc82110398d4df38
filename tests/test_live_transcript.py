"""Which part of a log is loaded, and what is true of a project now."""

import asyncio

import pytest

from claudehub.client.reading import history_gone, project_info, update_of
from claudehub.client.updates import PermissionRequest
from claudehub.tui import feed as feed_module
from claudehub.tui.entries import EndEntry, ToolEntry, ToolState, text_of
from claudehub.tui.feed import Feed, PastSearch
from claudehub.tui.finding import next_hit
from claudehub.tui.project_state import ProjectState
from claudehub.tui.transcript import Transcript
from tests.live_views import FakeProject, Log, info


def lines(count: int) -> Log:
    log = Log()
    for number in range(1, count + 1):
        log.said(f"line {number}")
    return log


def texts(transcript: Transcript) -> list[str]:
    return [text_of(entry) for entry in transcript.conversation.entries]


def test_the_oldest_is_unloaded_when_there_is_too_much() -> None:
    transcript = Transcript(updates_max=100)
    for update in lines(101).updates:
        transcript.live(update)
    assert texts(transcript) == [f"line {n}" for n in range(22, 102)]
    assert (transcript.first_seq, transcript.last_seq, transcript.is_live) == (22, 101, True)


def test_long_texts_count_by_their_length() -> None:
    transcript = Transcript(characters_max=1_000_000)
    log = Log()
    for _ in range(10):
        transcript.live(log.said("x" * 200_000))
    assert len(texts(transcript)) <= 5


def test_what_somebody_reads_is_not_unloaded_by_what_comes() -> None:
    transcript, log = Transcript(updates_max=100), lines(150)
    transcript.is_followed = False
    for update in log.updates:
        transcript.live(update)
    assert texts(transcript)[0] == "line 1"
    assert (transcript.last_seq, transcript.newest_seq, transcript.is_live) == (101, 150, False)


def test_an_older_page_goes_before_and_takes_the_place_of_the_newest() -> None:
    transcript, log = Transcript(updates_max=100), lines(160)
    for update in log.updates[80:]:
        transcript.live(update)
    transcript.older(log.updates[40:80])
    assert texts(transcript)[0] == "line 41"
    assert (transcript.last_seq, transcript.is_live) == (120, False)
    transcript.live(log.said("line 161"))
    assert (transcript.last_seq, transcript.newest_seq) == (120, 161)
    transcript.newer(log.updates[120:])
    assert texts(transcript)[-1] == "line 161" and transcript.is_live


def test_a_call_and_its_result_find_each_other_over_two_pages() -> None:
    log = Log()
    call = log.calls("Bash", command="make")
    log.returns(call, "made")
    transcript = Transcript()
    transcript.live(log.updates[1])
    transcript.older(log.updates[:1])
    (tool,) = transcript.conversation.entries
    assert isinstance(tool, ToolEntry) and (tool.name, tool.state) == ("Bash", ToolState.DONE)


def test_another_log_takes_the_place_of_the_old_one() -> None:
    transcript = Transcript()
    for update in lines(50).updates:
        transcript.live(update)
    transcript.live(history_gone("site", {"log_id": "new", "first_seq": 1, "last_seq": 0}))
    transcript.live(lines(1).updates[0])
    assert texts(transcript) == [
        "what came before is gone from the hub's log; it is empty now",
        "line 1",
    ]


def test_pages_are_loaded_until_the_beginning_and_back_to_the_present(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feed_module, "PAGE_UPDATES", 20)

    async def run() -> None:
        log = lines(100)
        feed = Feed(FakeProject(log))
        feed.transcript = Transcript(updates_max=30)
        feed.take(log.updates[-10:], 0.0)
        while await feed.load_older():
            pass
        assert feed.is_at_start and texts(feed.transcript)[0] == "line 1"
        assert not feed.transcript.is_live
        await feed.load_newer()
        assert feed.transcript.last_seq > 30
        await feed.load_latest()
        assert feed.transcript.is_live and texts(feed.transcript)[-1] == "line 100"

    asyncio.run(run())


def test_a_search_goes_back_to_what_is_not_loaded() -> None:
    async def run() -> None:
        log = lines(2_000)
        feed = Feed(FakeProject(log))
        feed.take(log.updates[-10:], 0.0)
        search = PastSearch(feed, "LINE 300")
        found = None
        while found is None:
            found = await search.step()
        assert found == 300
        await feed.load_around(found)
        entries = feed.transcript.conversation.entries
        assert next_hit(entries, "line 300", (found + 1, 0), -1) == (300, 1)
        assert feed.transcript.last_seq > 300  # and what came behind it

    asyncio.run(run())


def test_a_search_for_nothing_ends_at_the_beginning() -> None:
    async def run() -> None:
        log = lines(10)
        feed = Feed(FakeProject(log))
        feed.take(log.updates[-1:], 0.0)
        search = PastSearch(feed, "nowhere")
        with pytest.raises(StopAsyncIteration):
            await search.step()
        assert search.searched == 9

    asyncio.run(run())


# -- what is true now


def state_of(log: Log, **facts: object) -> ProjectState:
    state = ProjectState("site")
    state.seed(project_info(info(**facts)))
    for update in log.updates:
        state.apply(update)
    return state


def test_the_state_follows_the_updates() -> None:
    log = Log()
    log.prompt("one")
    log.started()
    log.prompt("two", "e2")
    log.queued("e2", 1)
    state = state_of(log)
    assert state.running is not None and state.running.execution_id == "e1"
    assert [(w.prompt, w.by) for w in state.queue] == [("two", "anna")]
    state.apply(log.finished())
    state.apply(log.started("e2"))
    assert state.running.execution_id == "e2" and state.queue == []
    assert state.prompts == ["one", "two"]


def test_updates_that_the_description_knows_change_nothing() -> None:
    log = Log()
    log.prompt("one")
    log.started()
    request = log.asks("Bash", command="make")
    log.resolved(request.data["permission_id"])
    log.finished()
    state = state_of(log, last_seq=5)
    assert state.running is None and state.questions == {}
    assert state.spent.executions == 1  # but it was spent


def test_an_old_description_does_not_take_back_a_new_question() -> None:
    log = Log()
    log.prompt("one")
    log.started()
    state = state_of(log)
    request = log.asks("Bash", command="make")
    state.apply(request)
    state.seed(project_info(info(last_seq=2, subscribers=3)))
    assert list(state.questions) == [request.data["permission_id"]] and state.others == 2


def test_a_question_that_is_cut_in_the_description_becomes_whole() -> None:
    log = Log()
    request = log.asks("Bash", command="make")
    cut = {**request.data, "input": {}, "truncated": True}
    state = ProjectState("site")
    state.seed(project_info(info(last_seq=1, pending_permissions=[cut])))
    assert state.questions["p0"].input == {}
    state.apply(request)
    assert state.questions["p0"].input == {"command": "make"}


def test_a_question_of_another_shape_is_left_to_others() -> None:
    state = ProjectState("site")
    state.seed(project_info(info(pending_permissions=[{"strange": 1}])))
    assert state.questions == {}


def test_an_answer_of_somebody_else_is_kept_for_telling() -> None:
    log = Log()
    request = log.asks("Bash", command="make")
    log.resolved("p0", "deny", "phone")
    state = state_of(log)
    assert isinstance(request, PermissionRequest) and state.questions == {}
    assert state.answered == {"p0": "answered by phone: deny"}


def test_a_cost_that_is_not_known_is_counted_as_such() -> None:
    log = Log()
    log.finished(cost_usd=0.5)
    log.finished(cost_usd=None)
    state = state_of(log)
    assert (state.spent.usd, state.spent.executions, state.spent.unknown) == (0.5, 2, 1)


def test_numbers_of_another_log_count_again() -> None:
    log = lines(50)
    state = state_of(log)
    state.apply(history_gone("site", {"log_id": "new", "first_seq": 1, "last_seq": 1}))
    fresh = Log()
    fresh.prompt("one")
    fresh.started()
    for update in fresh.updates:
        state.apply(update)
    assert state.running is not None


def test_the_newest_files_are_kept() -> None:
    log = Log()
    for number in range(150):
        log.add("files_changed", {"paths": [f"a{number}", "b", f"c{number}"]}, logged=False)
    files = list(state_of(log).files)
    assert len(files) == 200 and files[-3:] == ["a149", "b", "c149"]


def test_an_end_without_words_of_this_version_is_shown_as_it_is() -> None:
    raw = Log().finished("vanished").raw
    update = update_of(raw, None)
    transcript = Transcript()
    transcript.live(update)
    (end,) = transcript.conversation.entries
    assert isinstance(end, EndEntry) and end.words.startswith("vanished after")
