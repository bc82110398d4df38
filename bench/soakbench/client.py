"""One client of the soak: a connection that comes back with its positions, and is judged."""

import asyncio
import contextlib
import itertools
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from bench.soakbench.checks import Answers, Book, Findings, Records, Stream
from bench.soakbench.projects import STEADY
from bench.soakbench.samples import Latencies

ANSWER_S = 90.0  # an open connection that does not answer for so long has lost the request
CLOSE_S = 2.0
BACK_OFF_S = (0.2, 1.5)
RETRIES_MAX = 200
# What a request may be answered with while others delete, answer, kill and break things.
EXPECTED_ERRORS = frozenset(
    (
        "queue_full",
        "nothing_running",
        "permission_not_found",
        "already_answered",
        "project_not_found",
        "project_exists",
        "storage_failed",
        "internal",
        "shutting_down",
        "history_gone",
    )
)

Answer = dict[str, Any]


class Ledger:
    """What all clients share: the judges, the counts and the latencies."""

    def __init__(self) -> None:
        self.findings = Findings()
        self.records = Records(self.findings)
        self.book = Book(self.findings)
        self.done: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.latencies = Latencies()


class SoakClient:
    """`on_update` gets each update of a joined project. `home` are the projects that it has joined
    in calm moments."""

    def __init__(
        self, number: int, ledger: Ledger, chance: random.Random, home: list[str], *, deflates: bool
    ) -> None:
        self.name = f"client-{number:03}"
        self.ledger = ledger
        self.chance = chance
        self.home = home
        self.is_busy = False
        self.is_ready = asyncio.Event()
        self.streams: dict[str, Stream] = {}
        self.on_update: Callable[[SoakClient, Answer], None] = lambda client, update: None
        self._compression = "deflate" if deflates else None
        self._socket: ClientConnection | None = None
        self._answers = Answers(self.name, ledger.findings)
        self._pending: dict[str, asyncio.Future[Answer | None]] = {}
        self._joining: dict[str, tuple[Stream, Answer]] = {}
        self._numbers = itertools.count(1)
        self._is_reading = asyncio.Event()
        self._is_reading.set()
        self._is_over = False

    # -- the connection

    async def run(self, url: str) -> None:
        """Connect, and again whenever the connection is lost, until `close`."""
        while not self._is_over:
            try:
                await self._one_connection(url)
            except (OSError, WebSocketException, TimeoutError):
                self.ledger.done["connection attempts that failed"] += 1
            if not self._is_over:
                await asyncio.sleep(self.chance.uniform(*BACK_OFF_S))

    async def _one_connection(self, url: str) -> None:
        socket = await connect(
            url,
            compression=self._compression,
            max_size=None,
            ping_interval=None,
            close_timeout=CLOSE_S,
            open_timeout=30,
            proxy=None,
        )
        self.ledger.done["connections"] += 1
        self._socket = socket
        reader = asyncio.create_task(self._read(socket))
        try:
            await self._join_again()
            await reader
        finally:
            self.is_ready.clear()
            await socket.close()
            await reader

    async def _join_again(self) -> None:
        joined = [stream for stream in self.streams.values() if stream.is_joined]
        for stream in joined:
            stream.left()
        for project_id in [stream.project_id for stream in joined] or self.home:
            await self.join(project_id)
        self.is_ready.set()

    async def _read(self, socket: ClientConnection) -> None:
        with contextlib.suppress(WebSocketException):
            async for text in socket:
                await self._is_reading.wait()
                self._take(json.loads(text))
        self.ledger.done[f"connections closed with {socket.close_code}"] += 1
        self._socket = None
        self.is_ready.clear()
        self._lose_requests()

    def _take(self, message: Answer) -> None:
        if message["type"] == "update":
            self._take_update(message["payload"])
        elif message["type"] != "welcome":
            request_id = message.get("id")
            if self._answers.answered(request_id):
                waiting = self._pending.pop(str(request_id), None)
                if waiting is not None and not waiting.done():
                    # Here and now: the updates behind a join's result belong to it.
                    self._joins(message)
                    waiting.set_result(message)

    def _take_update(self, update: Answer) -> None:
        self.ledger.done["updates received"] += 1
        if update["update_type"] == "project_changed":
            return
        stream = self.streams.get(update["project_id"])
        if stream is None:
            # Of a project that is watched, or has just been left for ever.
            if update["update_type"] != "project_deleted":
                self.ledger.findings.note("double", f"{self.name} got unasked {update}"[:300])
            return
        if update["update_type"] == "project_deleted":
            stream.left()
            return
        stream.update(update)
        self.on_update(self, update)

    def _lose_requests(self) -> None:
        self.ledger.done["requests without an answer, their connection lost"] += (
            self._answers.lost()
        )
        for waiting in self._pending.values():
            if not waiting.done():
                waiting.set_result(None)
        self._pending.clear()
        self._joining.clear()

    async def close(self) -> None:
        self._is_over = True
        if self._socket is not None:
            await self._socket.close()

    def drop(self) -> None:
        """Break the connection without a word."""
        if self._socket is not None and self._socket.transport is not None:
            self._socket.transport.abort()

    def stop_reading(self) -> None:
        self._is_reading.clear()

    def go_on_reading(self) -> None:
        self._is_reading.set()

    # -- requests

    async def request(self, kind: str, **payload: Any) -> Answer | None:
        """Return the answer, or None if the connection is lost before it comes."""
        return await self._send(kind, payload, None)

    async def _send(
        self, kind: str, payload: Answer, join: tuple[Stream, Answer] | None
    ) -> Answer | None:
        socket = self._socket
        if socket is None:
            return None
        request_id = str(next(self._numbers))
        waiting: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        self._pending[request_id] = waiting
        self._answers.asked(request_id, kind)
        if join is not None:
            self._joining[request_id] = join
        began = time.monotonic()
        self.ledger.done[f"requests: {kind}"] += 1
        try:
            await socket.send(json.dumps({"type": kind, "id": request_id, "payload": payload}))
        except WebSocketException:
            self.drop()
        try:
            answer = await asyncio.wait_for(waiting, ANSWER_S)
        except TimeoutError:
            self._answers.late(request_id, kind, ANSWER_S)
            self.drop()
            return None
        if answer is not None:
            self.ledger.latencies.note(kind, time.monotonic() - began)
            if answer["type"] == "error":
                self._judge_error(kind, payload, answer["payload"]["code"])
        return answer

    def _judge_error(self, kind: str, payload: Answer, code: str) -> None:
        self.ledger.errors[f"{kind}: {code}"] += 1
        is_steady = str(payload.get("project_id")).startswith(STEADY)
        if code not in EXPECTED_ERRORS or (code == "project_not_found" and is_steady):
            self.ledger.findings.note("wrong answer", f"{kind} {payload}: {code}"[:300])

    # -- projects

    def stream(self, project_id: str) -> Stream:
        if project_id not in self.streams:
            self.streams[project_id] = Stream(
                self.name, project_id, self.ledger.records, self.ledger.findings
            )
        return self.streams[project_id]

    async def join(self, project_id: str, **where: Any) -> Answer | None:
        """Join behind the position of before, or, with `where`, elsewhere."""
        stream = self.stream(project_id)
        payload: Answer = {"project_id": project_id, **where}
        if not where and stream.log_id is not None and stream.seq is not None:
            payload |= {"after_seq": stream.seq, "log_id": stream.log_id}
        for _ in range(RETRIES_MAX):
            answer = await self._send("project_join", payload, (stream, payload))
            if answer is None or answer["type"] == "result":
                return answer
            code = answer["payload"]["code"]
            if code == "history_gone":
                stream.refused(answer["payload"]["details"])
                return answer
            if code not in ("internal", "storage_failed"):
                return answer
            await asyncio.sleep(self.chance.uniform(*BACK_OFF_S))
        return None

    def _joins(self, message: Answer) -> None:
        joining = self._joining.pop(message["id"], None)
        if joining is None or message["type"] != "result":
            return
        stream, asked = joining
        result = message["payload"]
        stream.joined(result["log_id"], _start(asked, result))

    async def leave(self, project_id: str) -> None:
        answer = await self.request("project_leave", project_id=project_id)
        if answer is not None and answer["type"] == "result":
            self.stream(project_id).left()

    async def go_home(self) -> None:
        """Have joined the projects of `home`, and no others."""
        for stream in list(self.streams.values()):
            if stream.is_joined and stream.project_id not in self.home:
                await self.leave(stream.project_id)
        for project_id in self.home:
            if not self.stream(project_id).is_joined:
                await self.join(project_id)

    def is_at_home(self) -> bool:
        joined = {s.project_id for s in self.streams.values() if s.is_joined}
        return self.is_ready.is_set() and joined == set(self.home)


def _start(asked: Answer, result: Answer) -> int | None:
    """Return the number behind which a join begins, as docs/protocol.md says; None: by a time."""
    if "since" in asked:
        return None
    if "after_seq" in asked:
        return int(asked["after_seq"])
    if "last" in asked:
        return int(max(result["last_seq"] - asked["last"], result["first_seq"] - 1))
    return int(result["last_seq"])
