"""Moves the bytes of a Session on an asyncio event loop."""

import asyncio
import logging
import ssl
from collections.abc import Callable, Coroutine, Generator, Mapping
from dataclasses import asdict
from typing import Any, TypeVar

from claudehub.client.calls import Call
from claudehub.client.dialling import connect_failed
from claudehub.client.errors import ConnectFailed, ConnectionLost, Failure
from claudehub.client.flows import advanced
from claudehub.client.identity import Identity, SigningFailed
from claudehub.client.session import OPEN_TIMEOUT_S, READ_BYTES, Session, State, Want
from claudehub.client.signatures import Signatures
from claudehub.client.streams import Reader
from claudehub.client.updates import Update

_logger = logging.getLogger(__name__)
_Result = TypeVar("_Result")


CLOSE_TIMEOUT_S = 2.0


class _Link(asyncio.BufferedProtocol):
    """Gives what one connection receives to the engine, as long as it is the present one."""

    def __init__(self, engine: "AsyncEngine") -> None:
        self._engine = engine
        self._buffer = memoryview(bytearray(READ_BYTES))
        self.is_gone = asyncio.Event()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, size_bytes: int) -> None:
        self._engine.received(self, bytes(self._buffer[:size_bytes]))

    def connection_lost(self, error: Exception | None) -> None:
        self.is_gone.set()
        self._engine.received(self, b"")


class AsyncEngine:
    """Runs a session on the event loop in which it is made."""

    def __init__(self, session: Session, identity: Identity) -> None:
        self.session = session
        self._loop = asyncio.get_running_loop()
        self._signatures = Signatures(session.address, identity)
        self._transport: asyncio.Transport | None = None
        self._link: _Link | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._callbacks: list[Callable[[State], Any]] = []
        self._is_pumping = False
        self._state_changed = asyncio.Event()
        session.on_state = self._state_became

    async def start(self) -> None:
        """Make the first connection. Raises ConnectFailed."""
        self.pump()
        while self.session.state is State.WAITING:
            self._state_changed.clear()
            await self._state_changed.wait()
        if self.session.error is not None:
            raise self.session.error

    async def close(self) -> None:
        """End the session. Whoever waits is woken."""
        transport, link = self._transport, self._link
        self.session.close()
        self.pump()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if transport is not None and link is not None:
            try:
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await link.is_gone.wait()
            except TimeoutError:
                transport.abort()  # the hub does not read

    def on_state(self, callback: Callable[[State], Any]) -> None:
        self._callbacks.append(callback)

    # -- what tasks do

    async def run(self, flow: Generator[Call, Mapping[str, Any], _Result]) -> _Result:
        """Carry out a flow. Raises HubError."""
        try:
            call = next(flow)
            while True:
                await self._ask(call)
                call = advanced(flow, call)
        except StopIteration as end:
            result: _Result = end.value
            return result

    def tell(self, action: Callable[[], None]) -> None:
        """Do something with the session, and send what it then has to say."""
        action()
        self.pump()

    async def take(self, reader: Reader, arrived: asyncio.Event) -> list[Update]:
        """Wait for updates; the reader sets `arrived`. Raises the HubError that ended them, and
        EOFError behind the last."""
        while not reader.is_ready:
            arrived.clear()
            await arrived.wait()
        was_paused = reader.is_paused
        taken = reader.take()
        if was_paused:
            self.pump()  # the session joins again
        return taken

    async def _ask(self, call: Call) -> None:
        over = asyncio.Event()
        call.on_end = over.set
        self.tell(lambda: self.session.ask(call))
        try:
            await over.wait()
        except BaseException:  # cancelled: nobody waits for it any more
            self.session.withdraw(call)
            raise

    # -- the event loop

    def received(self, link: _Link, data: bytes) -> None:
        if link is self._link:
            self.pump(data)

    def pump(self, data: bytes | None = None) -> None:
        """Take what has arrived, if anything has, and do what the session wants. A callback that
        asks for more is served by the outer call."""
        if self._is_pumping:
            self._loop.call_soon(self.pump)
            return
        self._is_pumping = True
        try:
            if data is not None:
                self.session.received(data, self._loop.time())
            self.session.tick(self._loop.time())
            self._send()
            self._do(self.session.wanted())
            self._set_timer()
        except Exception as error:  # a fault of ours: whoever waits must not wait for ever
            _logger.exception("the client's event loop has failed")
            self.session.abandon(ConnectionLost(f"a fault in the client: {error!r}"))
            self._disconnect()
        finally:
            self._is_pumping = False

    def _send(self) -> None:
        data = self.session.data_to_send()
        if data and self._transport is not None:
            self._transport.write(data)

    def _do(self, wanted: Want) -> None:
        if wanted in (Want.CLOSE, Want.CONNECT):
            self._disconnect()
        if wanted is Want.CONNECT:
            self._begin(self._connect())
        elif wanted is Want.SIGN:
            self._begin(self._sign())

    def begin(self, work: Coroutine[Any, Any, _Result]) -> asyncio.Task[_Result]:
        """Start a task that ends with the session."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Start a task of this engine. If it fails, whoever waits must not wait for ever."""
        self.begin(work).add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            _logger.error("the client has failed", exc_info=error)
            self.session.abandon(ConnectionLost(f"a fault in the client: {error!r}"))
            self.pump()

    def _set_timer(self) -> None:
        due_s, timer = self.session.due_s, self._timer
        if timer is not None and due_s is not None and self._loop.time() < timer.when() <= due_s:
            return  # with everything that arrives it is due later, and is set anew when it fires
        if timer is not None:
            timer.cancel()
            self._timer = None
        if due_s is not None:
            self._timer = self._loop.call_at(due_s, self.pump)

    async def _connect(self) -> None:
        address, link = self.session.address, _Link(self)
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                if address.socket_path is not None:
                    transport, _ = await self._loop.create_unix_connection(
                        lambda: link, address.socket_path
                    )
                else:
                    context = ssl.create_default_context() if address.uri.secure else None
                    transport, _ = await self._loop.create_connection(
                        lambda: link, address.uri.host, address.uri.port, ssl=context
                    )
        except (OSError, ValueError) as error:
            self.session.failed(connect_failed(address, error), self._loop.time())
        else:
            self._transport, self._link = transport, link
            self.session.connected(self._loop.time())
        self.pump()

    async def _sign(self) -> None:
        offer, refusal = self.session.offer, self.session.refusal
        if offer is None:
            return
        failure, proof = None, None
        try:
            proof = await asyncio.to_thread(self._signatures.next, offer, refusal)
        except SigningFailed as error:
            failure = ConnectFailed(Failure.KEY, f"{self.session.address.url}: {error}")
        if self.session.offer is not offer:
            return  # the connection was lost meanwhile: the next one has a challenge of its own
        if failure is not None:
            self.session.failed(failure, self._loop.time())
        elif proof is not None:
            self.session.authenticate(asdict(proof), self._loop.time())
        self.pump()

    def _disconnect(self) -> None:
        self._link = None
        if self._transport is not None:
            if self.session.state is State.CLOSED:
                self._transport.close()
            else:
                self._transport.abort()  # else it would wait until a dead hub reads
            self._transport = None

    def _state_became(self, state: State) -> None:
        self._state_changed.set()
        for callback in self._callbacks:
            try:
                callback(state)
            except Exception:  # the program's own fault must not end its connection
                _logger.exception("a callback of on_state has failed")
