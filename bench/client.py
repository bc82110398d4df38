#!/usr/bin/env python3
"""Measure how many updates a second a program reads through the client library, beside reading the
same frames with bare `websockets`.

    bench/client.py [--rounds 5] [--updates 50000] [--size 200]

A process of its own sends frames that were made before, as fast as it can. Each round reads them in
four ways, one after the other: with the library and with `websockets`, for threads and for asyncio.
A ratio is taken within one round; the program prints the medians over the rounds. Exit code 1 says
that a ratio missed its target.
"""

import argparse
import asyncio
import json
import multiprocessing
import socket
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from websockets.asyncio.client import connect as async_connect
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.sync.client import connect as sync_connect

import claudehub

TARGET = 0.5
JOIN = json.dumps({"type": "project_join", "id": "1", "payload": {"project_id": "bench"}})
BEHIND_JOIN = 2  # the greeting, and the reply
PROJECT = {
    "project_id": "bench",
    "name": "bench",
    "path": "/bench",
    "status": "executing",
    "queue": [],
    "pending_permissions": [],
}


def update(seq: int, size: int) -> dict[str, object]:
    """Return an update with a line of the CLI, as an agent writes them."""
    message = {
        "id": "msg_1",
        "role": "assistant",
        "content": [{"type": "text", "text": "x" * size}],
    }
    return {
        "project_id": "bench",
        "update_type": "claude",
        "data": {"type": "assistant", "message": message, "session_id": "s-1"},
        "timestamp": "2026-11-23T08:14:33.123456Z",
        "execution_id": "e-1",
        "seq": seq,
    }


class Feeder:
    """The hub of this benchmark: it answers what a reader asks, and then sends everything."""

    def __init__(self, count: int, size: int) -> None:
        self._count = count
        self._frames = b"".join(
            frame({"type": "update", "payload": update(seq, size)}) for seq in range(1, count + 1)
        )

    def serve(self, listener: socket.socket) -> None:
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                try:
                    self._converse(connection)
                except OSError:
                    continue  # the reader has all that it wants

    def _converse(self, connection: socket.socket) -> None:
        protocol = ServerProtocol(subprotocols=["claudehub.v1"], select_subprotocol=offered)
        while data := connection.recv(65536):
            protocol.receive_data(data)
            for event in protocol.events_received():
                if isinstance(event, Request):
                    protocol.send_response(protocol.accept(event))
                    connection.sendall(b"".join(protocol.data_to_send()))
                    connection.sendall(frame({"type": "welcome", "payload": {"client_id": "c"}}))
                elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                    self._answer(connection, json.loads(bytes(event.data)))

    def _answer(self, connection: socket.socket, request: dict[str, object]) -> None:
        facts = {"first_seq": 1, "last_seq": self._count, "log_id": "log"}
        payload = {"project": PROJECT, "messages": [], "more": False, **facts}
        connection.sendall(frame({"type": "result", "id": request.get("id"), "payload": payload}))
        if request["type"] == "project_join":
            connection.sendall(self._frames)


def offered(protocol: ServerProtocol, subprotocols: list[str]) -> str | None:
    return subprotocols[0] if subprotocols else None


def frame(message: dict[str, object]) -> bytes:
    return Frame(Opcode.TEXT, json.dumps(message).encode()).serialize(mask=False)


# -- the four readers: each returns the seconds that the updates took


def with_library(url: str, count: int) -> float:
    with claudehub.connect(url) as hub:
        follower = hub.project("bench").follow(after=0)
        start = time.perf_counter()
        for seen in follower:
            if seen.seq == count:
                break
        return time.perf_counter() - start


def with_websockets(url: str, count: int) -> float:
    with sync_connect(url, compression=None, max_size=None) as connection:
        connection.send(JOIN)
        start = time.perf_counter()
        for _ in range(count + BEHIND_JOIN):
            connection.recv()
        return time.perf_counter() - start


async def with_library_in_asyncio(url: str, count: int) -> float:
    async with claudehub.aio.connect(url) as hub:
        follower = await (await hub.project("bench")).follow(after=0)
        start = time.perf_counter()
        async for seen in follower:
            if seen.seq == count:
                break
        return time.perf_counter() - start


async def with_websockets_in_asyncio(url: str, count: int) -> float:
    async with async_connect(url, compression=None, max_size=None) as connection:
        await connection.send(JOIN)
        start = time.perf_counter()
        for _ in range(count + BEHIND_JOIN):
            await connection.recv()
        return time.perf_counter() - start


def blocking(reader: Callable[[str, int], Awaitable[float]]) -> Callable[[str, int], float]:
    async def run(url: str, count: int) -> float:
        return await reader(url, count)

    return lambda url, count: asyncio.run(run(url, count))


READERS = {
    "threads": (with_library, with_websockets),
    "asyncio": (blocking(with_library_in_asyncio), blocking(with_websockets_in_asyncio)),
}


def measured(url: str, rounds: int, count: int) -> dict[str, list[tuple[float, float]]]:
    """Return updates a second of the library and of websockets, for each round."""
    rates: dict[str, list[tuple[float, float]]] = {name: [] for name in READERS}
    for _ in range(rounds):
        for name, (library, bare) in READERS.items():
            rates[name].append((count / library(url, count), count / bare(url, count)))
    return rates


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--updates", type=int, default=50_000)
    parser.add_argument("--size", type=int, default=200, help="characters of text in an update")
    args = parser.parse_args()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"ws://127.0.0.1:{listener.getsockname()[1]}"
        feeder = Feeder(args.updates, args.size)
        process = multiprocessing.get_context("fork").Process(target=feeder.serve, args=(listener,))
        process.start()
        try:
            rates = measured(url, args.rounds, args.updates)
        finally:
            process.kill()
            process.join()
    print(f"{args.updates} updates of {args.size} characters, {args.rounds} rounds")
    print("| | library, updates/s | websockets, frames/s | ratio | range | |")
    print("| --- | --- | --- | --- | --- | --- |")
    is_missed = False
    for name, pairs in rates.items():
        ratios = [library / bare for library, bare in pairs]
        library, bare = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(ratios)
        is_missed = is_missed or ratio < TARGET
        print(
            f"| {name} | {library:,.0f} | {bare:,.0f} | {ratio:.2f} "
            f"| {min(ratios):.2f} to {max(ratios):.2f} | {'MISSED' if ratio < TARGET else ''} |"
        )
    return is_missed


if __name__ == "__main__":
    sys.exit(main())
