"""A small HTTP server for monitoring: a few pages, one request a connection.

Nobody who connects can hold anything up: connections, bytes and times have limits. A request that
is under way longest is cut off when a new one finds no place.
"""

import http
import os
import re
import select
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from actors.frontend.addresses import on_each_address
from actors.frontend.asked_names import is_asked_by_its_name
from actors.frontend.connection import cut_off
from actors.frontend.spare_descriptors import SpareDescriptors
from actors.limits.connections import PendingConnections
from actors.runtime.clock import Clock
from actors.runtime.logger import get_logger
from protocol import VERSION

logger = get_logger("claudehub.metrics")

STATUS_CONNECTIONS_MAX = 8
# When all have a place, the oldest one has it at least for so long.
STATUS_GRACE_S = 0.5
STATUS_REQUEST_BYTES_MAX = 8 * 1024
STATUS_REQUEST_S = 5.0
STATUS_ANSWER_S = 10.0
# What a client has sent beyond its request is read, for that long: a RST would destroy the answer.
LINGER_S = 1.0
LINGER_BYTES_MAX = 64 * 1024
BACKLOG = 16
DESCRIPTOR_PAUSE_S = 0.2
_PIECE_BYTES = 8 * 1024
# A line may end without CR (RFC 9112, section 2.2).
_END = re.compile(rb"\r?\n\r?\n")
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    status: http.HTTPStatus
    body: bytes
    content_type: str = TEXT
    headers: Mapping[str, str] = field(default_factory=dict)


# Makes a page; it gets the request's `Accept`.
Page = Callable[[str], Answer]


class StatusListener:
    """The constructor binds; `start` answers with `pages`, by their paths. Each connection has a
    thread, which calls a page. `is_own` is True for the names of the hub."""

    def __init__(
        self, host: str, port: int, clock: Clock, is_own: Callable[[str], bool] = lambda _: False
    ) -> None:
        """Bind and listen. `localhost` stands for both loopback addresses, or for the one that
        this system has. Raises OSError."""
        self._clock = clock
        self._is_own = is_own
        self._pages: Mapping[str, Page] = {}
        self._sockets = on_each_address(host, port, _bound, lambda sock: sock)
        self.host = host
        self.port: int = self._sockets[0].getsockname()[1]
        self._open = PendingConnections(
            clock,
            limit=STATUS_CONNECTIONS_MAX,
            per_address=STATUS_CONNECTIONS_MAX,
            grace_s=STATUS_GRACE_S,
        )
        self._stop_reading, self._stop_writing = os.pipe()
        self._spare = SpareDescriptors()
        self._thread = threading.Thread(target=self._accept_all, name="status", daemon=True)

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def start(self, pages: Mapping[str, Page]) -> None:
        self._pages = pages
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Stop accepting, and close. Requests that are under way end within their limits."""
        if self._thread.is_alive():
            os.write(self._stop_writing, b"x")
            self._thread.join(timeout_s)
            if self._thread.is_alive():  # it uses the descriptors
                logger.error("bug: the thread of METRICS_PORT does not stop")
                return
        for sock in self._sockets:
            sock.close()
        os.close(self._stop_reading)
        os.close(self._stop_writing)
        self._spare.give_back()

    # -- accepting ---------------------------------------------------------------------------

    def _accept_all(self) -> None:
        by_fd = {sock.fileno(): sock for sock in self._sockets}
        poll = select.poll()
        for fd in (self._stop_reading, *by_fd):
            poll.register(fd, select.POLLIN)
        while True:
            ready = [fd for fd, _ in poll.poll()]
            if self._stop_reading in ready:
                return
            for fd in ready:
                self._accept(by_fd[fd])

    def _accept(self, listening: socket.socket) -> None:
        try:
            sock = self._spare.accept(listening)
        except BlockingIOError:  # it has gone again
            return
        except OSError as error:
            # No descriptor is left, also no spare one: without a pause, accept would fail again and
            # again.
            logger.debug("METRICS_PORT: no connection", reason=str(error))
            self._wait_for_stop(DESCRIPTOR_PAUSE_S)
            return
        self._open.enter(sock, None, lambda: cut_off(sock))
        try:
            threading.Thread(
                target=self._serve, args=(sock,), name="status request", daemon=True
            ).start()
        except RuntimeError as error:
            logger.error("METRICS_PORT: no thread for a request", reason=str(error))
            self._end(sock)

    def _wait_for_stop(self, timeout_s: float) -> None:
        select.select([self._stop_reading], [], [], timeout_s)

    # -- one connection ----------------------------------------------------------------------

    def _serve(self, sock: socket.socket) -> None:
        try:
            answer, has_body = self._answer(sock)
            sock.settimeout(STATUS_ANSWER_S)  # for all of it
            sock.sendall(_encoded(answer, has_body=has_body))
            sock.shutdown(socket.SHUT_WR)
            self._linger(sock)
        except OSError as error:  # the client is gone, or reads nothing
            logger.debug("METRICS_PORT: no answer", reason=str(error))
        finally:
            self._end(sock)

    def _end(self, sock: socket.socket) -> None:
        self._open.leave(sock)
        self._spare.close(sock)

    def _answer(self, sock: socket.socket) -> tuple[Answer, bool]:
        """Read the request; return the answer, and True if its body is wanted. Raises OSError."""
        deadline_s = self._clock.monotonic() + STATUS_REQUEST_S
        data = b""
        while (end := _END.search(data)) is None:
            if len(data) >= STATUS_REQUEST_BYTES_MAX:
                status = http.HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
                return _refusal(status, f"at most {STATUS_REQUEST_BYTES_MAX} bytes"), True
            left_s = deadline_s - self._clock.monotonic()
            piece = _receive(sock, left_s) if left_s > 0 else None
            if piece is None:
                status = http.HTTPStatus.REQUEST_TIMEOUT
                return _refusal(status, f"the request took over {STATUS_REQUEST_S:g} s"), True
            if not piece:
                raise ConnectionResetError("closed before the end of the request")
            data += piece
        head, *lines = re.split("\r?\n", data[: end.start()].decode("latin-1"))
        return self._page(head, lines)

    def _page(self, head: str, lines: list[str]) -> tuple[Answer, bool]:
        parts = head.split(" ")
        if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
            return _refusal(http.HTTPStatus.BAD_REQUEST, "no HTTP/1 request"), True
        method, path, has_body = parts[0], parts[1].partition("?")[0], parts[0] != "HEAD"
        if not all(is_asked_by_its_name(host, self._is_own) for host in _values(lines, "host")):
            text = "this is none of the hub's names: ask by an address, or see PUBLIC_NAMES"
            return _refusal(http.HTTPStatus.MISDIRECTED_REQUEST, text), has_body
        page = self._pages.get(path)
        if page is None:
            return _refusal(http.HTTPStatus.NOT_FOUND, f"try {', '.join(self._pages)}"), has_body
        if method not in ("GET", "HEAD"):
            status = http.HTTPStatus.METHOD_NOT_ALLOWED
            return _refusal(status, "GET and HEAD only", {"Allow": "GET, HEAD"}), True
        try:
            return page(next(_values(lines, "accept"), "")), has_body
        except Exception:
            logger.exception("METRICS_PORT: a page failed", path=path)
            return _refusal(http.HTTPStatus.INTERNAL_SERVER_ERROR, "see the log"), has_body

    def _linger(self, sock: socket.socket) -> None:
        deadline_s = self._clock.monotonic() + LINGER_S
        left_bytes = LINGER_BYTES_MAX
        while left_bytes > 0 and (left_s := deadline_s - self._clock.monotonic()) > 0:
            if not (piece := _receive(sock, left_s)):
                return
            left_bytes -= len(piece)


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.create_server((host, port), family=family, backlog=BACKLOG)
    sock.setblocking(False)
    return sock


def _receive(sock: socket.socket, timeout_s: float) -> bytes | None:
    """Return what has come, b"" at the end; None if nothing came in that time. Raises OSError."""
    sock.settimeout(timeout_s)
    try:
        return sock.recv(_PIECE_BYTES)
    except TimeoutError:
        return None


def _values(lines: list[str], header: str) -> Iterator[str]:
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip().lower() == header:
            yield value.strip()


def _refusal(
    status: http.HTTPStatus, text: str, headers: Mapping[str, str] | None = None
) -> Answer:
    return Answer(status, f"{status.phrase}: {text}\n".encode(), headers=headers or {})


def _encoded(answer: Answer, *, has_body: bool) -> bytes:
    headers = {
        "Server": f"claudehub/{VERSION}",
        "Content-Type": answer.content_type,
        "Content-Length": str(len(answer.body)),
        "Cache-Control": "no-store",
        "Connection": "close",
        **answer.headers,
    }
    head = [f"HTTP/1.1 {answer.status.value} {answer.status.phrase}"]
    head += [f"{name}: {value}" for name, value in headers.items()]
    text = "\r\n".join(head).encode("latin-1") + b"\r\n\r\n"
    return text + answer.body if has_body else text
