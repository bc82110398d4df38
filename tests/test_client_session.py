"""The session of the client library: connections, requests and their ends."""

import pytest

from claudehub.client import flows
from claudehub.client.answer import Answer
from claudehub.client.calls import RATE_LIMITED_TRIES_MAX, REPLY_TIMEOUT_S, Call
from claudehub.client.errors import (
    ConnectFailed,
    ConnectionLost,
    Failure,
    HubError,
    NoReply,
    RequestRefused,
)
from claudehub.client.session import OPEN_TIMEOUT_S, State, Want
from tests.scripted_hub import GREETING, Running, ScriptedHub, project_object

A_WHILE_S = 60.0


@pytest.fixture
def hub() -> ScriptedHub:
    return ScriptedHub().open()


def refused(call: Call) -> str:
    assert isinstance(call.error, RequestRefused), call.error
    return call.error.code


# -- connections


def test_the_greeting_opens_the_session() -> None:
    hub = ScriptedHub()
    hub.accept()
    assert hub.states == [] and hub.session.state is State.WAITING
    hub.send({"type": "welcome", "payload": GREETING})
    assert hub.states == [State.CONNECTED]
    assert hub.session.welcome["server"] == "claudehub/0.1.0"


def test_a_version_that_will_go_is_a_warning_once(caplog: pytest.LogCaptureFixture) -> None:
    note = "version 1 goes in 2030: upgrade your client"
    hub = ScriptedHub()
    hub.open(deprecation=note)
    hub.cut()
    hub.reopen(deprecation=note)
    (record,) = caplog.records
    assert record.getMessage() == f"the hub says: {note}"


def test_delays_double_from_a_quarter_second_to_thirty(hub: ScriptedHub) -> None:
    hub.cut()
    delays = []
    for _ in range(10):
        delays.append(hub.delay_s())
        assert hub.advance(hub.delay_s()) is Want.CONNECT
        hub.session.failed(ConnectFailed(Failure.NOTHING_LISTENS, "nothing there"), hub.now_s)
    assert delays == [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_each_delay_has_full_jitter() -> None:
    hub = ScriptedHub(jitter=0.3).open()
    hub.cut()
    assert hub.delay_s() == pytest.approx(0.3 * 0.25)


@pytest.mark.parametrize("code", [1001, 1013])
def test_after_a_shutdown_or_slowness_the_session_tries_at_once(code: int) -> None:
    hub = ScriptedHub().open()
    hub.advance(A_WHILE_S)
    hub.close(code)
    assert hub.step() is Want.CONNECT


@pytest.mark.parametrize("code", [1000, 1002, 1009, 1011])
def test_after_other_closes_it_waits(code: int) -> None:
    hub = ScriptedHub().open()
    hub.advance(A_WHILE_S)
    hub.close(code)
    assert hub.delay_s() == 0.25


def test_a_connection_that_lived_begins_the_delays_anew(hub: ScriptedHub) -> None:
    for _ in range(5):
        hub.advance(A_WHILE_S)
        hub.cut()
        assert hub.delay_s() == 0.25
        hub.reopen()


@pytest.mark.parametrize("code", [1001, 1011, 1013])
def test_a_hub_that_greets_and_closes_at_once_is_tried_ever_more_rarely(code: int) -> None:
    hub = ScriptedHub().open()
    delays = []
    for _ in range(9):
        hub.close(code)
        delays.append(hub.delay_s())
        hub.reopen()
    assert delays == [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30]


def test_a_revoked_key_ends_the_session(hub: ScriptedHub) -> None:
    call, stream = hub.ask("ping"), hub.read(0)
    hub.close(1008, "the key was taken out")
    assert hub.states == [State.CONNECTED, State.CLOSED]
    assert isinstance(call.error, ConnectionLost) and "the key was taken out" in str(call.error)
    with pytest.raises(ConnectionLost, match="revoked"):
        stream.take()


def test_without_reconnect_the_first_loss_is_the_end() -> None:
    hub = ScriptedHub(reconnect=False).open()
    call, stream = hub.ask("ping"), hub.read(0)
    hub.cut()
    assert hub.session.state is State.CLOSED and isinstance(call.error, ConnectionLost)
    with pytest.raises(ConnectionLost):
        stream.take()
    assert isinstance(hub.ask("ping").error, ConnectionLost)


def test_the_session_gives_up_after_the_time_that_was_set() -> None:
    hub = ScriptedHub(give_up_after_s=10).open()
    hub.advance(A_WHILE_S)
    hub.cut()
    call = hub.ask("ping")
    assert hub.advance(9.9) is Want.CONNECT
    hub.session.failed(ConnectFailed(Failure.NOTHING_LISTENS, "nothing there"), hub.now_s)
    assert hub.session.state is State.WAITING
    hub.advance(0.1)
    assert hub.session.state is State.CLOSED
    assert isinstance(call.error, ConnectionLost)
    assert "no connection for 10 s: nothing there" in str(call.error)


def test_a_connection_in_time_sets_the_time_back() -> None:
    hub = ScriptedHub(give_up_after_s=10).open()
    for _ in range(5):
        hub.cut()
        assert hub.advance(9) is Want.CONNECT
        hub.session.failed(ConnectFailed(Failure.UNREACHABLE, "no"), hub.now_s)
        hub.reopen()
        hub.advance(A_WHILE_S)
    assert hub.session.state is State.CONNECTED


@pytest.mark.parametrize("failure", [Failure.NOTHING_LISTENS, Failure.KEY, Failure.CERTIFICATE])
def test_the_first_connection_fails_with_its_own_reason(failure: Failure) -> None:
    hub = ScriptedHub()
    assert hub.step() is Want.CONNECT
    hub.session.failed(ConnectFailed(failure, "words"), hub.now_s)
    assert hub.session.state is State.CLOSED
    assert isinstance(hub.session.error, ConnectFailed)
    assert hub.session.error.failure is failure


def test_a_silent_server_is_no_hub() -> None:
    hub = ScriptedHub()
    hub.accept()
    hub.advance(OPEN_TIMEOUT_S)
    assert isinstance(hub.session.error, ConnectFailed)
    assert hub.session.error.failure is Failure.UNREACHABLE


def test_a_server_that_does_not_greet_is_left_when_it_was_a_hub_before(hub: ScriptedHub) -> None:
    hub.cut()
    hub.now_s += hub.delay_s()
    hub.accept()
    assert hub.advance(OPEN_TIMEOUT_S) is Want.CLOSE
    assert hub.delay_s() == 0.5


def test_silence_of_two_heartbeats_ends_a_connection() -> None:
    hub = ScriptedHub().open(heartbeat_seconds=10)
    assert hub.advance(24.9) is Want.NOTHING
    assert hub.advance(0.1) is Want.CLOSE
    assert hub.session.state is State.WAITING and "nothing came for 25 s" in hub.session.why


def test_anything_that_comes_breaks_the_silence() -> None:
    hub = ScriptedHub().open(heartbeat_seconds=10)
    for _ in range(10):
        hub.advance(20)
        hub.raw(b"\x89\x00")  # a ping
    assert hub.session.state is State.CONNECTED


def test_close_says_goodbye_and_fails_what_waits(hub: ScriptedHub) -> None:
    call, stream = hub.ask("ping"), hub.read(0)
    hub.session.close()
    assert hub.step() is Want.CLOSE
    assert hub.closed_by_client == [1000]
    assert isinstance(call.error, ConnectionLost)
    with pytest.raises(EOFError):
        stream.take()


def test_nothing_opens_a_closed_session_again(hub: ScriptedHub) -> None:
    hub.cut()
    hub.now_s += hub.delay_s()
    hub.accept()
    hub.session.close()
    hub.send({"type": "welcome", "payload": GREETING})
    hub.advance(A_WHILE_S)
    assert hub.states == [State.CONNECTED, State.WAITING, State.CLOSED]
    assert hub.step() is Want.NOTHING


def test_a_connection_that_opens_after_the_close_is_closed() -> None:
    hub = ScriptedHub()
    assert hub.step() is Want.CONNECT
    hub.session.close()
    hub.step()
    hub.session.connected(hub.now_s)
    assert hub.step() is Want.CLOSE


def test_readers_of_a_closed_session_end_at_once(hub: ScriptedHub) -> None:
    hub.session.close()
    assert hub.read(0).is_over and hub.watch().is_over


def test_readers_of_a_lost_session_get_its_error() -> None:
    hub = ScriptedHub(reconnect=False).open()
    hub.cut()
    with pytest.raises(ConnectionLost):
        hub.read(0).take()
    with pytest.raises(ConnectionLost):
        hub.watch().take()


# -- what no hub sends

NO_MESSAGES = [
    "",
    "null",
    "[]",
    '"welcome"',
    "{",
    "{}",
    "NaN",
    "[" * 100_000,
    '{"type": "welcome", "payload": []}',
    '{"type": "welcome", "payload": {"heartbeat_seconds": "30"}}',
    '{"type": "welcome", "payload": {"heartbeat_seconds": -1}}',
    '{"type": "welcome", "payload": {"heartbeat_seconds": Infinity}}',
    '{"type": "welcome", "payload": {"heartbeat_seconds": NaN}}',
    '{"type": "welcome", "payload": {"max_update_bytes": "1"}}',
    '{"type": "welcome", "payload": {"max_message_bytes": -5}}',
    '{"type": "update"}',
    '{"type": "update", "payload": {"project_id": "site"}}',
    '{"type": "update", "payload": 5}',
    '{"type": "error", "id": "1", "payload": {}}',
]


@pytest.mark.parametrize("text", NO_MESSAGES, ids=range(len(NO_MESSAGES)))
def test_a_first_connection_to_what_is_no_hub_fails_in_words(text: str) -> None:
    hub = ScriptedHub()
    hub.accept()
    hub.send_text(text)
    assert isinstance(hub.session.error, ConnectFailed)
    assert hub.session.error.failure is Failure.NOT_A_HUB
    assert "sent what no hub sends" in str(hub.session.error)


@pytest.mark.parametrize("text", NO_MESSAGES, ids=range(len(NO_MESSAGES)))
def test_a_hub_that_talks_nonsense_is_left_and_tried_again(hub: ScriptedHub, text: str) -> None:
    hub.send_text(text)
    assert hub.session.state is State.WAITING
    assert "sent what no hub sends" in hub.session.why
    hub.reopen()
    assert hub.session.state is State.CONNECTED


def test_a_second_greeting_is_nonsense(hub: ScriptedHub) -> None:
    hub.send({"type": "welcome", "payload": GREETING})
    assert hub.session.state is State.WAITING


@pytest.mark.parametrize(
    "frame",
    [
        b"\x82\x01x",  # binary
        b"\x81\x81\x00\x00\x00\x00x",  # masked
        b"\xf1\x00",  # bits of an extension
        b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff",  # of 2 ** 64 bytes
        b"\x81\x01\xff",  # no UTF-8
        b"\x80\x00",  # continues nothing
    ],
)
def test_bytes_that_break_the_protocol_end_the_connection(hub: ScriptedHub, frame: bytes) -> None:
    hub.raw(frame)
    if frame[:1] == b"\x82":  # a binary frame holds no message
        assert hub.session.state is State.CONNECTED
        return
    assert hub.session.state is State.WAITING and hub.session.why


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x15\x03\x03\x00\x02\x02\x28",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 301 Moved\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 503 Busy\r\nContent-Length: 5\r\n\r\nlater",
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"\x00" * 70_000,
    ],
)
def test_a_handshake_with_something_else_fails_in_words(answer: bytes) -> None:
    hub = ScriptedHub()
    assert hub.step() is Want.CONNECT
    hub.session.connected(hub.now_s)
    hub.session.received(answer, hub.now_s)
    hub.session.received(b"", hub.now_s)
    assert isinstance(hub.session.error, ConnectFailed) and str(hub.session.error)


def test_fields_and_types_that_nobody_knows_are_ignored(hub: ScriptedHub) -> None:
    hub.send({"type": "weather", "payload": {"rain": True}, "more": 1})
    call = hub.ask("ping")
    request = hub.take("ping")
    hub.send({"type": "result", "id": request["id"], "payload": {"a": 1}, "more": 1})
    assert call.result == {"a": 1}


def test_a_missing_payload_is_an_empty_one(hub: ScriptedHub) -> None:
    call = hub.ask("unwatch")
    hub.send({"type": "result", "id": hub.take("unwatch")["id"]})
    assert call.result == {}


@pytest.mark.parametrize("payload", [{}, {"projects": None}, {"projects": [1]}, {"projects": {}}])
def test_a_reply_of_another_shape_becomes_words(hub: ScriptedHub, payload: object) -> None:
    running = hub.run(flows.described("site"))
    hub.send({"type": "result", "id": hub.take("project_list")["id"], "payload": payload})
    assert isinstance(running.error, HubError) and str(running.error)


@pytest.mark.parametrize(
    "page",
    [
        {},
        {"log_id": "a", "first_seq": None, "last_seq": None, "messages": [], "more": False},
        {"log_id": "a", "first_seq": 1, "last_seq": 2, "messages": [1], "more": False},
    ],
)
def test_a_page_of_another_shape_becomes_words(hub: ScriptedHub, page: object) -> None:
    running = hub.run(flows.started_at("site", None, None, "2026-01-01T00:00:00Z"))
    hub.send({"type": "result", "id": hub.take("get_messages")["id"], "payload": page})
    assert isinstance(running.error, HubError) and "get_messages" in str(running.error)


# -- requests over several connections


def test_requests_wait_for_a_connection_and_keep_their_order() -> None:
    hub = ScriptedHub()
    calls = [hub.ask("ping", n=n) for n in range(3)]
    hub.open()
    for number, call in enumerate(calls):
        request = hub.take("ping")
        assert request["payload"] == {"n": number}
        hub.reply(request, n=number)
        assert call.result == {"n": number}


def test_what_is_unanswered_is_sent_again_in_order(hub: ScriptedHub) -> None:
    calls = [hub.ask("ping", n=n) for n in range(3)]
    hub.reply(hub.take("ping"))
    hub.cut()
    hub.ask("ping", n=3)
    hub.requests.clear()
    hub.reopen()
    assert [request["payload"]["n"] for request in hub.requests] == [1, 2, 3]
    hub.reply(hub.take("ping"))
    assert [call.is_over for call in calls] == [True, True, False]


def test_a_late_answer_of_an_earlier_connection_answers_nothing(hub: ScriptedHub) -> None:
    first = hub.ask("ping", n=0)
    old = hub.take("ping")
    hub.cut()
    hub.reopen()
    new = hub.take("ping")
    assert old["id"] != new["id"]
    hub.reply(old, wrong=True)
    assert not first.is_over


def test_execute_is_sent_again_with_the_same_key(hub: ScriptedHub) -> None:
    running = hub.run(flows.executed("site", "Hi", None, None, {}))
    page = hub.take("get_messages")
    hub.reply(page, log_id="log", first_seq=1, last_seq=7, messages=[], more=False)
    first = hub.take("execute")
    hub.cut()
    hub.reopen()
    again = hub.take("execute")
    assert first["payload"]["key"] and again["payload"] == first["payload"]
    hub.reply(again, execution_id="e1", state="started", position=0)
    assert running.result.execution_id == "e1"
    assert running.result.position.seq == 7  # taken before the first sending


def test_a_prompt_may_carry_the_trace_of_its_program(hub: ScriptedHub) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    hub.run(flows.executed("site", "Hi", "k", trace, {}))
    page = hub.take("get_messages")
    hub.reply(page, log_id="log", first_seq=1, last_seq=0, messages=[], more=False)
    assert hub.take("execute")["payload"] == {
        "project_id": "site",
        "prompt": "Hi",
        "key": "k",
        "traceparent": trace,
    }


def test_two_prompts_have_different_keys(hub: ScriptedHub) -> None:
    keys = set()
    for _ in range(2):
        hub.run(flows.executed("site", "Hi", None, None, {}))
        page = hub.take("get_messages")
        hub.reply(page, log_id="log", first_seq=1, last_seq=0, messages=[], more=False)
        keys.add(hub.take("execute")["payload"]["key"])
    assert len(keys) == 2


@pytest.mark.parametrize("kind", ["agent_interrupt", "agent_kill"])
def test_an_end_that_was_sent_twice_is_done_if_nothing_runs(hub: ScriptedHub, kind: str) -> None:
    running = hub.run(flows.ended("site", kind, "e1"))
    hub.take(kind)
    hub.cut()
    hub.reopen()
    hub.refuse(hub.take(kind), "nothing_running")
    assert running.result == "e1"


@pytest.mark.parametrize("kind", ["agent_interrupt", "agent_kill"])
def test_an_end_is_refused_if_nothing_ran_the_first_time(hub: ScriptedHub, kind: str) -> None:
    running = hub.run(flows.ended("site", kind, None))
    hub.reply(hub.take("project_list"), projects=[project_object("site")])
    hub.take(kind)
    hub.cut()
    hub.reopen()
    hub.refuse(hub.take(kind), "nothing_running")
    assert isinstance(running.error, RequestRefused) and running.error.code == "nothing_running"


def test_interrupting_names_the_execution_so_that_a_repetition_cannot_meet_the_next(
    hub: ScriptedHub,
) -> None:
    hub.run(flows.ended("site", "agent_interrupt", None))
    hub.reply(hub.take("project_list"), projects=[project_object("site", execution_id="e1")])
    assert hub.take("agent_interrupt")["payload"]["execution_id"] == "e1"
    hub.cut()
    hub.reopen()
    assert hub.take("agent_interrupt")["payload"]["execution_id"] == "e1"


@pytest.mark.parametrize("decision", ["allow", "deny"])
def test_an_answer_that_was_sent_twice_is_done_if_its_decision_stands(
    hub: ScriptedHub, decision: str
) -> None:
    running = hub.run(flows.answered("site", "p1", Answer("allow")))
    hub.take("permission_answer")
    hub.cut()
    hub.reopen()
    hub.refuse(hub.take("permission_answer"), "already_answered", by="c1", decision=decision)
    assert running.is_over
    if decision == "allow":
        assert running.error is None
    else:
        assert isinstance(running.error, RequestRefused)
        assert running.error.code == "already_answered"


def test_an_answer_that_arrived_once_and_too_late_is_refused(hub: ScriptedHub) -> None:
    running = hub.run(flows.answered("site", "p1", Answer("allow")))
    hub.refuse(hub.take("permission_answer"), "already_answered", by="bo", decision="allow")
    assert isinstance(running.error, RequestRefused)
    assert running.error.details["by"] == "bo"


def test_a_deletion_that_was_sent_twice_is_done_if_the_project_is_gone(hub: ScriptedHub) -> None:
    call = hub.ask("project_delete", project_id="site")
    hub.cut()
    hub.reopen()
    hub.requests.pop(0)
    hub.refuse(hub.take("project_delete"), "project_not_found")
    assert call.error is None and call.is_over


def test_a_deletion_of_what_never_was_is_refused(hub: ScriptedHub) -> None:
    call = hub.ask("project_delete", project_id="site")
    hub.refuse(hub.take("project_delete"), "project_not_found")
    assert refused(call) == "project_not_found"


def exists_after_lost_reply(hub: ScriptedHub, path: str) -> Running:
    running = hub.run(flows.created("/src/site"))
    hub.take("project_create")
    hub.cut()
    hub.reopen()
    hub.refuse(hub.take("project_create"), "project_exists", project_id="site")
    hub.reply(hub.take("project_list"), projects=[project_object("site", path=path)])
    return running


def test_a_project_that_exists_after_a_lost_reply_counts_as_made(hub: ScriptedHub) -> None:
    running = exists_after_lost_reply(hub, "/src/site")
    assert running.error is None and running.result.project_id == "site"


def test_a_project_of_another_folder_does_not_count_as_made(hub: ScriptedHub) -> None:
    running = exists_after_lost_reply(hub, "/src/other")
    assert isinstance(running.error, RequestRefused) and running.error.code == "project_exists"


def test_a_project_that_existed_before_is_refused(hub: ScriptedHub) -> None:
    running = hub.run(flows.created("/src/site"))
    hub.refuse(hub.take("project_create"), "project_exists", project_id="site")
    assert isinstance(running.error, RequestRefused) and hub.asked_nothing()


def test_a_folder_that_somebody_makes_a_project_meanwhile_is_that_project(
    hub: ScriptedHub,
) -> None:
    running = hub.run(flows.wanted_project("/src/site", False, True))
    hub.reply(hub.take("project_list"), projects=[])
    hub.refuse(hub.take("project_create"), "project_exists", project_id="site-2")
    made = project_object("site-2", path="/src/site")
    hub.reply(hub.take("project_list"), projects=[made])
    assert running.result == "site-2"


# -- refusals that pass


def test_a_rate_limited_request_is_sent_again_when_the_hub_says(hub: ScriptedHub) -> None:
    call = hub.ask("ping")
    hub.refuse(hub.take("ping"), "rate_limited", retry_after_seconds=2.5)
    hub.advance(2.4)
    assert hub.asked_nothing()
    hub.advance(0.1)
    hub.reply(hub.take("ping"), done=True)
    assert call.result == {"done": True}


@pytest.mark.parametrize("said", [None, "soon", -1, [1]])
def test_a_rate_limit_without_a_time_is_a_second(hub: ScriptedHub, said: object) -> None:
    hub.ask("ping")
    hub.refuse(hub.take("ping"), "rate_limited", retry_after_seconds=said)
    hub.advance(1)
    assert hub.take("ping")


def test_details_that_are_no_object_are_none(hub: ScriptedHub) -> None:
    call = hub.ask("ping")
    payload = {"code": "internal", "message": "no", "details": [1]}
    hub.send({"type": "error", "id": hub.take("ping")["id"], "payload": payload})
    assert refused(call) == "internal" and hub.session.state is State.CONNECTED


def test_a_request_that_is_always_rate_limited_is_given_up(hub: ScriptedHub) -> None:
    call = hub.ask("ping")
    for _ in range(RATE_LIMITED_TRIES_MAX):
        hub.refuse(hub.take("ping"), "rate_limited", retry_after_seconds=1)
        hub.advance(1)
    hub.refuse(hub.take("ping"), "rate_limited", retry_after_seconds=1)
    assert refused(call) == "rate_limited"


def test_a_rate_limited_request_that_meets_a_loss_goes_on_the_next_connection(
    hub: ScriptedHub,
) -> None:
    call = hub.ask("ping")
    hub.refuse(hub.take("ping"), "rate_limited", retry_after_seconds=1)
    hub.cut()
    hub.advance(1)
    hub.session.connected(hub.now_s)
    hub.session.failed(ConnectFailed(Failure.UNREACHABLE, "no"), hub.now_s)
    hub.reopen()
    hub.reply(hub.take("ping"))
    assert call.result == {}


def test_a_request_to_a_hub_that_stops_waits_for_the_next_connection(hub: ScriptedHub) -> None:
    call = hub.ask("ping")
    hub.refuse(hub.take("ping"), "shutting_down")
    hub.advance(1)
    assert not call.is_over and hub.asked_nothing()
    hub.close(1001)
    hub.open()
    hub.reply(hub.take("ping"), back=True)
    assert call.result == {"back": True}


def test_without_reconnect_a_hub_that_stops_refuses() -> None:
    hub = ScriptedHub(reconnect=False).open()
    call = hub.ask("ping")
    hub.refuse(hub.take("ping"), "shutting_down")
    assert refused(call) == "shutting_down"


def stay_connected(hub: ScriptedHub, seconds: float) -> None:
    """Let time pass, and let the hub ping each second."""
    for _ in range(int(seconds)):
        hub.raw(b"\x89\x00")
        hub.advance(1)


def test_a_request_that_is_never_answered_ends(hub: ScriptedHub) -> None:
    call = hub.ask("ping")
    stay_connected(hub, REPLY_TIMEOUT_S - 1)
    assert not call.is_over
    hub.raw(b"\x89\x00")
    hub.advance(1)
    assert isinstance(call.error, NoReply)
    hub.reply(hub.take("ping"))  # too late: nobody waits
    assert hub.session.state is State.CONNECTED


def test_the_time_for_a_reply_begins_anew_with_each_sending(hub: ScriptedHub) -> None:
    call = hub.ask("ping")
    hub.advance(50)
    hub.cut()
    hub.reopen()
    hub.advance(50)
    assert not call.is_over
    hub.requests.clear()
    stay_connected(hub, REPLY_TIMEOUT_S - 50)
    assert isinstance(call.error, NoReply)


def test_a_request_on_a_dead_connection_is_sent_again_and_does_not_fail() -> None:
    for heartbeat_s in (30, 600):
        hub = ScriptedHub().open(heartbeat_seconds=heartbeat_s)
        call = hub.ask("ping")
        hub.advance(2 * heartbeat_s + 5)
        assert hub.session.state is State.WAITING and not call.is_over


def test_a_request_that_nobody_waits_for_is_not_sent(hub: ScriptedHub) -> None:
    hub.cut()
    call = hub.ask("execute", project_id="site", prompt="too late")
    hub.session.withdraw(call)
    hub.reopen()
    assert hub.asked_nothing()


def test_a_request_above_the_hubs_limit_is_refused_here() -> None:
    hub = ScriptedHub().open(max_message_bytes=1000)
    call = hub.ask("execute", project_id="site", prompt="x" * 1000)
    assert refused(call) == "too_big" and hub.asked_nothing()
    assert hub.session.state is State.CONNECTED
    hub.ask("execute", project_id="site", prompt="x" * 700)
    assert hub.take("execute")


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, object()])
def test_what_is_no_json_is_refused_where_it_is_given(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        Call("execute", project_id="site", options={"model": value})


def test_a_request_is_what_it_was_when_it_was_asked(hub: ScriptedHub) -> None:
    hub.cut()
    blocks = [{"type": "text", "text": "first"}]
    hub.ask("execute", content=blocks)
    blocks.clear()
    hub.reopen()
    assert hub.take("execute")["payload"]["content"] == [{"type": "text", "text": "first"}]


# -- keys

OFFER = {"method": "ssh", "version": 2, "challenge": "claudehub abc", "namespace": "claudehub"}
PROOF = {"public_key": "ssh-ed25519 AAAA", "signature": "sig", "host": "127.0.0.1:8080"}


def test_a_key_opens_the_session() -> None:
    hub = ScriptedHub()
    assert hub.offer_key(OFFER) is Want.SIGN
    waiting = hub.ask("ping")
    assert hub.asked_nothing() and hub.session.state is State.WAITING
    hub.session.authenticate(PROOF, hub.now_s)
    request = hub.take("authenticate")
    assert request["payload"] == PROOF
    hub.reply(request, user="ada")
    assert hub.session.state is State.CONNECTED
    hub.reply(hub.take("ping"))
    assert waiting.result == {}


def test_a_refused_key_is_followed_by_the_next_and_the_last_ends_it() -> None:
    hub = ScriptedHub()
    hub.offer_key(OFFER)
    hub.session.authenticate(PROOF, hub.now_s)
    hub.refuse(hub.take("authenticate"), "unauthenticated")
    assert hub.step() is Want.SIGN and hub.session.refusal is not None
    hub.session.failed(ConnectFailed(Failure.KEY, "no key is left"), hub.now_s)
    assert isinstance(hub.session.error, ConnectFailed)


def test_a_key_that_is_refused_later_ends_the_session() -> None:
    hub = ScriptedHub().open()
    hub.cut()
    hub.now_s += hub.delay_s()
    assert hub.offer_key(OFFER) is Want.SIGN
    hub.session.failed(ConnectFailed(Failure.KEY, "no key is left"), hub.now_s)
    assert isinstance(hub.session.error, ConnectionLost)
    assert hub.session.retry_at_s is None


@pytest.mark.parametrize("code", ["shutting_down", "rate_limited", "internal"])
def test_a_hub_that_lets_nobody_in_now_is_tried_again(code: str) -> None:
    hub = ScriptedHub().open()
    hub.cut()
    hub.now_s += hub.delay_s()
    hub.offer_key(OFFER)
    hub.session.authenticate(PROOF, hub.now_s)
    hub.refuse(hub.take("authenticate"), code)
    assert hub.session.state is State.WAITING
    hub.reopen()
    assert hub.session.state is State.CONNECTED


def test_a_login_is_not_sent_again_on_another_connection() -> None:
    hub = ScriptedHub().open()
    hub.cut()
    hub.now_s += hub.delay_s()
    hub.offer_key(OFFER)
    hub.session.authenticate(PROOF, hub.now_s)
    hub.cut()
    hub.now_s += hub.delay_s()
    assert hub.offer_key(OFFER) is Want.SIGN
    assert hub.take("authenticate") and hub.asked_nothing()  # that of the connection before


def test_a_close_for_want_of_a_key_ends_the_session() -> None:
    hub = ScriptedHub()
    hub.offer_key(OFFER)
    hub.close(1008, "not authenticated in time")
    assert isinstance(hub.session.error, ConnectFailed)
    assert hub.session.error.failure is Failure.KEY


def test_a_unix_socket_that_asks_for_a_key_is_none_of_a_hub() -> None:
    hub = ScriptedHub(url="unix:/run/hub.sock")
    hub.offer_key(OFFER)
    assert isinstance(hub.session.error, ConnectFailed)
    assert "may lead to another server" in str(hub.session.error)
