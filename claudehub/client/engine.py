"""The thread that moves the bytes of a Session for programs that block.

All state is in the session. `_changed` is a condition around it: the thread holds its lock while it
gives the session what has arrived, and so does whoever asks for something. Nothing else is locked,
and nothing blocks while it is held.
"""

import contextlib
import logging
import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict
from typing import Any, TypeVar

from claudehub.client.calls import Call
from claudehub.client.dialling import connect_failed, dial
from claudehub.client.errors import ConnectFailed, ConnectionLost, Failure
from claudehub.client.flows import advanced
from claudehub.client.identity import Identity, SigningFailed
from claudehub.client.session import OPEN_TIMEOUT_S, READ_BYTES, Session, State, Want
from claudehub.client.signatures import Signatures
from claudehub.client.streams import Reader
from claudehub.client.updates import Update

END_TIMEOUT_S = 5.0

_logger = logging.getLogger(__name__)
_Result = TypeVar("_Result")


class _Closed(Exception):
    """The program has closed the hub while a connection was being made."""


class Engine:
    """Runs a session on a thread of its own."""

    def __init__(self, session: Session, identity: Identity) -> None:
        self.session = session
        self._pid = os.getpid()
        self._changed = threading.Condition(threading.Lock())
        self._has_news = False
        self._states: list[State] = []
        self._callbacks: list[Callable[[State], Any]] = []
        self._signatures = Signatures(session.address, identity)
        self._socket: socket.socket | None = None
        self._unsent = b""
        self._waker, self._woken = socket.socketpair()
        self._woken.setblocking(False)
        self._waker.setblocking(False)
        session.on_state = self._states.append
        self._thread = threading.Thread(target=self._run, name="claudehub client", daemon=True)

    def start(self) -> None:
        """Make the first connection. Raises ConnectFailed."""
        self._thread.start()
        try:
            with self._changed:
                self._changed.wait_for(lambda: self.session.state is not State.WAITING)
                if self.session.error is not None:
                    raise self.session.error
        except BaseException:  # a Ctrl-C as well
            self.close()
            raise

    def close(self) -> None:
        """End the session and the thread. Whoever waits is woken. Any thread may call it."""
        with self._changed:
            self.session.close()
            self._changed.notify_all()
        self._wake()
        if threading.current_thread() is not self._thread:
            self._thread.join(END_TIMEOUT_S)

    def on_state(self, callback: Callable[[State], Any]) -> None:
        self._callbacks.append(callback)

    # -- what other threads do

    def run(self, flow: Generator[Call, Mapping[str, Any], _Result]) -> _Result:
        """Carry out a flow. Raises HubError."""
        try:
            call = next(flow)
            while True:
                self._ask(call)
                call = advanced(flow, call)
        except StopIteration as end:
            result: _Result = end.value
            return result

    def tell(self, action: Callable[[], None]) -> None:
        """Do something with the session, and send what it then has to say."""
        self._check_process()
        with self._changed:
            action()
        self._wake()

    def take(self, reader: Reader, timeout_s: float | None) -> list[Update]:
        """Wait for updates. Raises TimeoutError, the HubError that ended them, and EOFError behind
        the last."""
        with self._changed:
            # One wait may end because something came for another reader.
            if not self._changed.wait_for(lambda: reader.is_ready, timeout_s):
                raise TimeoutError
            was_paused = reader.is_paused
            taken = reader.take()
        if was_paused:
            self._wake()  # the session joins again
        return taken

    def _ask(self, call: Call) -> None:
        if threading.current_thread() is self._thread:
            raise RuntimeError("a callback of on_state must not wait for the hub")
        self._check_process()

        with self._changed:
            call.on_end = self._note
            self.session.ask(call)
            self._wake()
            try:
                self._changed.wait_for(lambda: call.is_over)
            except BaseException:  # Ctrl-C: nobody waits for it any more
                self.session.withdraw(call)
                raise

    def _check_process(self) -> None:
        """Raise RuntimeError in a child of fork(): it has no thread that would answer."""
        if os.getpid() != self._pid:
            raise RuntimeError("a Hub does not live on in a child process: connect there anew")

    def news(self) -> None:
        """Let every waiting thread look again."""
        with self._changed:
            self._changed.notify_all()

    def _note(self) -> None:
        self._has_news = True

    def watch(self, reader: Reader) -> None:
        """Notice when a reader has something to take."""
        reader.on_change = self._note

    def _wake(self) -> None:
        # A full pipe will wake the thread as well; a closed one has no thread.
        with contextlib.suppress(OSError):
            self._waker.send(b"!")

    # -- the thread

    def _run(self) -> None:
        try:
            while not self._step():
                pass
        except BaseException as error:
            _logger.exception("the client's thread has failed")
            with self._changed:
                self.session.abandon(ConnectionLost(f"a fault in the client: {error!r}"))
                self._changed.notify_all()
        finally:
            self._disconnect()
            self._woken.close()
            self._waker.close()

    def _step(self) -> bool:
        """Do what the session wants, and wait for what comes. Return True at the end."""
        with self._changed:
            self.session.tick(time.monotonic())
            self._unsent += self.session.data_to_send()
            wanted = self.session.wanted()
            is_closed = self.session.state is State.CLOSED
            due_s = self.session.due_s
            states, self._states[:] = list(self._states), []
            if self._has_news or states:
                self._has_news = False
                self._changed.notify_all()
        self._call_back(states)
        self._write()
        if wanted in (Want.CLOSE, Want.CONNECT):
            self._disconnect()
        if is_closed:
            return True
        if wanted is Want.CONNECT:
            self._connect()
        elif wanted is Want.SIGN:
            self._sign()
        else:
            self._wait(due_s)
        return False

    def _call_back(self, states: list[State]) -> None:
        for state in states:
            for callback in self._callbacks:
                try:
                    callback(state)
                except Exception:  # the program's own fault must not end its connection
                    _logger.exception("a callback of on_state has failed")

    def _connect(self) -> None:
        deadline_s = time.monotonic() + OPEN_TIMEOUT_S

        def wait(connection: socket.socket, event: int) -> None:
            while not self._poll(connection, event, deadline_s):
                with self._changed:
                    if self.session.state is State.CLOSED:
                        raise _Closed
                if time.monotonic() >= deadline_s:
                    raise TimeoutError

        address = self.session.address
        try:
            self._socket = dial(address, wait)
        except _Closed:
            return
        except (OSError, ValueError) as error:
            self._report_failed(connect_failed(address, error))
        else:
            with self._changed:
                self.session.connected(time.monotonic())

    def _sign(self) -> None:
        offer, refusal = self.session.offer, self.session.refusal
        if offer is None:
            return
        try:
            proof = self._signatures.next(offer, refusal)
        except SigningFailed as error:
            words = f"{self.session.address.url}: {error}"
            self._report_failed(ConnectFailed(Failure.KEY, words))
            return
        with self._changed:
            self.session.authenticate(asdict(proof), time.monotonic())

    def _report_failed(self, error: ConnectFailed) -> None:
        with self._changed:
            self.session.failed(error, time.monotonic())

    def _wait(self, due_s: float | None) -> None:
        """Read what arrives, until it is time for something else."""
        event = select.POLLIN | (select.POLLOUT if self._unsent else 0)
        if self._socket is None:
            self._poll(None, 0, due_s)
        elif self._poll(self._socket, event, due_s):
            self._read(self._socket)

    def _poll(self, connection: socket.socket | None, event: int, due_s: float | None) -> bool:
        """Wait for a socket, a wish of another thread, or the time. Return True for the socket."""
        if isinstance(connection, ssl.SSLSocket) and connection.pending():
            return True
        poll = select.poll()
        poll.register(self._woken, select.POLLIN)
        if connection is not None:
            poll.register(connection, event)
        left_s = None if due_s is None else max(0.0, due_s - time.monotonic())
        ready = poll.poll(None if left_s is None else left_s * 1000 + 1)
        if any(number == self._woken.fileno() for number, _ in ready):
            with contextlib.suppress(BlockingIOError):
                self._woken.recv(4096)
        return any(connection is not None and number == connection.fileno() for number, _ in ready)

    def _read(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(READ_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError:
            data = b""
        with self._changed:
            self.session.received(data, time.monotonic())

    def _write(self) -> None:
        if self._socket is None or not self._unsent:
            return
        try:
            sent = self._socket.send(self._unsent)
            self._unsent = self._unsent[sent:]
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError:
            self._unsent = b""  # the end of the connection is what is read next

    def _disconnect(self) -> None:
        self._unsent = b""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
