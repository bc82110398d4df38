"""An iteration over updates, for asyncio."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from typing import Any, Self

from claudehub.client.async_engine import AsyncEngine
from claudehub.client.streams import Reader, Stream, WatchStream
from claudehub.client.updates import Update


class Updates(AsyncIterator[Update]):
    """An iteration over updates. `close` ends it, and so does closing the hub."""

    def __init__(
        self,
        engine: AsyncEngine,
        start: Callable[["Updates"], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        """`start` is awaited at the first update, or by `await updates`."""
        self._engine = engine
        self._start = start
        self._starting: asyncio.Task[None] | None = None
        self._is_closed = False
        self._end: Callable[[], None] | None = None
        self._reader: Reader | None = None
        self._arrived = asyncio.Event()
        self._ready: list[Update] = []

    def read(self, stream: Stream, gone: Update | None) -> None:
        """Read a project from now on, behind what is gone."""
        subscriptions = self._engine.session.subscriptions
        self._ready = [] if gone is None else [gone]
        self._begin(stream, lambda: subscriptions.add(stream), lambda: subscriptions.remove(stream))

    def watch(self, watcher: WatchStream) -> None:
        """Read the states of all projects from now on."""
        subs = self._engine.session.subscriptions
        self._begin(watcher, lambda: subs.watch(watcher), lambda: subs.unwatch(watcher))

    def _begin(self, reader: Reader, add: Callable[[], None], end: Callable[[], None]) -> None:
        if self._is_closed:
            return
        self._reader, self._end = reader, end
        reader.on_change = self._arrived.set
        self._engine.tell(add)

    def __await__(self) -> Generator[Any, None, Self]:
        return self._started().__await__()

    async def __aenter__(self) -> Self:
        return await self._started()

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def __anext__(self) -> Update:
        if self._ready:
            return self._ready.pop()
        try:
            return await self.get()
        except EOFError:
            raise StopAsyncIteration from None

    async def get(self) -> Update:
        """Return the next update. Raises EOFError at the end, and HubError."""
        return (await self._some()).pop()

    async def batch(self) -> list[Update]:
        """Return all updates that have arrived, at least one. Raises EOFError at the end, and
        HubError."""
        taken, self._ready = await self._some(), []
        taken.reverse()
        return taken

    def __del__(self) -> None:
        if self._reader is not None:
            self._reader.abandon()

    def close(self) -> None:
        self._is_closed = True
        if self._end is not None:
            self._engine.tell(self._end)

    async def _some(self) -> list[Update]:
        """Return what is ready, the newest first."""
        await self._started()
        while not self._ready:
            if self._reader is None:
                raise EOFError
            self._ready = await self._engine.take(self._reader, self._arrived)
            self._ready.reverse()
        return self._ready

    async def _started(self) -> Self:
        if self._start is not None and not self._is_closed:
            if self._starting is None:
                self._starting = self._engine.begin(self._start(self))
            # Cancelling one wait must not cancel the beginning, which others may wait for.
            await asyncio.shield(self._starting)
            self._start = None
        return self
