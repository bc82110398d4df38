"""Encoding: replies, updates spliced from stored bytes, frames. Pure."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from protocol import codec, frames
from protocol.dialect import VERSION_1
from protocol.errors import ErrorCode, RequestRefused
from protocol.requests import Ping, Request
from storage import record
from tests.fakes import body_of, texts

STAMP = "2026-11-23T08:14:33.123456Z"


def test_replies_repeat_the_id_of_the_request() -> None:
    ping = Request("ping", 'a"b', Ping({}))
    (result,) = VERSION_1.result(ping, {}, now="", beside={})
    assert result == b'{"type":"result","id":"a\\"b","payload":{}}'
    error = RequestRefused(ErrorCode.INVALID_PATH, "no", {"field": "payload.path"})
    (text,) = VERSION_1.error(codec.Undecodable(error), error)
    message = json.loads(text)
    assert message == {
        "type": "error",
        "payload": {"code": "invalid_path", "message": "no", "details": {"field": "payload.path"}},
    }


def test_a_stored_line_becomes_an_update_without_being_parsed() -> None:
    raw = b'{"a": 1.50, "b":"\\u00e9"}'
    line = record.encode(7, STAMP.encode(), body_of("p", "claude", raw, "e1"))
    ((message, is_kept, _),) = VERSION_1.messages([(line, True, True)])
    assert is_kept
    assert raw in message
    assert json.loads(message) == {
        "type": "update",
        "payload": {
            "seq": 7,
            "timestamp": STAMP,
            "project_id": "p",
            "update_type": "claude",
            "execution_id": "e1",
            "data": {"a": 1.5, "b": "é"},
        },
    }
    assert json.loads(codec.update_payload(line)) == json.loads(message)["payload"]


def test_an_unlogged_update_has_no_number() -> None:
    body = body_of("p", "status", b'{"status":"idle"}')
    payload = codec.ephemeral_payload(STAMP, body)
    shown = (payload, False, False)
    ((message, is_kept, _),) = VERSION_1.messages([shown])
    assert not is_kept
    update = json.loads(message)["payload"]
    assert update == {
        "timestamp": STAMP,
        "project_id": "p",
        "update_type": "status",
        "data": {"status": "idle"},
    }


def test_a_value_that_json_cannot_hold_is_a_value_error() -> None:
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    for value in (float("inf"), nested):
        with pytest.raises(ValueError, match=r".+"):
            codec.dumps(value)
    while nested:  # taken apart by hand: its own end would recurse
        nested = nested[0]  # type: ignore[assignment]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 200_000])
def test_frames_have_the_right_heads_at_every_length(size: int) -> None:
    one, other = frames.text_frame(b"x" * size), frames.text_frame(b"yy")
    stream = one + other
    assert one == Frame(Opcode.TEXT, b"x" * size).serialize(mask=False)
    assert texts(stream) == [b"x" * size, b"yy"]
    assert frames.boundary(stream, 0) == 0
    assert frames.boundary(stream, 1) == len(one)
    assert frames.boundary(stream, len(one)) == len(one)
    assert frames.boundary(stream, len(one) + 1) == len(stream)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(json_values)
def test_an_encoded_text_decodes_to_itself(value: object) -> None:
    assert codec.loads(codec.dumps(value)) == value


@given(st.text(max_size=200))
def test_any_text_is_a_request_or_an_error(text: str) -> None:
    try:
        codec.decode(text)
    except codec.Undecodable as refusal:
        assert refusal.error.code in ("invalid_json", "invalid_message", "unknown_type")


def test_an_input_that_is_nested_too_deeply_is_refused() -> None:
    def answer(levels: int) -> str:
        nested = '{"a":' * levels + "1" + "}" * levels
        payload = (
            f'{{"project_id":"p","permission_id":"q","decision":"allow","updated_input":{nested}}}'
        )
        return f'{{"type":"permission_answer","payload":{payload}}}'

    codec.decode(answer(100))
    for levels in (101, 500, 900):
        with pytest.raises(codec.Undecodable) as refused:
            codec.decode(answer(levels))
        assert refused.value.error.details == {"field": "payload.updated_input"}
