"""Buffers of whole frames: where they end, and which updates are in them."""

from protocol import codec, frames
from protocol.dialect import VERSION_1, Update
from protocol.requests import Ping, Request
from storage import record
from tests.fakes import body_of

STAMP = b"2026-11-23T08:14:33.123456Z"


def update(seq: int, project_id: str = "p") -> bytes:
    body = body_of(project_id, "claude", b'{"seq":9}', "e1")
    return framed((record.encode(seq, STAMP, body), True, True))


def framed(shown: Update) -> bytes:
    ((message, _, _),) = VERSION_1.messages([shown])
    return frames.text_frame(message)


def test_frames_before_a_byte() -> None:
    buffer = frames.text_frame(b"x" * 10) + frames.text_frame(b"y" * 200) + frames.text_frame(b"")
    ends = [12, 12 + 204, 12 + 204 + 2]
    for offset in range(len(buffer) + 1):
        assert frames.count_before(buffer, offset) == sum(end <= offset for end in ends)
        assert frames.boundary(buffer, offset) == (
            min(end for end in ends if end >= offset) if offset else 0
        )


def test_the_first_stored_update_of_a_buffer() -> None:
    payload = codec.ephemeral_payload(STAMP.decode(), b'"seq":5}')
    ephemeral = framed((payload, False, True))
    ping = Request("ping", "1", Ping({}))
    reply = frames.text_frames(VERSION_1.result(ping, {"seq": 1}, now="", beside={}))
    buffer = ephemeral + reply + update(7) + update(8, "other")
    assert frames.first_update(buffer) == ("p", 7)
    assert frames.first_update(buffer, skip=2) == ("p", 7)
    assert frames.first_update(buffer, skip=3) == ("other", 8)
    assert frames.first_update(buffer, skip=4) is None
    assert frames.first_update(ephemeral + reply) is None
    assert frames.first_update(b"") is None


def test_a_compressed_frame_differs_by_rsv1_only() -> None:
    for size in (0, 125, 126, 65_535, 65_536):
        frame = frames.text_frame(b"z" * size)
        assert frames.text_frames([b"z" * size] * 2) == 2 * frame
        assert frames.deflated_frames([b"z" * size] * 2) == 2 * (b"\xc1" + frame[1:])
