"""A Unix socket that only its owner, and root, may use."""

import contextlib
import http
import os
import socket
import stat
import struct
from pathlib import Path
from typing import Any

from actors.frontend.listener import Listener
from actors.limits.peer import Peer
from actors.runtime.logger import get_logger

logger = get_logger("claudehub.frontend")

# sizeof(sockaddr_un.sun_path), less the NUL: 108 on Linux, 104 on macOS and BSD.
PATH_BYTES_MAX = 103
# macOS: sys/un.h; the level is 0 there, and the answer is a struct xucred.
_LOCAL_PEERCRED = 0x001
_XUCRED_BYTES = 76


class SocketTaken(OSError):
    """Another server listens there, or something else has that name."""


class UnixListener(Listener):
    """Create `path` with mode 0600, and remove it at the end."""

    address_family = socket.AF_UNIX
    name = "socket"

    def __init__(self, path: Path) -> None:
        """Bind and listen. Raises OSError."""
        self.path = path
        _make_room(path)
        super().__init__(host="", port=0)
        self._made = _identity(path)
        self._in_the_way: tuple[int, int] | None = None
        self._obstacle = ""

    def server_bind(self) -> None:
        """Bind, and set the mode. Nobody can connect in between: the socket does not listen yet."""
        self.server_address = str(self.path)
        self.socket.bind(self.server_address)
        os.chmod(self.path, 0o600)

    def close(self) -> None:
        """Close the socket; remove the path if it is still ours."""
        # Before the close: behind it another server's socket may get the same inode.
        if _identity(self.path) == self._made:
            with contextlib.suppress(OSError):
                os.unlink(self.path)
        self.socket.close()

    def look(self) -> str | None:
        """Listen again if the path is gone. Return what is wrong now, or None. Raises OSError."""
        found = _identity(self.path)
        if found == self._made or self.socket.fileno() < 0:
            return None
        if found is not None and found == self._in_the_way:
            return self._obstacle  # another server is not called again and again
        try:
            _make_room(self.path)
        except SocketTaken as error:
            self._in_the_way = found
            self._obstacle = f"clients cannot reach this server there: {error}"
            return self._obstacle
        with socket.socket(socket.AF_UNIX) as fresh:
            fresh.bind(str(self.path))
            os.chmod(self.path, 0o600)
            fresh.listen(self.request_queue_size)
            fresh.setblocking(self.socket.getblocking())
            # The accept loop waits at this descriptor, and goes on at the new socket.
            os.dup2(fresh.fileno(), self.socket.fileno(), inheritable=False)
        self._made = _identity(self.path)
        logger.warning("a socket was gone; the server listens there again", socket=self.path)
        return None

    def get_request(self) -> Any:
        """Accept a connection; its address is the uid of the peer."""
        request, _ = super().get_request()
        return request, _uid_of(request)

    def peer_of(self, _request: socket.socket, client_address: Any) -> Peer:
        return Peer(uid=client_address)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Accept only root and the server's own user: the mode says the same, but others can change
        it."""
        if client_address in (os.geteuid(), 0):
            return True
        logger.warning("a connection was refused", uid=client_address, socket=self.path)
        self.context.refused(Peer(uid=client_address), http.HTTPStatus.FORBIDDEN)
        with contextlib.suppress(OSError):
            request.send(_refusal())
        return False


def _refusal() -> bytes:
    text = b"This socket is for the user that runs the hub, and for root.\n"
    status = http.HTTPStatus.FORBIDDEN
    head = f"HTTP/1.1 {status.value} {status.phrase}\r\nConnection: close\r\n"
    head += f"Content-Type: text/plain; charset=utf-8\r\nContent-Length: {len(text)}\r\n\r\n"
    return head.encode() + text


def _uid_of(sock: socket.socket) -> int:
    """Return the uid of the peer, as the kernel knows it. Raises OSError."""
    if hasattr(socket, "SO_PEERCRED"):  # Linux
        size = struct.calcsize("3i")
        found = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        uid: int = struct.unpack("3i", found)[1]
        return uid
    found = sock.getsockopt(0, _LOCAL_PEERCRED, _XUCRED_BYTES)
    uid = struct.unpack("2I", found[:8])[1]
    return uid


def _make_room(path: Path) -> None:
    """Remove the socket of a server that is gone. Raises SocketTaken."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise SocketTaken(f"{path} is there and no socket; choose another path or take it away")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)  # the queue of a listener is full
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except BlockingIOError as error:
            del error  # said below
    raise SocketTaken(f"another server listens on {path}")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
