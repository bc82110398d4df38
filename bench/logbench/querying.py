"""Rows 6, 7 and 9: the cost of reading."""

import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import simplejson

from actors.client.history import updates_of
from bench.logbench.corpus import Corpus, stamp, timed
from protocol.dialect import VERSION_1, replay_frames
from storage.landmarks import Landmarks
from storage.log_reader import LogReader
from storage.segments import Compression

COUNT = 100
PERCENTS = (1, 50, 99)
REPEATS = 15
HISTORY_BYTES = 8 << 20


class Querying:
    """Queries of 100 records in a log of one segment."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus

    def _queries(self, folder: Path) -> dict[str, Callable[[], int]]:
        count = self._corpus.count
        landmarks = Landmarks()  # as a project's readers share them

        def last() -> int:
            return len(LogReader(folder, landmarks).read_before(count, 1, max_count=COUNT).items)

        def after(seq: int) -> int:
            return len(LogReader(folder, landmarks).read_after(seq, count, max_count=COUNT).items)

        def since(seq: int) -> int:
            reader = LogReader(folder, landmarks)
            start = reader.seq_before(stamp(seq), count)
            return len(reader.read_after(start, count, max_count=COUNT).items)

        found: dict[str, Callable[[], int]] = {"last": last}
        for percent in PERCENTS:
            seq = (count - COUNT) * percent // 100
            found[f"after {percent} %"] = lambda seq=seq: after(seq)
            found[f"since {percent} %"] = lambda seq=seq: since(seq)
        return found

    def _database_queries(self) -> dict[str, Callable[[], int]]:
        count = self._corpus.count

        def fetch(rest: str, *values: object) -> int:
            query = f"select line from rows {rest} limit {COUNT}"
            return len(self._corpus.database.execute(query, values).fetchall())

        found = {"last": lambda: fetch("order by seq desc")}
        for percent in PERCENTS:
            seq = (count - COUNT) * percent // 100
            found[f"after {percent} %"] = lambda seq=seq: fetch("where seq > ? order by seq", seq)
            found[f"since {percent} %"] = lambda seq=seq: fetch(
                "where stamp >= ? order by stamp, seq", stamp(seq)
            )
        return found

    @staticmethod
    def _best_s(query: Callable[[], int], prepare: Callable[[], None] = lambda: None) -> float:
        """Return the median of five: a query is short, and the machine is shared."""
        times = []
        for _ in range(REPEATS):
            prepare()
            times.append(timed(lambda: _checked(query())))
        return sorted(times)[REPEATS // 2]

    def queries(self) -> Iterator[tuple[str, float]]:
        """Rows 6 and 7. The worst query counts."""
        corpus = self._corpus
        wc_s = self._wc_s()
        plain = {name: self._best_s(q) for name, q in self._queries(corpus.log_folder).items()}
        yield "6 warm", wc_s / max(plain.values())
        yield (
            "6 flat",
            max(plain[f"{kind} 99 %"] / plain[f"{kind} 1 %"] for kind in ("after", "since")),
        )
        database = {name: self._best_s(q) for name, q in self._database_queries().items()}
        yield "7", max(plain[name] / database[name] for name in plain)
        for compression in (Compression.GZIP, Compression.ZSTD):
            queries = self._queries(corpus.compressed[compression])
            packed = {name: self._best_s(query) for name, query in queries.items()}
            yield f"6 {compression}", max(packed[name] / plain[name] for name in plain)
        evicted = [
            self._best_s(query, lambda: corpus.evict(corpus.segment))
            for query in self._queries(corpus.log_folder).values()
        ]
        yield "6 evicted", wc_s / max(evicted)

    def _wc_s(self) -> float:
        command = ["wc", "-l", str(self._corpus.segment)]
        subprocess.run(command, check=True, capture_output=True)  # warm
        return timed(lambda: subprocess.run(command, check=True, capture_output=True))

    def history(self) -> Iterator[tuple[str, float]]:
        """Row 9: 8 MiB as frames, against loads and dumps of the same lines."""
        reader, lines, now = LogReader(self._corpus.log_folder), [], datetime.now(UTC)
        position = size = 0
        while size < HISTORY_BYTES:
            page = reader.read_after(position, self._corpus.count)
            lines += [item for item in page.items if isinstance(item, bytes)]
            position, size = page.last_seq, sum(map(len, lines))

        def send() -> None:
            sending, at = LogReader(self._corpus.log_folder), 0
            while at < position:
                page = sending.read_after(at, position)
                updates = updates_of(page, "p", now)
                replay_frames(VERSION_1, updates)
                at = page.last_seq

        def parse() -> None:
            for line in lines:
                simplejson.dumps(simplejson.loads(line))

        times = [(timed(send), timed(parse)) for _ in range(5)]  # interleaved
        send_s, parse_s = (sorted(each)[2] for each in zip(*times, strict=True))
        yield "9", parse_s / send_s


def _checked(found: int) -> None:
    assert found == COUNT, found
