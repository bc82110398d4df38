"""The text of a configuration file. It is read in a bounded time, whatever lies there."""

import codecs
import errno
import os
import select
import stat
from pathlib import Path

from actors.runtime.clock import SystemClock
from storage.named_file import read_bytes, too_large

# It takes seconds to parse a file of this size.
FILE_BYTES_MAX = 256 * 1024
# How long a pipe may take to its end. At SIGHUP nothing else is done meanwhile, not even a stop.
PIPE_S = 5.0
_PIECE_BYTES_MAX = 64 * 1024


def text_of_file(path: Path) -> str:
    """Return what a file has, without a byte order mark. It may be a pipe, as a shell makes one of
    `--config <(generate)`. Raise OSError, and ValueError if it is no UTF-8."""
    is_pipe = stat.S_ISFIFO(os.stat(path).st_mode)
    content = _from_pipe(path) if is_pipe else read_bytes(path, FILE_BYTES_MAX)
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError("is UTF-16; save it as UTF-8")
    return content.decode("utf-8-sig")


def _from_pipe(path: Path) -> bytes:
    """Return everything until the end of a pipe. A pipe in which nothing is (any more) is no empty
    configuration. Raise OSError."""
    clock = SystemClock()
    deadline_s = clock.monotonic() + PIPE_S
    content = bytearray()
    # Non-blocking: opening a pipe would wait until somebody writes into it.
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        while (left_s := deadline_s - clock.monotonic()) > 0:
            try:
                piece = os.read(fd, _PIECE_BYTES_MAX)
            except BlockingIOError:
                select.select([fd], [], [], left_s)
                continue
            content += piece
            if len(content) > FILE_BYTES_MAX:
                raise too_large(path, FILE_BYTES_MAX)
            if piece:
                continue
            if not content:
                raise OSError(errno.ENODATA, "is a pipe in which nothing is", str(path))
            return bytes(content)
    finally:
        os.close(fd)
    raise TimeoutError(errno.ETIMEDOUT, f"is a pipe without an end in {PIPE_S:g} s", str(path))
