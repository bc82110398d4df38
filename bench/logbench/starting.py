"""Row 8: the time to open a hundred logs."""

import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from actors.hub.startup import CLEAN_AT_ONCE, OPENING_AT_ONCE
from bench.logbench.corpus import Corpus, settings, timed
from storage import plain_lines, record
from storage.log_state import LogState, Mark, SyncPolicy
from storage.message_log import CHECKPOINT_BYTES, open_log

LOGS = 100
SMALL_BYTES = 16 << 20


class Starting:
    """A hundred logs, each with a hard link to the corpus as its only segment; nothing writes to
    them."""

    def __init__(self, corpus: Corpus, folder: Path) -> None:
        self._corpus = corpus
        self._large = self._link(folder / "large", corpus.segment)
        small = folder / corpus.segment.name
        with open(corpus.segment, "rb") as source:
            data = source.read(SMALL_BYTES)
        small.write_bytes(data[: data.rindex(b"\n") + 1])
        self._small = self._link(folder / "small", small)

    @staticmethod
    def _link(folder: Path, segment: Path) -> list[Path]:
        folders = [folder / str(number) for number in range(LOGS)]
        for log in folders:
            log.mkdir(parents=True, mode=0o700)
            os.link(segment, log / segment.name)
        return folders

    def start(self) -> Iterator[tuple[str, float]]:
        command = ["wc", "-l", str(self._corpus.segment)]
        subprocess.run(command, check=True, capture_output=True)
        wc_s = timed(lambda: subprocess.run(command, check=True, capture_output=True))
        clean, crashed = self._states(self._large[0])
        yield "8 clean", self._open_s(self._large, clean) / wc_s
        crashed_s = self._open_s(self._large, crashed)
        yield "8 crash", crashed_s / wc_s
        _, crashed_small = self._states(self._small[0])
        yield "8 size", crashed_s / self._open_s(self._small, crashed_small)

    @staticmethod
    def _states(folder: Path) -> tuple[LogState, LogState]:
        """Measure after a clean stop, and after a crash just before a checkpoint was due."""
        path = next(folder.glob("*.jsonl"))
        size = path.stat().st_size
        fd = os.open(path, os.O_RDONLY)
        last = next(plain_lines.slabs_before(fd, size))[-1]
        offset, lines = next(plain_lines.slabs_from(fd, size - CHECKPOINT_BYTES))
        line = lines[0]
        end = offset + len(line)
        line = next(plain_lines.slabs_before(fd, end))[-1]
        os.close(fd)
        clean = Mark(segment=path.name, size_bytes=size, last_seq=record.seq_of(last))
        checkpoint = Mark(segment=path.name, size_bytes=end, last_seq=record.seq_of(line))
        return (
            LogState(log_id="x", boot_id="b", clean=clean, checkpoint=clean),
            LogState(log_id="x", boot_id="b", checkpoint=checkpoint),
        )

    @staticmethod
    def _open_s(folders: list[Path], state: LogState) -> float:
        def some(share: list[Path]) -> None:
            for folder in share:
                log = open_log(folder, settings(SyncPolicy.ALWAYS), state)
                found = log.bounds().last_seq
                assert log.found.torn is None and not log.found.missing and found > 1000
                log.abandon()

        def all_of_them() -> None:
            at_once = OPENING_AT_ONCE if state.clean is None else CLEAN_AT_ONCE
            with ThreadPoolExecutor(at_once) as pool:
                shares = [folders[n::at_once] for n in range(at_once)]
                list(pool.map(some, shares))

        return timed(all_of_them)
