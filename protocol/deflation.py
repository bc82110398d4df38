"""Compressed frames for the subscribers of one project, made once for all (RFC 7692).

All of them get the same updates in the same order, so one compressor with context serves them all.
Someone who comes later has not seen what it refers to: for them it is begun afresh, with the next
batch. Never across projects: secrets beside text of somebody else's choice leak by length.

A class of the Project; used only in its thread, while a batch is offered.
"""

import zlib
from collections.abc import Sequence

from protocol import frames
from protocol.inflater import WINDOW_BITS, Inflater

# Level 1: 51 us for 4 KiB, where level 6 takes 328 for a seventh less; memory level 5: 64 KiB of
# window and 80 KiB of tables a project.
LEVEL = 1
MEMORY_LEVEL = 5
# Without context a shorter message gains next to nothing.
ALONE_BYTES_MIN = 200


class DeflateStream:
    """For the subscribers that get one selection of a project's updates: all, or what is kept."""

    def __init__(self, alone_bytes_min: int = ALONE_BYTES_MIN) -> None:
        self._alone_bytes_min = alone_bytes_min
        self._compressor = _compressor(WINDOW_BITS)
        self._context: object | None = None
        self._restart = True
        self._batch: Sequence[bytes] = ()
        self._is_first = False
        self._in_context: bytes | None = None
        self._alone: dict[int, bytes] = {}  # by window bits

    def frames(self, batch: Sequence[bytes], inflater: Inflater) -> bytes | None:
        """The batch's frames compressed for a peer; None where it gets them as they are, since its
        window does not follow this stream. From the next batch on it will."""
        if batch is not self._batch:
            self._begin(batch)
        if not inflater.shares_context:
            return self._frames_alone(inflater.window_bits)
        if inflater.context is not self._context:
            if not self._is_first:
                self._restart = True
                return None
            inflater.context = self._context
        if self._in_context is None:
            self._in_context = b"".join(self._compress(frame) for frame in batch)
        return self._in_context

    def _begin(self, batch: Sequence[bytes]) -> None:
        self._batch = batch
        self._in_context = None
        self._alone.clear()
        self._is_first = self._restart
        if self._restart:
            self._restart = False
            self._compressor = _compressor(WINDOW_BITS)
            self._context = object()

    def _compress(self, frame: bytes) -> bytes:
        return _deflated(self._compressor, frame)

    def _frames_alone(self, window_bits: int) -> bytes:
        frames = self._alone.get(window_bits)
        if frames is None:
            frames = b"".join(
                frame
                if len(frame) < self._alone_bytes_min
                else _deflated(_compressor(window_bits), frame)
                for frame in self._batch
            )
            self._alone[window_bits] = frames
        return frames


class Deflation:
    """Streams begin when somebody asks, and end when nobody is left."""

    def __init__(self) -> None:
        self._streams: dict[bool, DeflateStream] = {}

    def frames(
        self, batch: Sequence[bytes], inflater: Inflater, *, with_ephemeral: bool
    ) -> bytes | None:
        """See DeflateStream.frames."""
        stream = self._streams.get(with_ephemeral)
        if stream is None:
            stream = self._streams[with_ephemeral] = DeflateStream()
        return stream.frames(batch, inflater)

    def forget(self) -> None:
        """Nobody is left."""
        self._streams.clear()


def _compressor(window_bits: int) -> "zlib._Compress":
    return zlib.compressobj(LEVEL, zlib.DEFLATED, -window_bits, MEMORY_LEVEL)


def _deflated(compressor: "zlib._Compress", frame: bytes) -> bytes:
    """Section 7.2.1: what a sync flush ends with is left out."""
    message = frames.message_of(frame)
    data = compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return frames.deflated_frame(data[:-4])
