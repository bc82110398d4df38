"""The product's own log as a subject for a black-box checker of append-only logs.

    LOGCHECK_DIR=FOLDER python tests/logcheck_subject.py [--count N] [--batch N] [--bytes N]
        [--policy always|interval|never] [--rotate BYTES]

Opens (and so recovers) the log in LOGCHECK_DIR, appends until it is ended or has appended `--count`
records, and says so, unbuffered: `ACK <seq> <id>` for each record that is acknowledged, the id
stands in it; `REFUSED <errno>` for each that the log turned down. A second process is refused
(exit code 3). Nothing is reopened after a failed flush: from then on everything is refused.
"""

import argparse
import os
import secrets
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from protocol import codec
from storage import disk
from storage.errors import AlreadyLocked, StorageError
from storage.lock import DataLock
from storage.log_state import LogState, SyncPolicy
from storage.message_log import LogSettings, MessageLog, open_log

SYNC_INTERVAL_S = 1.0  # as the project's timer has it


class Subject:
    """A log and its state file, in place of a project's metadata."""

    def __init__(self, folder: Path, policy: SyncPolicy, rotate_bytes: int) -> None:
        self._state_file = folder / "state.json"
        self._policy = policy
        self._synced_s = time.monotonic()
        state = None
        if self._state_file.exists():
            state = LogState.model_validate_json(self._state_file.read_bytes())
        settings = LogSettings(rotate_bytes=rotate_bytes, sync=policy, boot_id="b")
        self.log: MessageLog = open_log(folder, settings, state)
        self.keep(self.log.state)

    def keep(self, state: LogState) -> None:
        disk.replace_file(self._state_file, state.model_dump_json().encode())

    def append(self, count: int, size_bytes: int) -> str:
        """One batch; what is to be said of it."""
        ids = [secrets.token_hex(8) for _ in range(count)]
        fill = "x" * size_bytes
        bodies = [
            *codec.update_bodies(
                "p", [("claude", {"id": name, "fill": fill}, None) for name in ids]
            )
        ]
        try:
            self.log.append_many(bodies, now())
        except StorageError as error:
            return f"REFUSED {getattr(error.__cause__, 'errno', 0)}\n" * count
        last = self.log.bounds().last_seq
        return "".join(f"ACK {last - count + 1 + n} {name}\n" for n, name in enumerate(ids))

    def look_after(self) -> None:
        """What the project does beside appending: timed flushes, checkpoints."""
        due = time.monotonic() - self._synced_s > SYNC_INTERVAL_S
        try:
            if due and self._policy is SyncPolicy.INTERVAL:
                self._synced_s = time.monotonic()
                self.log.sync()
            if self.log.wants_checkpoint:
                self.keep(self.log.note_checkpoint())
        except (StorageError, OSError) as error:
            sys.stderr.write(f"{error}\n")


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=1 << 60)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--bytes", type=int, default=700)
    parser.add_argument("--policy", type=SyncPolicy, default=SyncPolicy.ALWAYS)
    parser.add_argument("--rotate", type=int, default=1 << 30)
    options = parser.parse_args()
    folder = Path(os.environ["LOGCHECK_DIR"])
    disk.make_folder(folder)
    lock = DataLock(folder / "lock")
    try:
        lock.acquire()
    except AlreadyLocked as error:
        sys.stderr.write(f"{error}\n")
        return 3
    subject = Subject(folder, options.policy, options.rotate)
    left = options.count
    while left > 0:
        count = min(options.batch, left)
        sys.stdout.write(subject.append(count, options.bytes))
        sys.stdout.flush()
        subject.look_after()
        left -= count
    try:
        subject.keep(subject.log.close(now()))
    except (StorageError, OSError) as error:
        sys.stderr.write(f"{error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
