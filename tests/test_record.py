"""Records as bytes. Pure."""

import json

import pytest

from storage import record

STAMP = b"2026-11-23T08:14:33.123456Z"
LINE = record.encode(42, STAMP, b'"project_id":"p","data":{}}')


def test_a_record_is_a_line_of_json_with_its_crc_first() -> None:
    assert LINE.endswith(b"}\n")
    assert LINE[18:].startswith(b'"seq":42,"timestamp":"2026')
    assert json.loads(LINE)["seq"] == 42
    assert record.is_sound(LINE)
    assert record.seq_of(LINE) == 42
    assert record.timestamp_of(LINE) == STAMP
    assert record.stamp_of(LINE) == (42, STAMP)


def test_every_flipped_bit_is_found() -> None:
    for position in range(len(LINE)):
        for bit in range(8):
            damaged = bytearray(LINE)
            damaged[position] ^= 1 << bit
            assert not record.is_sound(bytes(damaged)), position


def test_every_cut_is_found() -> None:
    for length in range(len(LINE)):
        assert not record.is_sound(LINE[:length])
        assert LINE[:length] + b"\n" == LINE or not record.is_sound(LINE[:length] + b"\n")


@pytest.mark.parametrize(
    "line", [b"", b"\n", b"\0" * 100, b'{"crc":"', LINE[:40], LINE.replace(b"42,", b"x2,")]
)
def test_a_line_that_is_no_record_is_rejected(line: bytes) -> None:
    assert not record.is_sound(line)
