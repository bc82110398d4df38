"""Many at once: ten thousand joins beside producers; readers beside rolls and retention."""

import random
import re
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from actors import messages
from actors.client import history
from actors.client.outbox import Outbox
from actors.client.replay import Replays
from actors.client.subscription import Subscription
from actors.messages.replies import ReplyTo
from actors.ports import Caller
from actors.project import Project
from actors.runtime.clock import SystemClock, ThreadTimers
from protocol import requests
from protocol.claude import AgentLine
from protocol.dialect import VERSION_1
from protocol.updates import UpdateType
from storage.log_state import SyncPolicy
from storage.message_log import MessageLog, open_log
from storage.pages import MissingRecords
from storage.record import seq_of
from tests.fakes import FakeTransport, Probe, texts
from tests.project_setup import ProjectSetup, execute
from tests.test_message_log import body, settings, stamp

# The same code again and again: it is traced elsewhere, and tracing would take most of the time.
pytestmark = pytest.mark.no_cover

JOINS = 10_000
JOINERS = 10
PRODUCERS = 20
PACE_S = 0.05
BACK_MAX = 40
LIVE_UPDATES = 1
RECORDS = 100_000
BATCH = 100
READERS = 4
DONE_S = 60.0
_SEQ = re.compile(rb'"seq":(\d+),')


class NoticingTransport(FakeTransport):
    """Tells a waiting test that something was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent_more = threading.Event()

    def send(self, data: bytes | memoryview) -> int:
        taken = super().send(data)
        self.sent_more.set()
        return taken


class Joiner:
    """Joins a project again and again, each time as a new client, and checks what it got."""

    def __init__(self, project: Any, seed: int) -> None:
        self._project = project
        self._chooser = random.Random(seed)
        self.client = Probe()
        self.wrong: list[str] = []

    def join(self, number: int) -> None:
        transport = NoticingTransport()
        outbox = Outbox(transport, limit_bytes=1 << 30, clock=SystemClock(), wake=lambda: None)
        subscription = Subscription(
            subscriber_id=f"{id(self)}-{number}",
            dialect=VERSION_1,
            project_id="p",
            outbox=outbox,
            wants_ephemeral=True,
            overflowed=lambda *_: None,
            ended=lambda _: None,
        )
        joined = self._ask(number, subscription)
        after = subscription.position
        replays = Replays(outbox, SystemClock(), lambda *_: None, lambda *_: None)
        replays.start(subscription, joined.reader, {}, None)
        while not subscription.is_live:
            replays.pump()
        wanted = subscription.position + LIVE_UPDATES
        while subscription.position < wanted:
            transport.sent_more.clear()
            if subscription.position < wanted:
                assert transport.sent_more.wait(DONE_S)
        self._project.tell(messages.SubscriberGone(subscriber_id=subscription.id))
        with outbox.lock:
            seqs = [int(found[1]) for text in texts(transport.sent) if (found := _SEQ.search(text))]
        if seqs != list(range(after + 1, after + 1 + len(seqs))) or len(seqs) < LIVE_UPDATES:
            self.wrong.append(f"joined behind {after}, got {seqs[:3]} to {seqs[-3:]}")

    def _ask(self, number: int, subscription: Subscription) -> messages.Joined:
        body = requests.ProjectJoin(project_id="p", last=self._chooser.randrange(BACK_MAX))
        reply_to = ReplyTo(self.client.actor_ref, number)
        self._project.tell(
            messages.ProjectRequest(
                reply_to=reply_to, caller=Caller("c"), body=body, subscriber=subscription
            )
        )
        joined = self.client.actor_inbox.get(timeout=DONE_S).message
        assert isinstance(joined, messages.Joined)
        return joined


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A real project in its thread, with an executor that is a probe, that executes."""
    # Readers do not rest between two pages (test_one_reader.py): half of the time would go there.
    monkeypatch.setattr(history, "_never", SimpleNamespace(wait=lambda _seconds: None))
    setup = ProjectSetup(tmp_path, monkeypatch, sync=SyncPolicy.NEVER)
    setup.project.release()
    timers = ThreadTimers(SystemClock())
    timers.start()
    client = Probe()
    ref = Project.start(
        hub=Probe().actor_ref,
        meta=setup.meta(),
        settings=setup.settings,
        clock=SystemClock(),
        timers=timers,
    )
    reply_to = ReplyTo(client.actor_ref, 0)
    ref.tell(messages.ProjectRequest(reply_to=reply_to, caller=Caller("c"), body=execute()))
    try:
        yield ref, setup.executor.actor_inbox.get(timeout=DONE_S).message.execution_id
    finally:
        ref.stop(timeout=DONE_S)
        timers.stop(DONE_S)


def test_ten_thousand_joins_while_twenty_producers_write(project: Any) -> None:
    ref, execution_id = project
    done = threading.Event()

    def produce() -> None:
        line = AgentLine(UpdateType.CLAUDE, b'{"type":"assistant"}')
        output = messages.AgentOutput(
            execution_id=execution_id, process_name="x", lines=(line,), size_bytes=1
        )
        while not done.wait(PACE_S):
            ref.tell(output)

    def join(joiner: Joiner) -> None:
        for number in range(JOINS // JOINERS):
            joiner.join(number)

    joiners = [Joiner(ref, seed) for seed in range(JOINERS)]
    producing = [threading.Thread(target=produce) for _ in range(PRODUCERS)]
    joining = [threading.Thread(target=join, args=(joiner,)) for joiner in joiners]
    for thread in producing + joining:
        thread.start()
    for thread in joining:
        thread.join()
    done.set()
    for thread in producing:
        thread.join()
    assert [wrong for joiner in joiners for wrong in joiner.wrong] == []


class PacedReader:
    """Follows a log that grows, and writes down what it saw out of order."""

    def __init__(self, log: MessageLog, grown: threading.Condition) -> None:
        self._reader = log.reader()
        self._log = log
        self._grown = grown
        self.position = 0
        self.wrong: list[str] = []

    def run(self) -> None:
        while self.position < RECORDS:
            with self._grown:
                self._grown.wait_for(lambda: self._log.bounds().last_seq > self.position, DONE_S)
                upto = self._log.bounds().last_seq
            for item in self._reader.read_after(self.position, upto).items:
                self._take(item)

    def _take(self, item: bytes | MissingRecords) -> None:
        is_gap = isinstance(item, MissingRecords)
        first = item.first_seq if is_gap else seq_of(item)
        if first != self.position + 1:
            self.wrong.append(f"{first} after {self.position}")
        self.position = item.last_seq if is_gap else first


def test_readers_beside_rolls_and_retention_see_each_number_once_or_a_gap(tmp_path: Path) -> None:
    log = open_log(tmp_path, settings(rotate=1 << 20, sync=SyncPolicy.NEVER), None)
    log.append_many([body()], stamp(0))
    grown = threading.Condition()
    readers = [PacedReader(log, grown) for _ in range(READERS)]
    threads = [threading.Thread(target=reader.run) for reader in readers]
    for thread in threads:
        thread.start()
    while (last := log.bounds().last_seq) < RECORDS:
        with grown:
            log.append_many([body("x" * 400)] * min(BATCH, RECORDS - last), stamp(1))
            grown.notify_all()
        if last % 5000 < BATCH:  # far behind the newest: slow readers lose something
            log.note_trim(last - 12_000)
            log.trim_before(last - 12_000)
    for thread in threads:
        thread.join()
    assert [wrong for reader in readers for wrong in reader.wrong] == []
    assert [reader.position for reader in readers] == [RECORDS] * READERS
    assert log.bounds().first_seq > 80_000
    log.close(stamp(2))
