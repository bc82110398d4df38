"""Rows 9 (memory), 10 and 12: readers beside a writer, a slow client, and a killed writer."""

import json
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil

from actors.client.history import one_reader, updates_of
from actors.runtime.clock import SystemClock
from bench.logbench.corpus import Corpus, agent_lines, bodies, settings, stamp
from protocol.dialect import VERSION_1, replay_frames
from storage.layout import DataLayout
from storage.log_reader import LogReader
from storage.log_state import LogState, SyncPolicy
from storage.message_log import open_log
from storage.projects import ProjectMeta, ProjectStore

ROOT = Path(__file__).resolve().parents[2]
READERS = 4
WRITE_S = 2.0
KILLS = 5
PAUSE_EACH_BYTES = 64 << 20
PAUSE_S = 0.3


class Together:
    def __init__(self, corpus: Corpus, folder: Path) -> None:
        self._corpus = corpus
        self._folder = folder
        self._number = 0

    def _place(self) -> Path:
        self._number += 1
        place = self._folder / f"together-{self._number}"
        place.mkdir()
        return place

    def readers(self) -> Iterator[tuple[str, float]]:
        """Row 10: the writer alone, and with four readers of long history at full speed."""
        batch = bodies(agent_lines(64))
        alone_rate, alone_p99 = self._write(batch)
        stop = threading.Event()
        readers = [threading.Thread(target=self._read, args=(stop,)) for _ in range(READERS)]
        for reader in readers:
            reader.start()
        rate, p99 = self._write(batch)
        stop.set()
        for reader in readers:
            reader.join()
        yield "10 rate", rate / alone_rate
        yield "10 p99", p99 / alone_p99

    def _write(self, batch: list[bytes]) -> tuple[float, float]:
        """Return batches per second, and the 99th percentile of one in seconds."""
        log = open_log(self._place(), settings(SyncPolicy.ALWAYS), None)
        times = []
        end = time.perf_counter() + WRITE_S
        while (start := time.perf_counter()) < end:
            log.append_many(batch, stamp(1))
            times.append(time.perf_counter() - start)
        log.close(stamp(1))
        return len(times) / WRITE_S, sorted(times)[len(times) * 99 // 100]

    def _read(self, stop: threading.Event) -> None:
        now, clock = datetime.now(UTC), SystemClock()
        reader, position = LogReader(self._corpus.log_folder), 0
        while not stop.is_set():
            with one_reader(clock):
                page = reader.read_after(position, self._corpus.count)
                updates = updates_of(page, "p", now)
                replay_frames(VERSION_1, updates)
            position = page.last_seq if page.last_seq < self._corpus.count else 0

    def slow_client(self) -> Iterator[tuple[str, float]]:
        """Row 9: return the growth of the hub's resident memory in MiB while it streams the whole
        log to a client that stops now and then."""
        place = self._place()
        layout = DataLayout(place / "data")
        layout.create()
        (place / "p").mkdir()
        meta = ProjectMeta(
            project_id="p",
            name="p",
            path=str(place / "p"),
            created_at=stamp(1),
            last_active=stamp(1),
            log=self._corpus.state,
        )
        ProjectStore(layout).save(meta)
        layout.log("p").mkdir(mode=0o700)
        os.link(self._corpus.segment, layout.log("p") / self._corpus.segment.name)
        environment = {
            **os.environ,
            "WS_PORT": "0",
            "DATA_DIR": str(place / "data"),
            "PROJECT_ROOTS": str(place),
            "CLAUDE_CMD": "true",
            "LOG_LEVEL": "warning",
        }
        hub = subprocess.Popen(
            [sys.executable, "-m", "claudehub", "serve"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert hub.stdout is not None
            port = int(hub.stdout.readline().rsplit(":", 1)[1])
            yield "9 memory", _stream(port, psutil.Process(hub.pid), self._corpus.count)
        finally:
            hub.send_signal(signal.SIGTERM)
            hub.wait(30)

    def kills(self) -> Iterator[tuple[str, float]]:
        """Row 12: return the number of acknowledged records that kill -9 lost or changed. The test
        suite covers the other faults."""
        place = self._place()
        acknowledged: list[tuple[int, str]] = []
        for _ in range(KILLS):
            acknowledged += _killed_run(place)
        state = LogState.model_validate_json((place / "state.json").read_bytes())
        log = open_log(place, settings(SyncPolicy.ALWAYS), state)
        found, position = {}, 0
        while position < log.bounds().last_seq:
            page = log.reader().read_after(position, log.bounds().last_seq)
            found.update(enumerate(page.items, page.first_seq))
            position = page.last_seq
        log.abandon()
        assert len(acknowledged) > 100, "the subject acknowledged next to nothing"
        wrong = [n for n, name in acknowledged if name.encode() not in found.get(n, b"")]  # type: ignore[operator]
        yield "12", float(len(wrong))


def _killed_run(place: Path) -> list[tuple[int, str]]:
    subject = subprocess.Popen(
        [sys.executable, ROOT / "tests" / "logcheck_subject.py", "--bytes", "5000"],
        env={**os.environ, "LOGCHECK_DIR": str(place)},
        stdout=subprocess.PIPE,
    )
    assert subject.stdout is not None
    first = subject.stdout.readline()
    threading.Timer(random.uniform(0.1, 0.4), subject.kill).start()
    said = first + subject.stdout.read()
    subject.wait()
    whole = [line.split() for line in said.split(b"\n")[:-1]]
    return [(int(words[1]), words[2].decode()) for words in whole if words[0] == b"ACK"]


def _stream(port: int, hub: psutil.Process, last_seq: int) -> float:
    """Read as a client on a bare socket; return the MiB by which the hub grew."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        key = "dGhlIHNhbXBsZSBub25jZQ=="
        client.sendall(
            f"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        while b"\r\n\r\n" not in client.recv(65536):
            pass
        before = hub.memory_info().rss
        join = {"type": "project_join", "payload": {"project_id": "p", "after_seq": 0}}
        payload = json.dumps(join).encode()
        mask = secrets.token_bytes(4)
        masked = bytes(b ^ mask[n % 4] for n, b in enumerate(payload))
        client.sendall(bytes((0x81, 0x80 | len(payload))) + mask + masked)
        return (_drain(client, hub, before, f'"seq":{last_seq},'.encode()) - before) / (1 << 20)


def _drain(client: socket.socket, hub: psutil.Process, before: int, last: bytes) -> int:
    highest, since_pause, tail = before, 0, b""
    client.settimeout(60)
    while True:
        data = client.recv(1 << 20)
        assert data, "the hub closed the connection"
        since_pause += len(data)
        window = tail + data
        if since_pause >= PAUSE_EACH_BYTES:
            time.sleep(PAUSE_S)
            since_pause = 0
            highest = max(highest, hub.memory_info().rss)
        if last in window:
            return max(highest, hub.memory_info().rss)
        tail = window[-64:]
