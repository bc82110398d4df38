"""Updates on their way: gathered, appended as one batch, and only then turned into frames.

A plain class of the Project. An event is encoded once: the bytes that the log stores are the bytes
of every frame.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from actors.ports import Broadcast
from protocol import codec
from protocol.deflation import Deflation
from protocol.frames import text_frame
from protocol.updates import Data, UpdateType
from storage.message_log import MessageLog


@dataclass(slots=True)  # not frozen, which costs more than the rest of an entry
class _Entry:
    """One update. `on_refused`: it may be given up where the log cannot be written, and whatever
    is `about` the same execution with it."""

    body: bytes
    is_logged: bool
    is_kept: bool
    is_final: bool = False
    on_stored: Callable[[], None] | None = None
    on_refused: Callable[[], None] | None = None
    about: str | None = None


@dataclass(slots=True)
class _Batch:
    """What one write stored, with what goes out between. `last_seq`: None where nothing was."""

    timestamp: str
    entries: tuple[_Entry, ...]
    lines: tuple[bytes, ...]
    last_seq: int | None


class Journal:
    """Order is kept between what is logged and what is not."""

    def __init__(self, project_id: str) -> None:
        self._project_id = project_id
        self._pending: list[_Entry] = []
        self._has_records = self._may_be_refused = False
        self._written: deque[_Batch] = deque()
        self.deflation = Deflation()

    @property
    def has_pending(self) -> bool:
        return bool(self._pending)

    @property
    def has_pending_records(self) -> bool:
        """Whether something waits that the log must take."""
        return self._has_records

    def log(
        self,
        update_type: UpdateType,
        data: Data | bytes,
        *,
        execution_id: str | None = None,
        on_stored: Callable[[], None] | None = None,
        on_refused: Callable[[], None] | None = None,
        about: str | None = None,
    ) -> None:
        """An update that gets a number. One of the callbacks comes in a later turn."""
        body = self._body(update_type, data, execution_id)
        self._has_records = True
        self._may_be_refused = self._may_be_refused or on_refused is not None
        self._pending.append(_Entry(body, True, True, False, on_stored, on_refused, about))

    def announce(
        self,
        update_type: UpdateType,
        data: Data | bytes,
        *,
        execution_id: str | None = None,
        is_kept: bool = False,
    ) -> None:
        """An update that is not stored; one that is not `is_kept` may be dropped."""
        body = self._body(update_type, data, execution_id)
        self._pending.append(_Entry(body, is_logged=False, is_kept=is_kept))

    def at_once(
        self,
        update_type: UpdateType,
        data: Data,
        *,
        timestamp: str,
        log_id: str,
        is_final: bool = False,
    ) -> Broadcast:
        """An update that does not wait behind records which the log does not take."""
        body = self._body(update_type, data, None)
        entry = _Entry(body, is_logged=False, is_kept=True, is_final=is_final)
        return _broadcast(_Batch(timestamp, (entry,), (), None), log_id, None)

    def _body(self, update_type: UpdateType, data: Data | bytes, execution_id: str | None) -> bytes:
        encoded = data if isinstance(data, bytes) else codec.dumps(data)
        return codec.update_body(self._project_id, update_type, encoded, execution_id)

    def write(self, log: MessageLog, timestamp: str) -> int:
        """Appends what is pending as one batch; up to which number the log is durable then.

        Raises StorageError, and then everything is still pending.
        """
        entries = tuple(self._pending)
        bodies = [entry.body for entry in entries if entry.is_logged]
        # A prompt is flushed under LOG_SYNC=interval too, before it is acknowledged.
        acknowledged = self._may_be_refused
        lines: list[bytes] = []
        if bodies:
            lines = log.append_many(bodies, timestamp, must_sync=acknowledged)
        last_seq = log.bounds().last_seq
        self._written.append(_Batch(timestamp, entries, tuple(lines), last_seq if lines else None))
        self._pending.clear()
        self._may_be_refused = False
        self._has_records = False
        return last_seq

    def refuse_pending(self) -> None:
        """Gives up what may be given up, and says so; the rest waits for the next write."""
        refused = [entry for entry in self._pending if entry.on_refused is not None]
        about = {entry.about for entry in refused if entry.about is not None}
        self._pending = [
            entry
            for entry in self._pending
            if entry.on_refused is None and entry.about not in about
        ]
        self._may_be_refused = False
        self._has_records = any(entry.is_logged for entry in self._pending)
        for entry in refused:
            assert entry.on_refused is not None
            entry.on_refused()

    def release(
        self, log_id: str, upto: int, *, framed: bool
    ) -> list[tuple[Broadcast | None, list[Callable[[], None]]]]:
        """The batches that are durable up to a number: who is to be told, and what is to be sent
        (None where nobody listens, so that nothing is framed for nobody)."""
        released = []
        while self._written and (self._written[0].last_seq or 0) <= upto:
            batch = self._written.popleft()
            stored = [entry.on_stored for entry in batch.entries if entry.on_stored is not None]
            shown = _broadcast(batch, log_id, self.deflation) if framed else None
            released.append((shown, stored))
        return released


def _broadcast(batch: _Batch, log_id: str, deflation: Deflation | None) -> Broadcast:
    pieces: list[bytes] = []
    kept: list[bytes] = []
    lines = iter(batch.lines)
    for entry in batch.entries:
        if entry.is_logged:
            frame = codec.update_frame(next(lines))
        else:
            frame = text_frame(codec.ephemeral_message(batch.timestamp, entry.body))
        pieces.append(frame)
        if entry.is_kept:
            kept.append(frame)
    frames = b"".join(pieces)
    all_kept = len(kept) == len(pieces)
    return Broadcast(
        log_id=log_id,
        lines=batch.lines,
        last_seq=batch.last_seq,
        frames=frames,
        kept_frames=frames if all_kept else b"".join(kept),
        pieces=pieces,
        kept_pieces=pieces if all_kept else kept,
        deflation=deflation,
        final=any(entry.is_final for entry in batch.entries),
    )
