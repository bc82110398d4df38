"""Standard input and output of a process: sockets.

A pipe can be opened once more through /proc/PID/fd by every process of the same user, such as a
command that an agent runs: it could write a `result`, or a prompt, in the CLI's name. A socket
cannot be opened that way (ENXIO). Both versions of the CLI work with sockets. Standard error stays
a pipe: it decides nothing, and scripts open /dev/stderr.
"""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Streams:
    """Our ends, each for one direction, and those of the process, which are closed once it has
    them."""

    input: socket.socket
    output: socket.socket
    inner_input: socket.socket
    inner_output: socket.socket


@contextmanager
def made_for_a_process() -> Iterator[Streams]:
    """Yield the streams to start a process with; if that fails, they are closed. Raises OSError."""
    with ExitStack() as ours, ExitStack() as inner:
        ends = []
        for unused in (socket.SHUT_RD, socket.SHUT_WR):
            our_end, inner_end = socket.socketpair()
            ours.enter_context(our_end)
            inner.enter_context(inner_end)
            our_end.shutdown(unused)
            ends.append((our_end, inner_end))
        (to_input, inner_input), (from_output, inner_output) = ends
        yield Streams(to_input, from_output, inner_input, inner_output)
        ours.pop_all()
