"""Buffers of whole frames: where they end, and which updates are in them."""

from protocol import codec, frames
from storage import record

STAMP = b"2026-11-23T08:14:33.123456Z"


def update(seq: int, project_id: str = "p") -> bytes:
    body = codec.update_body(project_id, "claude", b'{"seq":9}', "e1")
    return codec.update_frame(record.encode(seq, STAMP, body))


def test_frames_before_a_byte() -> None:
    buffer = frames.text_frame(b"x" * 10) + frames.text_frame(b"y" * 200) + frames.text_frame(b"")
    ends = [12, 12 + 204, 12 + 204 + 2]
    for offset in range(len(buffer) + 1):
        assert frames.count_before(buffer, offset) == sum(end <= offset for end in ends)
        assert frames.boundary(buffer, offset) == (
            min(end for end in ends if end >= offset) if offset else 0
        )


def test_the_first_stored_update_of_a_buffer() -> None:
    ephemeral = frames.text_frame(codec.ephemeral_message(STAMP.decode(), b'"seq":5}'))
    reply = frames.text_frame(codec.result_message("1", b'{"seq":1}'))
    buffer = ephemeral + reply + update(7) + update(8, "other")
    assert frames.first_update(buffer) == ("p", 7)
    assert frames.first_update(buffer, skip=2) == ("p", 7)
    assert frames.first_update(buffer, skip=3) == ("other", 8)
    assert frames.first_update(buffer, skip=4) is None
    assert frames.first_update(ephemeral + reply) is None
    assert frames.first_update(b"") is None


def test_a_frame_and_its_message() -> None:
    for size in (0, 125, 126, 65_535, 65_536):
        frame = frames.text_frame(b"z" * size)
        assert frames.message_of(frame) == b"z" * size
        assert frames.deflated_frame(b"z" * size) == b"\xc1" + frame[1:]
