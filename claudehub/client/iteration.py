"""An iteration over updates, for threads."""

from collections.abc import Callable, Iterator
from typing import Self

from claudehub.client.engine import Engine
from claudehub.client.streams import Reader
from claudehub.client.updates import Update


class Updates(Iterator[Update]):
    """An iteration over updates that begins when it is made. `close` ends it, and so does closing
    the hub; it may be called by another thread."""

    def __init__(
        self,
        engine: Engine,
        reader: Reader,
        begin: Callable[[], None],
        end: Callable[[], None],
        first: list[Update] | None = None,
    ) -> None:
        self._engine = engine
        self._reader = reader
        self._end: Callable[[], None] = end
        self._ready = first or []
        self._ready.reverse()
        engine.watch(reader)
        engine.tell(begin)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __next__(self) -> Update:
        if self._ready:
            return self._ready.pop()
        try:
            return self.get()
        except EOFError:
            raise StopIteration from None

    def get(self, timeout_s: float | None = None) -> Update:
        """Return the next update. Raises TimeoutError, EOFError at the end, and HubError."""
        while not self._ready:
            self._ready = self._engine.take(self._reader, timeout_s)
            self._ready.reverse()
        return self._ready.pop()

    def __del__(self) -> None:
        self._abandon()

    def _abandon(self) -> None:
        """Let the library forget this iteration. Take no lock: any thread may call it at any
        moment."""
        self._reader.abandon()

    def close(self) -> None:
        self._engine.tell(self._end)
        self._engine.news()
