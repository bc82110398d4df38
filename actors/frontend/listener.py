"""The listening socket: websocket-server's accept loop, and a thread for each connection."""

import errno
import http
import socket
import socketserver
import threading
import time
from typing import Any

from websocket_server import WebsocketServer

from actors.frontend.connection import Connection, ConnectionContext, cut_off
from actors.limits.connections import PendingConnections
from actors.limits.peer import Peer
from actors.runtime.logger import get_logger
from protocol.host import LOCALHOST

logger = get_logger("claudehub.frontend")

ACCEPT_BACKLOG = 1024
# Without descriptors accept fails at once; without a pause the loop would spin.
DESCRIPTOR_PAUSE_S = 0.2


# Where `localhost` listens.
LOOPBACK_ADDRESSES = ("127.0.0.1", "::1")
# A free port of one family may be in use in the other one.
FREE_PORT_TRIES_MAX = 16
# Of a system without one of the families.
NO_SUCH_FAMILY = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


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
        self._thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.1}, name="accept", daemon=True
        )

    def start(self, context: ConnectionContext, pending: PendingConnections | None = None) -> None:
        """Accept connections. `pending` is shared by listeners that are one door."""
        self.context = context
        self._pending = pending or PendingConnections(context.clock)
        self._thread.start()

    def stop_accepting(self, timeout_s: float) -> None:
        """Stop accepting; open connections continue."""
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
    if host != LOCALHOST:
        return [Listener(host, port)]
    for _ in range(FREE_PORT_TRIES_MAX - 1):
        try:
            return _listen_on_loopback(port)
        except OSError as error:
            if port or error.errno != errno.EADDRINUSE:
                raise
    return _listen_on_loopback(port)


def _listen_on_loopback(port: int) -> list[Listener]:
    """Return a listener for each family that this machine has. Raises OSError if it has none, or if
    the port is taken in one of them: clients would reach another program there."""
    found: list[Listener] = []
    absent: OSError | None = None
    for address in LOOPBACK_ADDRESSES:
        try:
            found.append(Listener(address, found[0].port if found else port))
        except OSError as error:
            if error.errno not in NO_SUCH_FAMILY:
                for listener in found:
                    listener.socket.close()
                raise
            absent = error
    if not found and absent is not None:
        raise absent
    return found
