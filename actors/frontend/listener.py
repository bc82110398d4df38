"""The listening socket: websocket-server's accept loop, and a thread for each connection."""

import errno
import http
import socket
import socketserver
import threading
import time
from typing import Any

from websocket_server import WebsocketServer

from actors.frontend.addresses import on_each_address
from actors.frontend.connection import Connection, ConnectionContext, cut_off
from actors.limits.connections import PendingConnections
from actors.limits.peer import Peer
from actors.runtime.logger import get_logger
from actors.runtime.restarts import run_again

logger = get_logger("claudehub.frontend")

ACCEPT_BACKLOG = 1024
ACCEPT_POLL_S = 0.1
# Without descriptors accept fails at once; without a pause the loop would spin.
DESCRIPTOR_PAUSE_S = 0.2


class _Handler(socketserver.BaseRequestHandler):
    """One connection. It never touches the library's list of clients or its send methods."""

    def handle(self) -> None:
        listener = self.server
        assert isinstance(listener, Listener)
        sock, peer = self.request, listener.peer_of(self.request, self.client_address)
        Connection(sock, peer, listener.context, lambda: listener.known(sock)).run()


class Listener(WebsocketServer):  # type: ignore[misc]  # the library has no types
    """`context` is set before `start`; until then nothing is accepted."""

    request_queue_size = ACCEPT_BACKLOG
    context: ConnectionContext

    def __init__(self, host: str, port: int) -> None:
        """Bind and listen. Raises OSError."""
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__(host=host, port=port)
        self.RequestHandlerClass = _Handler
        self._starved = False
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="accept", daemon=True)

    def start(self, context: ConnectionContext, pending: PendingConnections | None = None) -> None:
        """Accept connections. `pending` is shared by listeners that are one door."""
        self.context = context
        self._pending = pending or PendingConnections(context.clock)
        self._thread.start()

    def _run(self) -> None:
        run_again("accept", self._accept, self.context.clock)

    def _accept(self) -> None:
        # A loop that fails takes a `shutdown` of that moment for obeyed.
        if not self._is_stopping:
            self.serve_forever(poll_interval=ACCEPT_POLL_S)

    def stop_accepting(self, timeout_s: float) -> None:
        """Stop accepting; open connections continue."""
        self._is_stopping = True
        if self._thread.is_alive():
            self.shutdown()
            self._thread.join(timeout_s)
        self.socket.close()

    def peer_of(self, request: socket.socket, client_address: Any) -> Peer:
        """Return where a connection comes from, and at which of our addresses it came in."""
        try:
            local_address = request.getsockname()[0]
        except OSError:  # the peer, or a limit, has closed it already
            local_address = None
        return Peer(address=client_address[0], local_address=local_address)

    def known(self, request: socket.socket) -> None:
        """Note that the handshake is finished and that the peer has authenticated, if it must."""
        self._pending.leave(request)

    # -- websocket-server's and socketserver's -----------------------------------------------

    def get_request(self) -> Any:
        try:
            request = super().get_request()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                if not self._starved:
                    logger.error(
                        "no descriptor is left for a connection", remedy="raise `ulimit -n`"
                    )
                self._starved = True
                time.sleep(DESCRIPTOR_PAUSE_S)
            raise
        if self._starved:
            self._starved = False
            logger.warning("there are descriptors again")
        return request

    def process_request(self, request: Any, client_address: Any) -> None:
        peer = self.peer_of(request, client_address)

        def make_room() -> None:
            cut_off(request)
            self.context.refused(peer, http.HTTPStatus.SERVICE_UNAVAILABLE)

        if self._pending.enter(request, peer.origin, make_room):
            super().process_request(request, client_address)
        else:
            self.context.refused(peer, http.HTTPStatus.TOO_MANY_REQUESTS)
            self.shutdown_request(request)

    def shutdown_request(self, request: Any) -> None:
        self._pending.leave(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        logger.exception("a connection has failed", address=client_address)


def listen(host: str, port: int) -> list[Listener]:
    """Bind and listen on an address, or on both families of `localhost`, at the same port; 0 takes
    a free one. Raises OSError."""
    return on_each_address(host, port, Listener, lambda listener: listener.socket)
