"""The bytes of a log's files, for a scrape."""

import os
from pathlib import Path
from typing import Any

import pytest

from storage.segment_sizes import SegmentSizes
from storage.segments import Compression, Segment


def segment(folder: Path, number: int, size_bytes: int, suffix: str = "") -> Segment:
    path = folder / f"{number}.jsonl{suffix}"
    path.write_bytes(b"x" * size_bytes)
    return Segment(
        number, "20261129T000000Z", path, Compression.GZIP if suffix else Compression.OFF
    )


def test_only_the_newest_file_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    real = os.stat

    def stat(path: Any, **options: Any) -> os.stat_result:
        asked.append(os.path.basename(path))
        return real(path, **options)

    sizes, log = SegmentSizes(), [segment(tmp_path, number, 10 * number) for number in (1, 2, 3)]
    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", stat)
        assert sizes.total_bytes(log) == 60
        assert asked == ["1.jsonl", "2.jsonl", "3.jsonl"]
        log[-1].path.write_bytes(b"x" * 35)
        asked.clear()
        assert sizes.total_bytes(log) == 65
        assert asked == ["3.jsonl"]
        log.append(segment(tmp_path, 4, 1))  # the log has rolled: the third is closed now
        log[1] = segment(tmp_path, 2, 5, ".gz")
        log.pop(0)
        assert sizes.total_bytes(log) == 5 + 35 + 1
        asked.clear()
        assert sizes.total_bytes(log) == 5 + 35 + 1
        assert asked == ["4.jsonl"]


def test_a_log_without_files_and_a_file_that_is_gone_have_no_bytes(tmp_path: Path) -> None:
    gone = segment(tmp_path, 1, 10)
    gone.path.unlink()
    assert SegmentSizes().total_bytes([]) == SegmentSizes().total_bytes([gone]) == 0
