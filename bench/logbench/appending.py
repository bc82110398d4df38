"""Rows 1 to 5 and 11: the cost of storing."""

import functools
import os
import queue
import sqlite3
import statistics
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pykka
import simplejson

from actors import messages
from actors.feed.feed import Feed
from actors.feed.project_log import ProjectLog
from actors.runtime.base import Actor
from actors.runtime.clock import SystemClock, ThreadTimers
from bench.logbench.corpus import agent_lines, batches, bodies, settings, stamp, timed
from protocol import codec
from protocol.updates import UpdateType
from storage import record
from storage.layout import DataLayout
from storage.log_state import SyncPolicy
from storage.message_log import open_log
from storage.projects import ProjectMeta

PRODUCERS = 20
PER_PRODUCER = 150
MANY_RECORDS = 20_000
REPEATS = 9
DONE_S = 60.0


class LogActor(Actor):
    """A project's feed and log, without the rest of a project. Without `gathers` it flushes each
    record, as a naive actor would."""

    def __init__(self, root: Path, timers: ThreadTimers, *, gathers: bool) -> None:
        super().__init__(parent=None, name="log")
        layout = DataLayout(root)
        layout.create()
        meta = ProjectMeta(
            project_id="p", name="p", path="/", created_at="2026", last_active="2026"
        )
        self._gathers = gathers
        self._feed = Feed(
            project=self.actor_ref,
            log=ProjectLog(layout, settings(SyncPolicy.ALWAYS), meta),
            data_folder=root,
            sync=SyncPolicy.ALWAYS,
            clock=SystemClock(),
            timers=timers,
            stored=lambda: None,
        )

    def on_receive(self, message: object) -> None:
        if isinstance(message, messages._FlushFeed):
            self._feed.on_flush_due()
            return
        line, stored = message  # type: ignore[misc]
        self._feed.log(UpdateType.CLAUDE, line, on_stored=stored)
        if not self._gathers:
            self._feed.on_flush_due()

    def release(self) -> None:
        self._feed.close()


class Appending:
    """One round of one row per method."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lines = agent_lines(PRODUCERS * PER_PRODUCER)
        self._bodies = bodies(self._lines)
        self._number = 0
        self._timers = ThreadTimers(SystemClock())
        self._timers.start()

    def close(self) -> None:
        self._timers.stop(5.0)

    def _place(self) -> Path:
        self._number += 1
        return self._folder / f"append-{self._number}"

    def raw_write(self) -> Iterator[tuple[str, float]]:
        """Row 1."""
        place = self._place()
        place.mkdir()
        encoded = [
            record.encode(n, stamp(n).encode(), body) for n, body in enumerate(self._bodies, 1)
        ]
        fd = os.open(place / "raw", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        log = open_log(place / "log", settings(SyncPolicy.NEVER), None)
        raw, ours = [], []
        for _ in range(REPEATS):  # interleaved: one takes milliseconds, on a shared machine
            raw.append(timed(lambda: [os.write(fd, line) for line in encoded]))
            ours.append(
                timed(lambda: [log.append_many(b, stamp(1)) for b in batches(self._bodies)])
            )
        os.close(fd)
        log.close(stamp(1))
        yield "1", statistics.median(raw) / statistics.median(ours)

    def group_commit(self) -> Iterator[tuple[str, float]]:
        """Rows 2 and 3."""
        naive_s = self._produce(1, PRODUCERS, 1, gathers=False)
        yield "2", naive_s / self._produce(1, PRODUCERS, 8, gathers=True)
        yield "3", naive_s / self._produce(1, PRODUCERS, 1, gathers=True)

    def many_logs(self) -> Iterator[tuple[str, float]]:
        """Row 11: one producer per log, and as many records in total."""
        yield "11", self._keep_busy(1) / self._keep_busy(100)

    def _keep_busy(self, logs: int) -> float:
        """Return seconds for MANY_RECORDS, eight outstanding in each log. Each acknowledgement
        sends the next record, so that no thread of the bench competes with the logs' threads."""
        place, each = self._place(), MANY_RECORDS // logs
        actors = [LogActor.start(place / str(n), self._timers, gathers=True) for n in range(logs)]
        done = [threading.Event() for _ in actors]
        self._warm_up(actors)

        def send(number: int, counts: list[int]) -> None:
            if counts[0] < each:
                counts[0] += 1
                line = self._lines[counts[0] % len(self._lines)]
                actors[number].tell((line, functools.partial(stored, number, counts)))

        def stored(number: int, counts: list[int]) -> None:
            counts[1] += 1
            if counts[1] == each:
                done[number].set()
            send(number, counts)

        def run() -> None:
            for number in range(logs):
                counts = [0, 0]  # sent, stored
                for _ in range(8):
                    send(number, counts)
            for event in done:
                assert event.wait(DONE_S)

        seconds = timed(run)
        for actor in actors:
            actor.stop(timeout=DONE_S)
        return seconds

    def _warm_up(self, actors: list[pykka.ActorRef[LogActor]]) -> None:
        """Make the segments before the clock runs."""
        made: queue.SimpleQueue[None] = queue.SimpleQueue()
        for actor in actors:
            actor.tell((self._lines[0], functools.partial(made.put, None)))
        for _ in actors:
            made.get(timeout=DONE_S)

    def _produce(
        self,
        logs: int,
        producers: int,
        outstanding: int,
        *,
        gathers: bool,
        each: int = PER_PRODUCER,
    ) -> float:
        """Return seconds until the last acknowledgement."""
        place = self._place()
        actors = [
            LogActor.start(place / str(n), self._timers, gathers=gathers) for n in range(logs)
        ]
        start = threading.Barrier(producers + 1)
        self._warm_up(actors)

        def produce(number: int) -> None:
            lines = (self._lines[(number * each + n) % len(self._lines)] for n in range(each))
            start.wait()
            _send_all(actors[number % logs], lines, outstanding)

        threads = [threading.Thread(target=produce, args=(n,)) for n in range(producers)]
        for thread in threads:
            thread.start()

        def wait() -> None:
            start.wait()
            for thread in threads:
                thread.join()

        seconds = timed(wait)
        for actor in actors:
            actor.stop(timeout=DONE_S)
        return seconds

    def sqlite(self) -> Iterator[tuple[str, float]]:
        """Row 4: batches of 64, each durable."""
        place = self._place()
        place.mkdir()
        database = sqlite3.connect(place / "rows.sqlite")
        database.execute("pragma journal_mode = wal")
        database.execute("pragma synchronous = full")
        database.execute("create table rows (seq integer primary key, stamp text, body blob)")
        database.commit()

        def insert() -> None:
            for number, batch in enumerate(batches(self._bodies)):
                seqs = range(number * 64, number * 64 + len(batch))
                rows = [(seq, stamp(seq), body) for seq, body in zip(seqs, batch, strict=True)]
                with database:
                    database.executemany("insert into rows values (?, ?, ?)", rows)

        sqlite_s = timed(insert)
        database.close()
        log = open_log(place / "log", settings(SyncPolicy.ALWAYS), None)
        log_s = timed(lambda: [log.append_many(b, stamp(1)) for b in batches(self._bodies)])
        log.close(stamp(1))
        yield "4", sqlite_s / log_s

    def encoding(self) -> Iterator[tuple[str, float]]:
        """Row 5, and a check that nothing is encoded twice on the way."""
        loads_s = timed(lambda: [simplejson.loads(line) for line in self._lines])
        stamped = stamp(1).encode()

        def store() -> None:
            for batch in batches(self._lines):  # as the feed does
                updates = [("claude", line, "e" * 36) for line in batch]
                for seq, body in enumerate(codec.update_bodies("p", updates)):
                    record.encode(seq, stamped, body)

        dumped: list[object] = []
        with _watched_dumps(dumped.append):
            store_s = timed(store)
        assert not dumped, "a stored line was dumped"
        yield "5", store_s / loads_s


def _send_all(actor: pykka.ActorRef[LogActor], lines: Iterator[bytes], outstanding: int) -> None:
    """Send with a number outstanding; return when all are acknowledged."""
    slots: queue.SimpleQueue[None] = queue.SimpleQueue()
    stored = functools.partial(slots.put, None)
    for _ in range(outstanding):
        stored()
    for line in lines:
        slots.get(timeout=DONE_S)
        actor.tell((line, stored))
    for _ in range(outstanding):
        slots.get(timeout=DONE_S)


class _watched_dumps:  # noqa: N801 - used like a function
    def __init__(self, seen: Callable[[object], None]) -> None:
        self._seen = seen
        self._real = simplejson.JSONEncoder.encode

    def __enter__(self) -> None:
        real, seen = self._real, self._seen

        def encode(encoder: simplejson.JSONEncoder, value: object) -> str:
            seen(value)
            return real(encoder, value)

        simplejson.JSONEncoder.encode = encode

    def __exit__(self, *_: object) -> None:
        simplejson.JSONEncoder.encode = self._real
