"""Read what a program prints that has little to say: `--version`, or why it cannot start."""

import os
import select
import subprocess

from actors.config.secrets import without_secrets
from actors.runtime.clock import SystemClock

OUTPUT_BYTES_MAX = 64 * 1024
# What people are shown of it.
SHOWN_CHARS_MAX = 300
_SEARCHED_BYTES = 4096
_PIECE_BYTES = 16 * 1024
_clock = SystemClock()


class OutputTooLong(subprocess.SubprocessError):
    """It has printed more than OUTPUT_BYTES_MAX."""

    def __str__(self) -> str:
        return f"it prints more than {OUTPUT_BYTES_MAX >> 10} KiB"


def read_short_output(process: "subprocess.Popen[bytes]", timeout_s: float) -> tuple[bytes, bytes]:
    """Read the pipes of a process until they end, and wait for its end. Return standard output, and
    the last OUTPUT_BYTES_MAX of standard error. The caller ends the process.

    Raises OutputTooLong, TimeoutExpired and OSError.
    """
    deadline_s = _clock.monotonic() + timeout_s
    # Programs write what they like to standard error, so more of it is only dropped.
    pipes = {pipe.fileno(): pipe for pipe in (process.stdout, process.stderr) if pipe is not None}
    read = dict.fromkeys(pipes, b"")
    poll = select.poll()
    for fd in pipes:
        poll.register(fd, select.POLLIN)
    open_fds = set(pipes)
    while open_fds:
        if (left_s := deadline_s - _clock.monotonic()) <= 0:
            raise subprocess.TimeoutExpired(process.args, timeout_s)
        for fd, _ in poll.poll(left_s * 1000):
            piece = os.read(fd, _PIECE_BYTES)
            if not piece:
                poll.unregister(fd)
                open_fds.discard(fd)
            read[fd] += piece
            if len(read[fd]) > OUTPUT_BYTES_MAX:
                if pipes[fd] is process.stdout:
                    raise OutputTooLong
                read[fd] = read[fd][-OUTPUT_BYTES_MAX:]
    process.wait(max(0.0, deadline_s - _clock.monotonic()))
    said, errors = (
        b"" if pipe is None else read[pipe.fileno()] for pipe in (process.stdout, process.stderr)
    )
    return said, errors


def end_of(errors: bytes) -> str:
    """Return what stands last on standard error, without what looks like a secret: a part of one
    could not be recognised, so it is cut afterwards."""
    text = errors[-_SEARCHED_BYTES:].decode("utf-8", errors="replace").strip()
    return without_secrets(text)[-SHOWN_CHARS_MAX:]
