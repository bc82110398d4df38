"""Descriptors that are kept for connections when the process has no others left."""

import contextlib
import errno
import os
import socket
import threading

SPARE_DESCRIPTORS = 4
_NONE_LEFT = (errno.EMFILE, errno.ENFILE)


class SpareDescriptors:
    """Any thread may use it."""

    def __init__(self, count: int = SPARE_DESCRIPTORS) -> None:
        """Take the descriptors. Raises OSError."""
        self._count = count
        self._lock = threading.Lock()
        # This one stays: copies of it are the spare ones.
        self._null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._spare: list[int] = []
        self._is_closed = False
        self._fill()

    def accept(self, listening: socket.socket) -> socket.socket:
        """Accept a connection, with a spare descriptor if there is no other. Raises OSError."""
        with self._lock:
            try:
                return listening.accept()[0]
            except OSError as error:
                if error.errno not in _NONE_LEFT or not self._spare:
                    raise
            # Between these two another thread can take it; then the next one goes.
            os.close(self._spare.pop())
            return listening.accept()[0]

    def close(self, sock: socket.socket) -> None:
        """Close a connection. If a spare descriptor is missing, it takes the connection's place in
        one step, before another thread can have it."""
        with self._lock:
            if self._is_closed or len(self._spare) >= self._count or sock.fileno() < 0:
                sock.close()
                return
            fd = sock.detach()
            os.dup2(self._null, fd, inheritable=False)
            self._spare.append(fd)
            self._fill()

    def give_back(self) -> None:
        """Close the spare descriptors."""
        with self._lock:
            self._is_closed = True
            for fd in (self._null, *self._spare):
                os.close(fd)
            self._spare.clear()

    def _fill(self) -> None:
        with contextlib.suppress(OSError):  # there are no more at present
            while len(self._spare) < self._count:
                self._spare.append(os.dup(self._null))
