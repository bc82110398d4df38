"""Compressed frames for the subscribers of one project, made once for all of them (RFC 7692).

All subscribers get the same updates in the same order, so one compressor with context serves them
all. A subscriber that comes later has not seen what the compressor refers to; the compressor starts
again for it with the next batch. Projects never share a compressor: the length of compressed text
gives secrets away that stand beside text of somebody else's choice.

The feed of a project owns these objects and uses them in the project's thread, while it offers a
batch.
"""

import zlib
from collections.abc import Sequence

from protocol.frames import deflated_frames, text_frame
from protocol.inflater import WINDOW_BITS, Inflater

# Level 1 takes 51 us for 4 KiB; level 6 takes 328 us for a seventh less. Memory level 5 takes
# 64 KiB of window and 80 KiB of tables for each project.
LEVEL = 1
MEMORY_LEVEL = 5
# Without context, compressing a shorter message gains next to nothing.
ALONE_BYTES_MIN = 200


class DeflateStream:
    """The stream for subscribers that get one selection of updates: all, or those that are kept."""

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
        """Return the frames of a batch of messages, compressed for a peer.

        None: the peer's window does not follow this stream, so it gets this batch uncompressed. It
        follows from the next batch on.
        """
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
            compressor = self._compressor
            self._in_context = deflated_frames([_deflated(compressor, text) for text in batch])
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

    def _frames_alone(self, window_bits: int) -> bytes:
        """Return the batch for peers whose messages must each stand alone."""
        frames = self._alone.get(window_bits)
        if frames is None:
            frames = b"".join([self._frame_alone(text, window_bits) for text in self._batch])
            self._alone[window_bits] = frames
        return frames

    def _frame_alone(self, message: bytes, window_bits: int) -> bytes:
        if len(message) < self._alone_bytes_min:
            return text_frame(message)
        return deflated_frames([_deflated(_compressor(window_bits), message)])


class Deflation:
    """The streams of one project. A stream begins when the first subscriber asks for it."""

    def __init__(self) -> None:
        self._streams: dict[bool, DeflateStream] = {}

    def frames(
        self, batch: Sequence[bytes], inflater: Inflater, *, with_ephemeral: bool
    ) -> bytes | None:
        """See DeflateStream.frames. `with_ephemeral`: the batch has what may be dropped."""
        stream = self._streams.get(with_ephemeral)
        if stream is None:
            stream = self._streams[with_ephemeral] = DeflateStream()
        return stream.frames(batch, inflater)


def _compressor(window_bits: int) -> "zlib._Compress":
    return zlib.compressobj(LEVEL, zlib.DEFLATED, -window_bits, MEMORY_LEVEL)


def _deflated(compressor: "zlib._Compress", message: bytes) -> bytes:
    """Return a message compressed, without the end of the sync flush (RFC 7692, section 7.2.1)."""
    return (compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
