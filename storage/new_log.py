"""A log that is written from its beginning to its end at once, while nobody reads it.

message_log.py has the form. Records bring times of their own, and nothing is acknowledged, so one
flush for each segment is enough. The state says that the log was stopped in order.
"""

import os
from datetime import datetime
from pathlib import Path

from storage import disk, record
from storage.errors import from_os_error
from storage.layout import boot_id
from storage.log_state import LogState, Mark, SyncPolicy, new_log_id
from storage.log_tail import CLOCK_STEP_MAX
from storage.segments import segment_path

BUFFER_BYTES = 1024 * 1024
# So many times the time may step back far, and a new segment begins. After that, records get the
# time of the record before them: a file for each record would help nobody.
STEPS_BACK_MAX = 100


class NewLog:
    """Every call raises StorageError. `last_seq` is the number of the newest record;
    `times_changed` counts the records that have got the time of the record before them."""

    def __init__(self, folder: Path, rotate_bytes: int) -> None:
        self._folder = folder
        self._rotate_bytes = rotate_bytes
        self._fd: int | None = None
        self._path = folder
        self._size_bytes = 0
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._first_seqs: list[int] = []
        self._last_timestamp = ""
        self._steps_back = 0
        self.last_seq = 0
        self.times_changed = 0
        try:
            disk.make_folder(folder)
        except OSError as error:
            raise from_os_error(error, f"making {folder}") from error

    def add(self, timestamp: str, body: bytes) -> None:
        """Append a record; `body` is what stands behind its time (protocol.codec.update_bodies).

        Within a segment no time may fall. A small step back is evened out, as in every log.
        """
        if timestamp < self._last_timestamp:
            if self._is_far_back(timestamp) and self._steps_back < STEPS_BACK_MAX:
                self._steps_back += 1
                self._end_segment()
            else:
                timestamp = self._last_timestamp
                self.times_changed += 1
        elif self._size_bytes + self._held_bytes >= self._rotate_bytes:
            self._end_segment()
        self._last_timestamp = timestamp
        if self._fd is None:
            self._begin_segment(timestamp)
        self.last_seq += 1
        line = record.encode(self.last_seq, timestamp.encode("ascii"), body)
        self._held.append(line)
        self._held_bytes += len(line)
        if self._held_bytes >= BUFFER_BYTES:
            self._write()

    def close(self) -> LogState:
        """Flush everything; return the state for the metadata, with a new log_id."""
        self._end_segment()
        mark = None
        if self._first_seqs:
            mark = Mark(
                segment=self._path.name, size_bytes=self._size_bytes, last_seq=self.last_seq
            )
        try:
            disk.sync_folder(self._folder)
        except OSError as error:
            raise from_os_error(error, f"flushing {self._folder}") from error
        return LogState(
            log_id=new_log_id(),
            boot_id=boot_id(),
            clean=mark,
            checkpoint=mark,
            segments=tuple(self._first_seqs),
            sync=SyncPolicy.ALWAYS,
        )

    def abandon(self) -> None:
        """Close the file that is open: what was written is of no use."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def _is_far_back(self, timestamp: str) -> bool:
        last = datetime.fromisoformat(self._last_timestamp)
        return last - datetime.fromisoformat(timestamp) >= CLOCK_STEP_MAX

    def _begin_segment(self, timestamp: str) -> None:
        try:
            self._path = segment_path(self._folder, self.last_seq + 1, timestamp)
            self._fd = disk.open_private(self._path, os.O_WRONLY | os.O_EXCL)
        except OSError as error:
            raise from_os_error(error, f"beginning a segment in {self._folder}") from error
        self._first_seqs.append(self.last_seq + 1)
        self._size_bytes = 0

    def _write(self) -> None:
        assert self._fd is not None
        try:
            disk.write_all(self._fd, b"".join(self._held))
        except OSError as error:
            raise from_os_error(error, f"writing {self._path}") from error
        self._size_bytes += self._held_bytes
        self._held, self._held_bytes = [], 0

    def _end_segment(self) -> None:
        if self._fd is None:
            return
        self._write()
        try:
            disk.sync(self._fd)
        except OSError as error:
            raise from_os_error(error, f"flushing {self._path}") from error
        finally:
            self.abandon()
