"""The Client of a version 0 connection: its sign of life, its order, its pages of records."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from actors import messages
from actors.client.actor import OWN_NUMBER, Client
from actors.client.history import HISTORY_PAGE_BYTES
from actors.client.records import RecordCount
from protocol import codec, requests
from protocol.codec import Undecodable
from protocol.dialect import Broadcast
from protocol.frames import text_frame
from protocol.v0.dialect import QUIET_S, VERSION_0
from storage import record
from storage.log_state import SyncPolicy
from storage.message_log import Bounds, LogSettings, MessageLog, open_log
from storage.pages import Page
from tests.fakes import FrozenClock
from tests.test_client_actor import AUTH_TIMEOUT_S, Setup

HEALTH = {"connections": 1, "projects": 2, "uptime_seconds": 3.0}
PROJECT = {
    "project_id": "p",
    "path": "/p",
    "status": "idle",
    "session_id": None,
    "execution_id": None,
    "queue": [],
    "created_at": "c",
    "last_active": "l",
}


class Setup0(Setup):
    """A Client that speaks version 0, with everything around it faked."""

    def __init__(self) -> None:
        super().__init__()
        self.client = Client(
            hub=self.hub.actor_ref,
            gate=self.gate,
            outbox=self.outbox,
            dialect=VERSION_0,
            directory=self.directory,
            clock=FrozenClock(),
            timers=self.timers,
            trail=self.trail,
            auth_timeout_s=AUTH_TIMEOUT_S,
            answered=lambda: self.answered.append(1),
        )

    def ask(self, kind: str, **data: Any) -> None:
        request: Any
        try:
            request = VERSION_0.decode(json.dumps({"type": kind, "data": data}))
        except Undecodable as refusal:
            request = refusal
        self.client.on_receive(messages.RequestReceived(request=request))

    def joined(self, log: MessageLog, behind: int) -> Any:
        """Join; the project answers when so many records have come behind the join."""
        self.ask("project_join", project_id="p")
        (request,) = self.project.take()
        subscription = request.subscriber
        last_seq = log.bounds().last_seq
        subscription.register(last_seq - behind, last_seq)
        self.client.on_receive(
            messages.Joined(
                number=request.reply_to.number,
                payload={"project": PROJECT},  # type: ignore[typeddict-item]
                subscriber=subscription,
                reader=log.reader(),
            )
        )
        return subscription

    def kinds(self) -> list[str]:
        return [frame["type"] for frame in self.sent()]


@pytest.fixture
def setup() -> Setup0:
    return Setup0()


def a_log(folder: Path, updates: Sequence[tuple[str, Any]], stamps: Sequence[str]) -> MessageLog:
    settings = LogSettings(rotate_bytes=1 << 30, sync=SyncPolicy.NEVER, boot_id="b")
    log = open_log(folder, settings, None)
    for (kind, data), stamp in zip(updates, stamps, strict=True):
        log.append_many(codec.update_bodies("p", [(kind, data, None)]), stamp)
    return log


def at(second: int) -> str:
    return f"2026-11-23T08:{second // 60:02}:{second % 60:02}.000000Z"


# -- the sign of life ----------------------------------------------------------------------------


def test_who_was_sent_nothing_gets_one_sign_of_life(setup: Setup0) -> None:
    setup.client.started()
    assert QUIET_S in [timer.delay_s for timer in setup.timers.pending]
    setup.timers.fire(messages._QuietDue)
    setup.handle_own()
    request = setup.hub.take()[-1]
    assert isinstance(request.body, requests.HealthCheck)
    assert request.reply_to.number == OWN_NUMBER
    request.reply_to.result(HEALTH)
    setup.handle_own()
    assert [frame["type"] for frame in setup.sent()] == ["server_stats"]
    assert setup.answered == []  # it was no request of the client
    assert not [t for t in setup.timers.pending if isinstance(t.message, messages._QuietDue)]


def test_who_was_answered_gets_none(setup: Setup0) -> None:
    setup.client.started()
    setup.ask("nonsense")
    assert setup.kinds() == ["error"]
    setup.hub.take()
    setup.timers.fire(messages._QuietDue)
    setup.handle_own()
    assert setup.hub.take() == [] and setup.sent() == []


def test_an_answer_that_comes_first_is_enough(setup: Setup0) -> None:
    setup.client.started()
    setup.timers.fire(messages._QuietDue)
    setup.handle_own()
    request = setup.hub.take()[-1]
    setup.ask("nonsense")
    request.reply_to.result(HEALTH)
    setup.handle_own()
    assert setup.kinds() == ["error"]


# -- order ---------------------------------------------------------------------------------------


def test_an_answer_waits_for_the_updates_that_are_still_read(setup: Setup0, tmp_path: Path) -> None:
    started = ("execution_started", {"execution_id": "e", "session_id": None})
    log = a_log(tmp_path, [started], [at(1)])
    subscription = setup.joined(log, 1)
    assert setup.kinds() == ["project_state", "project_join"]
    setup.ask("execute", prompt="x")
    (request,) = setup.project.take()
    assert request.terms == requests.Terms(only_if_idle=True, behind_updates=True)
    assert request.caller.takes_questions is False
    setup.client.on_receive(
        messages.Replied(number=request.reply_to.number, payload={"execution_id": "e"})
    )
    assert setup.sent() == [] and not subscription.is_live
    setup.handle_own()
    assert setup.kinds() == ["project_state", "execute"] and subscription.is_live


def test_no_update_comes_between_a_creation_and_its_answer(setup: Setup0, tmp_path: Path) -> None:
    """The older web page would take it for the answer."""
    subscription = setup.joined(a_log(tmp_path, [], []), 0)
    assert setup.kinds() == ["project_state", "project_join"] and subscription.is_live
    setup.ask("project_create", path="/q")
    creation = setup.hub.take()[-1]
    frame = text_frame(b'{"type":"project_state","of":"another"}')
    subscription.offer(Broadcast(None, frame, frame, [], []))
    assert setup.sent() == []
    creation.reply_to.result({"project": {**PROJECT, "project_id": "q"}})
    setup.handle_own()
    first, second = setup.sent()
    assert (first["project_id"], second["of"]) == ("q", "another")
    subscription.offer(Broadcast(None, frame, frame, [], []))
    assert len(setup.sent()) == 1


# -- records, counted ----------------------------------------------------------------------------

UPDATES = [
    ("prompt", {"execution_id": "e", "prompt": "x"}),
    ("execution_started", {"execution_id": "e"}),
    *[("claude", {"type": "assistant", "n": n}) for n in range(5)],
    ("execution_finished", {"execution_id": "e"}),
    ("prompt", {"execution_id": "f", "prompt": "y"}),
]


def counted(log: MessageLog, **asked: Any) -> tuple[list[str], dict[str, Any]]:
    types = asked.pop("update_types", ("prompt", "claude"))
    request = requests.GetRecords(project_id="p", update_types=types, **asked)
    count = RecordCount(1, log.reader(), log.bounds(), request)
    while not count.is_done:
        count.read_on()
    updates, facts = count.found()
    shown = [codec.loads(codec.update_payload(text))["data"] for text, _, _ in updates]
    return [str(data.get("n", data.get("prompt"))) for data in shown], dict(facts)


def test_records_are_counted_and_paged(tmp_path: Path) -> None:
    log = a_log(tmp_path, UPDATES, [at(n) for n in range(len(UPDATES))])
    assert counted(log) == (
        ["x", "0", "1", "2", "3", "4", "y"],
        {"total": 7, "offset": 0, "limit": 100, "more": False},
    )
    assert counted(log, offset=2, limit=3) == (
        ["1", "2", "3"],
        {"total": 7, "offset": 2, "limit": 3, "more": True},
    )
    assert counted(log, offset=9)[0] == [] and counted(log, offset=9)[1]["more"] is False
    assert counted(log, update_types=("prompt",))[0] == ["x", "y"]
    assert counted(log, update_types=()) == (
        [],
        {"total": 0, "offset": 0, "limit": 100, "more": False},
    )
    assert counted(log, after=at(5))[0] == ["4", "y"]


def test_records_in_another_order_than_time_are_all_found() -> None:
    """An imported history keeps the order of its files, and their times may go back."""
    bodies = codec.update_bodies("p", [(kind, data, None) for kind, data in UPDATES])
    records = tuple(
        record.encode(seq, at(100 - seq).encode(), body) for seq, body in enumerate(bodies, start=1)
    )

    class Reader:
        def read_after(self, *_: object, **__: object) -> Page:
            return Page(records, 1, len(records))

    request = requests.GetRecords(project_id="p", update_types=("prompt", "claude"), after=at(96))
    bounds = Bounds(first_seq=1, last_seq=len(records), log_id="l")
    count = RecordCount(1, Reader(), bounds, request)  # type: ignore[arg-type]
    count.read_on()
    assert count.is_done and len(count.found()[0]) == 2  # of the first three, one is a start


def test_a_page_ends_early_at_its_size(tmp_path: Path) -> None:
    long = "x" * (HISTORY_PAGE_BYTES // 2)
    log = a_log(
        tmp_path,
        [("claude", {"type": "assistant", "n": n, "text": long}) for n in range(4)],
        [at(n) for n in range(4)],
    )
    assert counted(log) == (["0"], {"total": 4, "offset": 0, "limit": 100, "more": True})
    assert counted(log, offset=1)[0] == ["1"]


def test_a_long_log_is_read_in_steps(setup: Setup0, tmp_path: Path) -> None:
    """Other messages of the client come between two pages."""
    text = "x" * (HISTORY_PAGE_BYTES // 4)
    log = a_log(
        tmp_path,
        [("claude", {"type": "assistant", "text": text}) for _ in range(12)],
        [at(n) for n in range(12)],
    )
    for _ in range(2):
        setup.ask("get_messages", project_id="p", limit=1)
    for request in setup.project.take():
        setup.client.on_receive(
            messages.HistorySnapshot(
                number=request.reply_to.number,
                bounds=log.bounds(),
                reader=log.reader(),
                request=request.body,
            )
        )
    assert setup.sent() == []
    setup.handle_own()
    totals = [frame["data"]["metadata"]["total"] for frame in setup.sent()]
    assert totals == [12, 12] and len(setup.answered) == 2


def test_a_log_that_cannot_be_read_is_an_answer(setup: Setup0, tmp_path: Path) -> None:
    log = a_log(tmp_path, UPDATES, [at(n) for n in range(len(UPDATES))])

    class Broken:
        def read_after(self, *_: object, **__: object) -> Any:
            raise OSError("the disk")

    setup.ask("get_messages", project_id="p")
    (request,) = setup.project.take()
    setup.client.on_receive(
        messages.HistorySnapshot(
            number=request.reply_to.number,
            bounds=log.bounds(),
            reader=Broken(),  # type: ignore[arg-type]
            request=request.body,
        )
    )
    setup.handle_own()
    assert setup.sent()[0]["data"]["code"] == "FILE_OPERATION"
    assert isinstance(setup.project.take()[0], messages.LogUnreadable)
