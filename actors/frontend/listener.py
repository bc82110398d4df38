"""The listening socket: websocket-server's accept loop, and a thread for each connection."""

import errno
import logging
import socket
import socketserver
import threading
import time
from typing import Any

from websocket_server import WebsocketServer

from actors.frontend.connection import Connection, ConnectionContext

logger = logging.getLogger("claudehub.frontend")

ACCEPT_BACKLOG = 1024
# With no descriptor left accept fails at once: without a pause the loop would spin.
DESCRIPTOR_PAUSE_S = 0.2


class _Handler(socketserver.BaseRequestHandler):
    """One connection. Never touches the library's clients list or its send methods."""

    def handle(self) -> None:
        listener = self.server
        assert isinstance(listener, Listener)
        Connection(self.request, listener.context).run()


class Listener(WebsocketServer):  # type: ignore[misc]  # the library has no types
    """`context` is set before `start`; until then nothing is accepted."""

    request_queue_size = ACCEPT_BACKLOG
    context: ConnectionContext

    def __init__(self, host: str, port: int) -> None:
        """Binds and listens. Raises OSError."""
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__(host=host, port=port)
        self.RequestHandlerClass = _Handler
        self._thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.1}, name="accept", daemon=True
        )

    def start(self, context: ConnectionContext) -> None:
        self.context = context
        self._thread.start()

    def stop_accepting(self, timeout_s: float) -> None:
        """Open connections go on."""
        if self._thread.is_alive():
            self.shutdown()
            self._thread.join(timeout_s)
        self.socket.close()

    def get_request(self) -> Any:
        try:
            return super().get_request()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                logger.warning("no descriptor is left for another connection: raise `ulimit -n`")
                time.sleep(DESCRIPTOR_PAUSE_S)
            raise

    def handle_error(self, request: Any, client_address: Any) -> None:
        logger.exception("connection from %s", client_address)


class ConnectionCount:
    """Places for connections: MAX_CONN of them."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._count = 0

    def admit(self) -> bool:
        with self._lock:
            if self._count >= self._limit:
                return False
            self._count += 1
            return True

    def leave(self) -> None:
        with self._lock:
            self._count -= 1

    @property
    def count(self) -> int:
        return self._count
