"""What the rows write and read: lines as Claude Code writes them, 1.1 KB in the mean."""

import os
import random
import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import simplejson

from protocol import codec
from storage import record
from storage.compressor import compress
from storage.log_state import LogState, SyncPolicy
from storage.message_log import LogSettings, MessageLog, open_log
from storage.segments import Compression

BATCH = 64
START = datetime(2026, 1, 1, tzinfo=UTC)
STEP = timedelta(milliseconds=10)
_UUID = "5f0f2c52-9f0e-4d3c-9d6b-0d6f3a0d9c11"
_WORDS = (Path(__file__).resolve().parents[2] / "docs" / "protocol.md").read_text().split()


def stamp(number: int) -> str:
    """Return the time of the record with that number."""
    return (START + number * STEP).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def agent_lines(count: int, seed: int = 1) -> list[bytes]:
    """Yield texts, tool uses and tool results in the CLI's shapes, with real words."""
    chooser = random.Random(seed)
    return [simplejson.dumps(_agent_line(chooser)).encode() for _ in range(count)]


def _agent_line(chooser: random.Random) -> dict[str, object]:
    words = chooser.choices(_WORDS, k=chooser.choice((8, 12, 20, 30, 40, 60, 100, 200, 250)))
    text = " ".join(words[: len(words) // 2]) + "\n" + "\n".join(words[len(words) // 2 :])
    ids = [f"{chooser.randrange(1 << 96):024x}" for _ in range(3)]
    about = {"session_id": _UUID, "uuid": _UUID, "parent_tool_use_id": None}
    kind = chooser.choice(("text", "tool_use", "tool_result"))
    if kind == "tool_result":
        block = {"tool_use_id": f"toolu_{ids[0]}", "type": kind, "content": text, "is_error": False}
        content = {"role": "user", "content": [block]}
        extra = {"stdout": text[:100], "stderr": "", "interrupted": False, "isImage": False}
        return {"type": "user", "message": content, **about, "tool_use_result": extra}
    tool = {
        "type": kind,
        "id": f"toolu_{ids[1]}",
        "name": "Edit",
        "input": {"file_path": "/home/me/src/site/page.py", "old_string": text[:40], "new": text},
    }
    usage = {
        "input_tokens": 4,
        "cache_creation_input_tokens": chooser.randrange(9000),
        "cache_read_input_tokens": chooser.randrange(90000),
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": chooser.randrange(2000),
        "service_tier": "standard",
    }
    message = {
        "model": "claude-opus-4-1-20250805",
        "id": f"msg_{ids[2]}",
        "type": "message",
        "role": "assistant",
        "content": [{"type": "text", "text": text} if kind == "text" else tool],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    return {"type": "assistant", "message": message, **about}


def bodies(lines: list[bytes]) -> list[bytes]:
    return codec.update_bodies("p", [("claude", line, "e" * 36) for line in lines])


def settings(sync: SyncPolicy, rotate_bytes: int = 1 << 40) -> LogSettings:
    return LogSettings(rotate_bytes=rotate_bytes, sync=sync, boot_id="b")


class Corpus:
    """One log of `size_bytes` in one segment, with the same rows in SQLite, and compressed."""

    def __init__(self, folder: Path, size_bytes: int) -> None:
        self.folder = folder
        self.log_folder = folder / "log"
        self._database_file = folder / "rows.sqlite"
        self.count = self._write(size_bytes)
        self.compressed = {
            compression: self._compress(compression)
            for compression in (Compression.GZIP, Compression.ZSTD)
        }
        self.database = self._load_database()

    def _write(self, size_bytes: int) -> int:
        log = open_log(self.log_folder, settings(SyncPolicy.NEVER), None)
        pool = bodies(agent_lines(2000))
        written = number = 0
        while written < size_bytes:
            at = number % (len(pool) - BATCH)
            written += sum(map(len, log.append_many(pool[at : at + BATCH], stamp(number + 1))))
            number += BATCH
        self.state: LogState = log.close(stamp(number))
        return number

    def open(self) -> MessageLog:
        return open_log(self.log_folder, settings(SyncPolicy.NEVER), self.state)

    @property
    def segment(self) -> Path:
        return next(self.log_folder.glob("*.jsonl"))

    def _compress(self, compression: Compression) -> Path:
        """Make a log folder with a compressed segment and an empty one after it."""
        folder = self.folder / compression
        folder.mkdir()
        name = self.segment.name + compression.suffix
        compress(self.segment, folder / name, compression, lambda: True)
        (folder / f"{self.count + 1:020d}-20990101T000000Z.jsonl").touch()
        return folder

    def _load_database(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._database_file)
        database.execute("pragma journal_mode = wal")
        database.execute("create table rows (seq integer primary key, stamp text, line blob)")
        with open(self.segment, "rb") as file:
            rows = ((record.seq_of(x), record.timestamp_of(x).decode(), x) for x in file)
            database.executemany("insert into rows values (?, ?, ?)", rows)
        database.execute("create index by_stamp on rows (stamp)")
        database.commit()
        return database

    def evict(self, path: Path) -> None:
        """Remove the files from this system's page cache."""
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


def timed(work: object, *arguments: object) -> float:
    """Return the seconds that a call takes."""
    assert callable(work)
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start


def batches(items: list[bytes]) -> Iterator[list[bytes]]:
    for at in range(0, len(items), BATCH):
        yield items[at : at + BATCH]
