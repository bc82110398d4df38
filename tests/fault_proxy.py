"""A proxy between a client and a hub that cuts, splits and swallows what passes."""

import contextlib
import select
import socket
import threading
from dataclasses import dataclass
from typing import Self

TO_HUB = "to hub"
TO_CLIENT = "to client"
TIMEOUT_S = 15.0


@dataclass(frozen=True)
class Place:
    """A place in what flows in one direction: so many bytes behind the beginning of a frame. Frame
    0 is the handshake. The connection is cut there; or, if it `swallows`, nothing passes any more,
    in either direction, and the client is not told."""

    direction: str
    frame: int
    offset: int = 0
    swallows: bool = False


class FrameCounter:
    """Finds the boundaries of frames in a stream that begins with a handshake."""

    def __init__(self) -> None:
        self.frame = 0
        self.offset = 0
        self.sizes: list[int] = []
        self._head = b""
        self._size: int | None = None

    def up_to(self, data: bytes, place: Place | None) -> bytes:
        """Count bytes. Return them, but for those from a place on."""
        for number in range(len(data)):
            if place is not None and (self.frame, self.offset) == (place.frame, place.offset):
                return data[:number]
            self._count(data[number : number + 1])
        return data

    def is_at(self, place: Place) -> bool:
        return (self.frame, self.offset) == (place.frame, place.offset)

    def _count(self, byte: bytes) -> None:
        self.offset += 1
        if self._size is None:
            self._head += byte
            self._size = self._handshake() if self.frame == 0 else self._frame()
        if self._size == self.offset:
            self.sizes.append(self.offset)
            self.frame, self.offset, self._head, self._size = self.frame + 1, 0, b"", None

    def _handshake(self) -> int | None:
        return len(self._head) if self._head.endswith(b"\r\n\r\n") else None

    def _frame(self) -> int | None:
        """Return the size of the frame that begins with `_head`, when that is known."""
        head = self._head
        if len(head) < 2:
            return None
        mask, short = head[1] & 0x80, head[1] & 0x7F
        more = {126: 2, 127: 8}.get(short, 0)
        if len(head) < 2 + more:
            return None
        length = int.from_bytes(head[2 : 2 + more], "big") if more else short
        return 2 + more + (4 if mask else 0) + length


class _Pair:
    """One connection through the proxy."""

    def __init__(self, proxy: "FaultProxy", client: socket.socket, hub: socket.socket) -> None:
        self.proxy = proxy
        self.sockets = {TO_HUB: (client, hub), TO_CLIENT: (hub, client)}
        self.counters = {TO_HUB: FrameCounter(), TO_CLIENT: FrameCounter()}
        self.cut = proxy.cuts.pop(0) if proxy.cuts else None
        self.is_swallowing = False
        self.threads = [
            threading.Thread(target=self._pump, args=(direction,), name=f"proxy {direction}")
            for direction in self.sockets
        ]

    def start(self) -> None:
        for thread in self.threads:
            thread.start()

    def end(self) -> None:
        for each in self.sockets[TO_HUB]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _pump(self, direction: str) -> None:
        source, sink = self.sockets[direction]
        try:
            while data := source.recv(65536):
                if not self.is_swallowing and not self._pass(direction, data, sink):
                    break
        except OSError:
            pass  # one side has ended the connection
        finally:
            if not self.is_swallowing or direction == TO_HUB:
                self.end()

    def _pass(self, direction: str, data: bytes, sink: socket.socket) -> bool:
        """Pass bytes on; return False if the connection is to be cut here."""
        place = self.cut if self.cut is not None and self.cut.direction == direction else None
        counter = self.counters[direction]
        passed = counter.up_to(data, place)
        size = self.proxy.piece_bytes or len(passed)
        for at in range(0, len(passed), size or 1):
            sink.sendall(passed[at : at + size])
        if place is None or not counter.is_at(place):
            return True
        self.is_swallowing = place.swallows
        self.proxy.is_down = self.proxy.is_down or self.proxy.is_down_after_cut
        self.proxy.cuts_done += 1
        return place.swallows

    def close(self) -> None:
        self.end()
        for thread in self.threads:
            thread.join(TIMEOUT_S)
        for each in self.sockets[TO_HUB]:
            each.close()


class FaultProxy:
    """Listens at `url`, and passes everything to `upstream`, the URL of a hub.

    `cuts` says where the next connections are cut, one each. With `piece_bytes` everything arrives
    in pieces of that size. While it `is_down`, new connections are closed at once.
    """

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.cuts: list[Place | None] = []
        self.cuts_done = 0
        self.piece_bytes = 0
        self.is_down = False
        self.is_down_after_cut = False
        self.connections = 0
        self._pairs: list[_Pair] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"ws://127.0.0.1:{self._listener.getsockname()[1]}"
        self._stop, self._stopped = socket.socketpair()
        self._thread = threading.Thread(target=self._accept, name="fault proxy")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.close()
        self._thread.join(TIMEOUT_S)
        for pair in self._pairs:
            pair.close()
        self._stopped.close()
        self._listener.close()

    def cut(self) -> None:
        """Cut all connections now."""
        for pair in list(self._pairs):
            pair.end()

    def counters(self) -> dict[str, FrameCounter]:
        """Return what the latest connection has counted."""
        return self._pairs[-1].counters

    def _accept(self) -> None:
        while True:
            ready, _, _ = select.select([self._listener, self._stopped], [], [])
            if self._stopped in ready:
                return
            client, _ = self._listener.accept()
            if self.is_down:
                client.close()
                continue
            host, port = self.upstream.rpartition("/")[2].split(":")
            try:
                hub = socket.create_connection((host, int(port)), TIMEOUT_S)
            except OSError:
                client.close()  # the hub is not there
                continue
            self.connections += 1
            for each in (client, hub):
                each.settimeout(None)
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pair = _Pair(self, client, hub)
            self._pairs.append(pair)
            pair.start()
