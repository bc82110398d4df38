"""The feed, without a project: batches, order, failures, dialects, and what is open."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import simplejson
from freezegun import freeze_time

from actors import messages
from actors.feed.batches import Entry, give_up
from actors.feed.feed import Feed
from actors.feed.open_records import OpenRecords, Opens, read_open
from actors.feed.project_log import ProjectLog
from protocol.updates import UpdateType
from storage.errors import DiskFull
from storage.layout import DataLayout
from storage.log_state import SyncPolicy
from storage.message_log import LogSettings
from storage.projects import ProjectMeta
from tests.fakes import FrozenClock, ManualTimers, Probe, RecordingSubscriber

LINE = {"n": 1}


class FeedSetup:
    """A feed on a real log; its project is a probe."""

    def __init__(self, root: Path, sync: SyncPolicy = SyncPolicy.ALWAYS) -> None:
        layout = DataLayout(root / "data")
        layout.create()
        meta = ProjectMeta(
            project_id="p", name="p", path="/", created_at="2026", last_active="2026"
        )
        log_settings = LogSettings(rotate_bytes=1 << 30, sync=sync, boot_id="b")
        self.log = ProjectLog(layout, log_settings, meta)
        self.project, self.timers = Probe(), ManualTimers()
        self.stored_batches = 0
        self.calls: list[str] = []
        self.feed = Feed(
            project=self.project.actor_ref,
            log=self.log,
            data_folder=root,
            sync=sync,
            clock=FrozenClock(),
            timers=self.timers,
            stored=self._stored,
        )
        self.subscriber = RecordingSubscriber()
        self.feed.subscribe(self.subscriber, 0, {})

    def _stored(self) -> None:
        self.stored_batches += 1

    def prompt(self, name: str) -> None:
        self.feed.log(
            UpdateType.PROMPT,
            {"execution_id": name},
            opens=Opens(name),
            on_stored=lambda: self.calls.append(f"stored {name}"),
            on_refused=lambda: self.calls.append(f"refused {name}"),
        )

    def flush(self) -> None:
        (message,) = self.project.take()
        assert isinstance(message, messages._FlushFeed)
        self.feed.on_flush_due()

    def shown(self) -> list[tuple[int | None, Any]]:
        payloads = [
            simplejson.loads(text)["payload"]
            for batch in self.subscriber.batches
            for text in batch.messages
        ]
        return [(payload.get("seq"), payload["data"]) for payload in payloads]

    def fail(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: object, **__: object) -> None:
            raise DiskFull("no space")

        monkeypatch.setattr(self.log, "append", full)

    def open_ids(self) -> list[str]:
        return [what.id for what in self.log.open]


@pytest.fixture
def setup(tmp_path: Path) -> Iterator[FeedSetup]:
    with freeze_time("2026-11-23T08:00:00Z"):
        made = FeedSetup(tmp_path)
        yield made
        made.feed.close()


def test_updates_of_one_batch_keep_their_order_and_ask_for_one_flush(setup: FeedSetup) -> None:
    setup.feed.log(UpdateType.CLAUDE, {"n": 1})
    setup.feed.announce(UpdateType.STATUS, {"n": 2})
    setup.feed.log(UpdateType.CLAUDE, {"n": 3})
    setup.flush()
    assert setup.shown() == [(1, {"n": 1}), (None, {"n": 2}), (2, {"n": 3})]
    assert len(setup.subscriber.batches) == 1
    assert setup.stored_batches == 1


def test_an_answer_comes_before_the_broadcast_and_after_the_log(setup: FeedSetup) -> None:
    def stored() -> None:
        setup.calls.append(f"{setup.log.last_seq} in the log, {len(setup.shown())} shown")

    setup.feed.log(UpdateType.PROMPT, LINE, on_stored=stored)
    assert setup.calls == []
    setup.flush()
    assert setup.calls == ["1 in the log, 0 shown"]
    assert len(setup.shown()) == 1


def test_an_update_logged_in_a_callback_joins_the_next_batch(setup: FeedSetup) -> None:
    setup.feed.log(
        UpdateType.PROMPT, {"n": 1}, on_stored=lambda: setup.feed.log(UpdateType.CLAUDE, {"n": 2})
    )
    setup.flush()
    assert [seq for seq, _ in setup.shown()] == [1]
    setup.flush()
    assert [seq for seq, _ in setup.shown()] == [1, 2]


@pytest.mark.parametrize("sync", SyncPolicy)
def test_a_prompt_is_flushed_before_its_answer_except_under_never(
    tmp_path: Path, sync: SyncPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    with freeze_time("2026-11-23T08:00:00Z"):
        setup = FeedSetup(tmp_path, sync)
        asked: list[bool] = []
        append = setup.log.append

        def noting(*args: Any, must_sync: bool) -> list[bytes]:
            asked.append(must_sync)
            return append(*args, must_sync=must_sync)

        monkeypatch.setattr(setup.log, "append", noting)
        setup.feed.log(UpdateType.CLAUDE, LINE)
        setup.flush()
        setup.prompt("e")
        setup.flush()
        assert asked == [False, True]
        setup.feed.close()


def test_a_full_log_refuses_prompts_and_keeps_lines(
    setup: FeedSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup.feed.log(UpdateType.CLAUDE, {"n": 1})
    setup.prompt("e")
    setup.feed.log(UpdateType.EXECUTION_FINISHED, {"execution_id": "e"}, closes="e")
    with monkeypatch.context() as patch:
        setup.fail(patch)
        setup.flush()
    assert setup.calls == ["refused e"]
    assert setup.feed.problem == "no space"
    assert setup.open_ids() == []
    assert setup.shown() == []
    setup.timers.fire(messages._RetryStorage)
    (retry,) = setup.project.take()
    assert isinstance(retry, messages._RetryStorage)
    setup.feed.on_retry_due()
    assert setup.feed.problem is None
    assert setup.shown() == [(1, {"n": 1})]


def test_an_announcement_does_not_wait_behind_a_full_log(
    setup: FeedSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup.feed.log(UpdateType.CLAUDE, {"n": 1})
    with monkeypatch.context() as patch:
        setup.fail(patch)
        setup.flush()
    setup.feed.announce(UpdateType.STATUS, {"n": 2})
    assert setup.shown() == [(None, {"n": 2})]


def test_an_execution_is_open_from_its_record_until_its_end_is_durable(setup: FeedSetup) -> None:
    setup.prompt("e")
    assert setup.open_ids() == ["e"]
    setup.flush()
    setup.feed.log(UpdateType.EXECUTION_FINISHED, {"execution_id": "e"}, closes="e")
    assert setup.open_ids() == ["e"]
    setup.flush()
    assert setup.open_ids() == []


def test_a_second_subscription_of_a_client_replaces_the_first(setup: FeedSetup) -> None:
    again = RecordingSubscriber()
    setup.feed.subscribe(again, 0, {})
    assert setup.feed.subscriber_count == 1
    assert setup.subscriber.was_replaced and not again.was_replaced
    setup.feed.log(UpdateType.CLAUDE, LINE)
    setup.flush()
    assert (len(setup.subscriber.batches), len(again.batches)) == (0, 1)


def test_a_subscriber_that_left_gets_nothing_more(setup: FeedSetup) -> None:
    setup.feed.unsubscribe("s")
    setup.feed.unsubscribe("s")
    setup.feed.log(UpdateType.CLAUDE, LINE)
    setup.flush()
    assert setup.subscriber.has_left
    assert setup.subscriber.batches == []
    assert setup.feed.subscriber_count == 0


def test_the_last_update_says_that_it_is_the_last(setup: FeedSetup) -> None:
    setup.feed.announce_last(UpdateType.PROJECT_DELETED, {"by": "x"})
    (batch,) = setup.subscriber.batches
    assert batch.is_final


def entry(**fields: Any) -> Entry:
    return Entry(UpdateType.PROMPT, {}, None, is_logged=True, **fields)


def test_a_refused_beginning_takes_its_end_with_it() -> None:
    refused = entry(on_refused=lambda: None, opens=Opens("e"))
    its_end, line, other_end = entry(closes="e"), entry(), entry(closes="f")
    assert give_up([refused, its_end, line, other_end]) == ([refused], [line, other_end])


def test_the_first_open_record_says_from_where_the_log_must_stay() -> None:
    records = OpenRecords()
    assert records.since_seq is None
    records.opened(Opens("a"), 4)
    records.opened(Opens("b"), 9)
    records.opened(Opens("a"), 7)
    assert records.since_seq == 4
    records.closed("a")
    records.closed("a")
    assert records.since_seq == 9
    assert [what.id for what in records] == ["b"]


def test_the_log_tells_again_what_was_open(setup: FeedSetup) -> None:
    def log(kind: UpdateType, **data: Any) -> None:
        setup.feed.log(kind, data)

    log(UpdateType.PROMPT, execution_id="e1", prompt="x", options={}, key="k")
    log(UpdateType.EXECUTION_STARTED, execution_id="e1")
    log(UpdateType.PERMISSION_REQUEST, permission_id="q", execution_id="e1")
    log(UpdateType.PROMPT, execution_id="e2", prompt="y", options={}, key=None)
    log(UpdateType.EXECUTION_FINISHED, execution_id="e1")
    log(UpdateType.EXECUTION_STARTED, execution_id="own")
    setup.flush()
    found, keyed = read_open(setup.log.reader(), 0, setup.log.last_seq)
    assert list(found) == [Opens("q", True, "e1"), Opens("e2"), Opens("own")]
    assert found.since_seq == 2
    assert [(run.request_key, run.execution_id) for run in keyed] == [("k", "e1")]


def test_what_comes_behind_updates_comes_when_they_are_shown(setup: FeedSetup) -> None:
    order: list[str] = []
    offer = setup.subscriber.offer

    def noted(batch: Any) -> None:
        order.append("shown")
        offer(batch)

    setup.subscriber.offer = noted  # type: ignore[method-assign]
    setup.feed.when_shown(lambda: order.append("at once"))
    assert order == ["at once"]
    setup.feed.log(
        UpdateType.CLAUDE,
        LINE,
        on_stored=lambda: setup.feed.when_shown(lambda: order.append("behind what is stored")),
    )
    setup.feed.when_shown(lambda: order.append("behind what waits"))
    setup.flush()
    assert order == ["at once", "shown", "behind what waits", "behind what is stored"]


def test_what_comes_behind_updates_does_not_wait_for_a_broken_log(
    setup: FeedSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[str] = []
    setup.feed.log(UpdateType.CLAUDE, LINE)
    setup.feed.when_shown(lambda: called.append("refused"))
    setup.fail(monkeypatch)
    setup.flush()
    assert called == ["refused"]
    setup.feed.when_shown(lambda: called.append("at once"))
    assert called == ["refused", "at once"]
