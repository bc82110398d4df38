"""One thread that waits for all silent connections, and wakes their threads a few at a time.

When thousands of peers leave in one moment, thousands of threads would want the interpreter's lock,
and each that waits for it asks again every 5 ms: 2,000 connections took a minute to end. So a
thread waits on a lock of its own, and is woken when one of a few turns is free. On systems without
epoll every thread polls for itself.
"""

import contextlib
import errno
import queue
import select
import socket
import threading

from actors.runtime.clock import Clock
from actors.runtime.restarts import run_again

# Threads that were woken and have not read yet.
TURNS = 16
_EVENTS_AT_ONCE = 64


# A socket that another thread has closed, at the stop, has left.
_HAS_LEFT = frozenset((errno.EBADF, errno.ENOENT))


class Readiness:
    """For the reading threads of a server; call `start` before the first of them waits.

    The thread goes on after a failure: `_waiting` says who waits, and only a thread that was woken
    has left it. `_lock` guards that, so a thread whose wait is over knows which of both has come.
    """

    def __init__(self, clock: Clock, turns: int = TURNS) -> None:
        self._clock = clock
        self._epoll = select.epoll()
        self._turns: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(turns):
            self._turns.put(None)
        self._lock = threading.Lock()
        self._waiting: dict[int, Seat] = {}
        self._is_stopped = False
        self._stop_receiver, self._stop_sender = socket.socketpair()
        self._epoll.register(self._stop_receiver, select.EPOLLIN)
        self._thread = threading.Thread(target=self._run, name="readiness", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Wake nobody any more."""
        self._is_stopped = True
        self._stop_sender.send(b"x")
        self._turns.put(None)
        self._thread.join(timeout_s)
        self._stop_sender.close()
        self._stop_receiver.close()
        with self._lock:
            self._epoll.close()

    def seat(self, sock: socket.socket) -> "Seat":
        """Return a seat for one connection's thread."""
        seat = Seat(self, sock.fileno())
        # epoll reports a hang-up even without events to wait for; one-shot, so that it does so
        # once.
        self._epoll.register(seat.fd, select.EPOLLONESHOT)
        return seat

    def arm(self, seat: "Seat") -> None:
        """Wait for the seat's socket. Raises OSError after `stop`."""
        with self._lock:
            self._waiting[seat.fd] = seat
        try:
            self._await(seat)
        except (OSError, ValueError) as error:
            self.disarm(seat)  # its descriptor may soon belong to another one
            if isinstance(error, OSError):
                raise
            raise OSError(errno.EBADF, "the server stops") from None

    def _await(self, seat: "Seat") -> None:
        self._epoll.modify(seat.fd, select.EPOLLIN | select.EPOLLONESHOT)

    def disarm(self, seat: "Seat") -> bool:
        """Stop waiting; return False if the seat was woken."""
        with self._lock:
            return self._waiting.pop(seat.fd, None) is not None

    def end_turn(self) -> None:
        self._turns.put(None)

    def remove(self, seat: "Seat") -> None:
        with self._lock:
            if self._epoll.closed:
                return
            try:
                self._epoll.unregister(seat.fd)
            except OSError as error:
                if error.errno not in _HAS_LEFT:
                    raise

    def _run(self) -> None:
        run_again("readiness", self._wake_some, self._clock)

    def _wake_some(self) -> None:
        self._await_again()
        while True:
            for fd, _ in self._epoll.poll(maxevents=_EVENTS_AT_ONCE):
                if fd == self._stop_receiver.fileno():
                    return
                if fd in self._waiting:
                    self._turns.get()
                    if self._is_stopped:
                        return
                    self._hand_turn_to(fd)

    def _await_again(self) -> None:
        """Wait for all that wait: an event comes once, and one may have come to a thread that
        failed."""
        with self._lock:
            for seat in self._waiting.values():
                with contextlib.suppress(OSError):  # its thread is leaving
                    self._await(seat)

    def _hand_turn_to(self, fd: int) -> None:
        """Wake a thread, which then has the turn; give the turn back if it has stopped waiting."""
        is_taken = False
        try:
            is_taken = self._wake(fd)
        finally:
            if not is_taken:
                self.end_turn()

    def _wake(self, fd: int) -> bool:
        """Wake a thread; return False if it has stopped waiting."""
        with self._lock:
            if (seat := self._waiting.get(fd)) is None:
                return False
            seat.wake()
            del self._waiting[fd]
            return True


class Seat:
    """Where the thread of one connection waits. Only `wake` may come from another thread."""

    __slots__ = ("_has_turn", "_readiness", "_signal", "fd")

    def __init__(self, readiness: Readiness, fd: int) -> None:
        self.fd = fd
        self._readiness = readiness
        self._signal = threading.Lock()
        self._signal.acquire()
        self._has_turn = False

    def wait(self, timeout_s: float) -> bool:
        """Return True if there is something to read; then this thread has a turn, until
        `end_turn`."""
        self.end_turn()
        self._readiness.arm(self)
        if not self._signal.acquire(timeout=timeout_s):
            if self._readiness.disarm(self):
                return False
            # It was woken before `disarm` got the lock, so this does not wait.
            was_woken = self._signal.acquire(blocking=False)
            assert was_woken
        self._has_turn = True
        return True

    def end_turn(self) -> None:
        """Give the turn back: another thread may be woken."""
        if self._has_turn:
            self._has_turn = False
            self._readiness.end_turn()

    def leave(self) -> None:
        """Leave, before the socket is closed."""
        self._readiness.remove(self)
        self.end_turn()

    def wake(self) -> None:
        self._signal.release()
