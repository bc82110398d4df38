"""The Client actor, unstarted: requests in, replies in order, replays, the close."""

import json
from pathlib import Path
from typing import Any

import freezegun
import pykka
import pytest

from actors import messages
from actors.access.gate import Gate
from actors.access.keyring import Keyring
from actors.audit.trail import AuditTrail
from actors.client.actor import CLOSE_DEADLINE_S, REPLY_BACKLOG_BYTES, Client
from actors.client.outbox import PROGRESS_S, Outbox
from actors.client.routing import Memberships
from actors.directory import LocalDirectory, LocalProject
from actors.hub.metadata import error_info
from actors.limits.peer import Peer
from protocol import codec, requests
from protocol.dialect import VERSION_1
from protocol.errors import RequestRefused
from protocol.frames import text_frame
from storage import record
from storage.log_state import SyncPolicy
from storage.message_log import LogSettings, MessageLog, open_log
from tests.fakes import FakeTransport, FrozenClock, ManualTimers, Probe, body_of, inbox_of, texts
from tests.test_message_log import body, stamp
from tests.test_storage import a_meta

AUTH_TIMEOUT_S = 10.0
STAMP = b"2026-11-23T08:14:33.123456Z"


class Setup:
    def __init__(self, keyring: Keyring | None = None) -> None:
        self.has_room = True
        self.own_hosts = {"hub.example:80"}
        self.too_many: RequestRefused | None = None
        self.gate = Gate(
            keyring,
            server="s",
            client_id="c1",
            peer=Peer(address="10.0.0.1"),
            clock=FrozenClock(),
            is_own_host=lambda host: host in self.own_hosts,
            has_room=lambda: self.has_room,
            too_many_executions=lambda: self.too_many,
        )
        self.transport = FakeTransport()
        self.auditor = Probe()
        self.trail = AuditTrail(FrozenClock())
        self.trail.goes_to(self.auditor.actor_ref)
        self.timers = ManualTimers()
        self.hub = Probe()
        self.project = Probe()
        self.directory = LocalDirectory()
        self.directory.put("p", LocalProject(self.project.actor_ref))
        self.answered: list[int] = []
        self.outbox = Outbox(
            self.transport, limit_bytes=1 << 20, clock=FrozenClock(), wake=self.wake
        )
        self.client = Client(
            hub=self.hub.actor_ref,
            gate=self.gate,
            outbox=self.outbox,
            dialect=VERSION_1,
            directory=self.directory,
            clock=FrozenClock(),
            timers=self.timers,
            trail=self.trail,
            auth_timeout_s=AUTH_TIMEOUT_S,
            answered=lambda: self.answered.append(1),
        )

    def wake(self) -> None:
        self.client.actor_ref.tell(messages._FlushOutbox())

    def say(self, kind: str, request_id: str | None = None, **payload: Any) -> None:
        text = json.dumps({"type": kind, "id": request_id, "payload": payload})
        try:
            request: Any = codec.decode(text)
        except codec.Undecodable as refusal:
            request = refusal
        self.client.on_receive(messages.RequestReceived(request=request))

    def handle_own(self) -> None:
        """What the client has told itself."""
        while own := inbox_of(self.client):
            for message in own:
                if not isinstance(message, pykka.messages._ActorStop):
                    self.client.on_receive(message)

    def sent(self) -> list[Any]:
        found = [json.loads(text) for text in texts(self.transport.sent)]
        self.transport.sent = b""
        return found


@pytest.fixture
def setup() -> Setup:
    return Setup()


def test_a_client_tells_the_hub_when_it_starts_and_ends(setup: Setup) -> None:
    setup.client.started()
    assert setup.hub.take() == [
        messages.ClientConnected(client=setup.client.actor_ref, client_id="c1")
    ]
    setup.say("project_join", project_id="p")
    setup.project.take()
    setup.client.release()
    assert setup.hub.take() == [messages.ClientGone(client_id="c1")]
    assert setup.project.take() == [messages.SubscriberGone(subscriber_id="c1")]
    assert setup.transport.aborted


def test_replies_are_sent_in_the_order_of_the_requests(setup: Setup) -> None:
    setup.say("agent_kill", "1", project_id="p")
    setup.say("ping", "2", a=1)
    setup.say("nonsense", "3")
    assert setup.sent() == []
    request = setup.project.take()[0]
    assert request.caller.client_id == "c1"
    request.reply_to.result({"execution_id": "e"})
    setup.handle_own()
    answers = setup.sent()
    assert [a["id"] for a in answers] == ["1", "2", "3"]
    assert answers[0]["payload"] == {"execution_id": "e"}
    assert answers[2]["payload"]["code"] == "unknown_type"
    assert len(setup.answered) == 3


def test_a_second_answer_is_ignored(setup: Setup) -> None:
    setup.say("agent_kill", "1", project_id="p")
    reply_to = setup.project.take()[0].reply_to
    reply_to.result({"execution_id": "1"})
    reply_to.result({"execution_id": "2"})
    setup.handle_own()
    assert [a["payload"] for a in setup.sent()] == [{"execution_id": "1"}]


def test_a_request_after_a_create_waits_for_it(setup: Setup) -> None:
    setup.say("project_create", "1", path="/x")
    setup.say("project_join", "2", project_id="new")
    create = setup.hub.take()[0]
    new = Probe()
    setup.directory.put("new", LocalProject(new.actor_ref))
    create.reply_to.result({"project": error_info(a_meta("a"))})
    setup.handle_own()
    assert isinstance(new.take()[0], messages.ProjectRequest)
    assert [a["id"] for a in setup.sent()] == ["1"]


def test_requests_to_unknown_and_failed_projects_get_an_error(setup: Setup) -> None:
    setup.say("execute", "1", project_id="none", prompt="x")
    setup.project.actor_stopped.set()
    setup.say("execute", "2", project_id="p", prompt="x")
    assert [a["payload"]["code"] for a in setup.sent()] == ["project_not_found", "internal"]


def test_requests_of_a_project_that_fails_are_answered(setup: Setup) -> None:
    setup.say("execute", "1", project_id="p", prompt="x")
    setup.client.on_receive(messages.ProjectFailed(project_id="p"))
    assert setup.sent()[0]["payload"]["code"] == "internal"


def test_requests_to_a_stopped_hub_are_answered(setup: Setup) -> None:
    setup.hub.actor_stopped.set()
    setup.say("project_create", "1", path="/x")
    setup.say("ping", "2")
    assert setup.sent()[0]["payload"]["code"] == "shutting_down"


def test_a_ping_that_cannot_be_echoed_is_refused(setup: Setup) -> None:
    nested: Any = 1
    for _ in range(600):
        nested = [nested]
    request = requests.Request("ping", "1", requests.Ping(nested))
    setup.client.on_receive(messages.RequestReceived(request=request))
    assert setup.sent()[0]["type"] in ("result", "error")


def a_log(folder: Path, records: int) -> MessageLog:
    settings = LogSettings(rotate_bytes=1 << 30, sync=SyncPolicy.NEVER, boot_id="b")
    log = open_log(folder, settings, None)
    log.append_many([body("x" * 1000) for _ in range(records)], stamp(1))
    return log


def join(setup: Setup, log: MessageLog, after: int) -> Any:
    setup.say("project_join", "j", project_id="p", after_seq=after)
    request = setup.project.take()[0]
    subscription = request.subscriber
    subscription.register(after, log.bounds().last_seq)
    setup.client.on_receive(
        messages.Joined(
            number=request.reply_to.number,
            payload={"project": {}},
            subscriber=subscription,
            reader=log.reader(),
        )
    )
    return subscription


def test_a_replay_comes_in_pages_and_then_goes_live(setup: Setup, tmp_path: Path) -> None:
    log = a_log(tmp_path, 1000)
    subscription = join(setup, log, 10)
    assert [m["type"] for m in setup.sent()] == ["result"]
    pages = 0
    seqs: list[int] = []
    while not subscription.is_live:
        setup.handle_own()
        pages += 1
        seqs += [m["payload"]["seq"] for m in setup.sent()]
    assert seqs == list(range(11, 1001))


def test_a_replay_is_paced_by_the_socket(setup: Setup, tmp_path: Path) -> None:
    log = a_log(tmp_path, 1000)
    setup.transport.room = 300_000
    subscription = join(setup, log, 0)
    for _ in range(5):
        for message in inbox_of(setup.client):
            setup.client.on_receive(message)
    assert not subscription.is_live
    assert subscription.position < 1000
    setup.transport.room = 1 << 30
    setup.handle_own()
    assert subscription.is_live
    assert [m["payload"]["seq"] for m in setup.sent()[1:]] == list(range(1, 1001))


def test_a_leave_ends_a_replay(setup: Setup, tmp_path: Path) -> None:
    join(setup, a_log(tmp_path, 1000), 0)
    setup.say("project_leave", "l", project_id="p")
    number = setup.project.take()[0].reply_to.number
    setup.client.on_receive(messages.Left(number=number, project_id="p"))
    setup.sent()
    setup.handle_own()
    assert setup.sent() == []


def test_a_lost_connection_gives_up_a_join_after_a_leave(setup: Setup, tmp_path: Path) -> None:
    setup.say("project_join", project_id="p")
    setup.say("project_leave", project_id="p")
    setup.say("project_join", project_id="p")
    left = setup.project.take()[1].reply_to.number
    setup.client.on_receive(messages.Left(number=left, project_id="p"))
    setup.client.release()
    assert setup.project.take() == [messages.SubscriberGone(subscriber_id="c1")]


def test_a_log_that_cannot_be_read_closes_the_connection(setup: Setup, tmp_path: Path) -> None:
    log = a_log(tmp_path / "log", 1000)
    (tmp_path / "log").rename(tmp_path / "elsewhere")
    join(setup, log, 0)
    setup.sent()
    setup.handle_own()
    assert not setup.outbox.is_open
    assert b"the log cannot be read" in setup.transport.sent
    assert messages.LogUnreadable(seq=0) in setup.project.take()
    setup.timers.fire(messages._CloseDeadline)
    setup.handle_own()
    assert setup.transport.aborted


def test_the_client_reads_history_and_answers_a_failure(setup: Setup, tmp_path: Path) -> None:
    log = a_log(tmp_path / "log", 3)
    setup.say("get_messages", "1", project_id="p")
    setup.say("get_messages", "2", project_id="p")
    for request in setup.project.take():
        setup.client.on_receive(
            messages.HistorySnapshot(
                number=request.reply_to.number,
                bounds=log.bounds(),
                reader=log.reader(),
                request=request.body,
            )
        )
        if request.reply_to.number == 1:
            (tmp_path / "log").rename(tmp_path / "elsewhere")
    first, second = setup.sent()
    assert [m["seq"] for m in first["payload"]["messages"]] == [1, 2, 3]
    assert second["payload"]["code"] == "storage_failed"


def test_replies_wait_while_the_outbox_is_full(setup: Setup) -> None:
    setup.transport.room = 0
    setup.outbox.write(b"x" * (REPLY_BACKLOG_BYTES + 1), counts=True)
    setup.say("ping", "1")
    assert setup.answered == []
    setup.transport.room = 1 << 30
    setup.handle_own()
    assert setup.answered == [1]


def test_a_close_has_a_deadline(setup: Setup) -> None:
    setup.client.on_receive(messages.CloseClient(code=1001, reason="bye"))
    assert setup.transport.sent.endswith(b"bye")
    assert setup.timers.pending[0].delay_s == CLOSE_DEADLINE_S
    setup.client.on_receive(messages._CloseDeadline())
    assert setup.transport.aborted


def test_a_slow_client_or_a_failed_project_closes_with_a_reason(
    setup: Setup, tmp_path: Path
) -> None:
    subscription = join(setup, a_log(tmp_path, 1), 0)
    setup.handle_own()
    setup.sent()
    subscription.closed("the project failed; join again")
    setup.handle_own()
    assert b"\x03\xf3the project failed" in setup.transport.sent
    again = Setup()
    subscription = join(again, a_log(tmp_path / "b", 1), 0)
    subscription._overflowed("p", 7)
    again.handle_own()
    assert b"\x03\xf5slow consumer; join p again, after_seq 7" in again.transport.sent


def test_a_leave_counts_from_when_the_client_sends_it(setup: Setup, tmp_path: Path) -> None:
    join(setup, a_log(tmp_path, 1), 0)
    memberships = setup.client._routing.memberships
    assert list(memberships) == ["p"]
    setup.say("project_leave", "l", project_id="p")
    assert list(memberships) == []


def test_too_many_projects_on_a_connection_are_refused(setup: Setup) -> None:
    setup.client._routing.memberships = Memberships(limit=1)
    setup.directory.put("q", LocalProject(setup.project.actor_ref))
    setup.say("project_join", "1", project_id="p")
    setup.say("project_join", "2", project_id="q")
    setup.say("project_join", "3", project_id="p")
    assert [m.body.project_id for m in setup.project.take()] == ["p", "p"]
    setup.say("ping", "4")
    assert setup.sent() == []  # in the order of the requests: the first is not answered yet


def test_the_close_of_a_slow_client_names_its_last_number() -> None:
    lines = [record.encode(n, STAMP, body_of("p", "claude", b"{}")) for n in (8, 9)]
    shown = VERSION_1.messages([(line, True, True) for line in lines])
    frames = [text_frame(message) for message, _, _ in shown]
    for sent_bytes, last_seq in ((0, 7), (1, 8), (len(frames[0]), 8), (len(frames[0]) + 1, 30)):
        setup = Setup()
        setup.transport.room = sent_bytes
        setup.outbox.write(b"".join(frames), counts=True)
        setup.client.on_receive(messages.ClientTooSlow(project_id="p", position=30))
        setup.transport.room = 1 << 20
        setup.handle_own()
        wanted = f"slow consumer; join p again, after_seq {last_seq}"
        assert setup.transport.sent.endswith(wanted.encode())


def test_a_client_that_reads_nothing_is_closed_after_a_while() -> None:
    with freezegun.freeze_time("2026-11-25") as now:
        setup = Setup()
        setup.transport.room = 0
        setup.say("ping")
        now.tick(PROGRESS_S + 1)
        setup.client.on_receive(messages._FlushOutbox())
        setup.transport.room = 1 << 20
        setup.handle_own()
        assert b"\x03\xf5slow consumer" in setup.transport.sent
        assert not setup.outbox.is_open


def test_a_lost_connection_stops_the_actor(setup: Setup) -> None:
    setup.client.on_receive(messages.ConnectionLost(reason="x"))
    assert any(isinstance(m, pykka.messages._ActorStop) for m in inbox_of(setup.client))
