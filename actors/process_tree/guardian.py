"""A process beside the server that does one thing: when the server dies, it ends the agents.

It is told by the end of a pipe, which the kernel closes however the server dies, `kill -9`
included. That needs no thread of ours between fork and exec, as PR_SET_PDEATHSIG would, reaches
grandchildren, and works on every Unix. Whatever it misses is ended at the next start.
"""

import logging
import os
import subprocess
import sys
from pathlib import Path

from actors.process_tree import tree

logger = logging.getLogger("claudehub.executor")

STRAYS_TIMEOUT_S = 5.0
STOP_TIMEOUT_S = 2.0
_SCRIPT = "import sys; from actors.process_tree.guardian import guard; guard(sys.argv[1])"


class Guardian:
    """Started by the constructor, which raises OSError. `stop` says that all is in order.

    `prefix` is that of the marks of this run of the server: the next one may be up already.
    """

    def __init__(self, prefix: str) -> None:
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        self._popen = subprocess.Popen(  # noqa: S603 - our own words
            [sys.executable, "-P", "-c", _SCRIPT, prefix],
            env={**os.environ, "PYTHONPATH": path},
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def stop(self) -> None:
        """The agents are gone: there is nothing to be guarded any more."""
        assert self._popen.stdin is not None
        try:
            self._popen.stdin.write(b".")
            self._popen.stdin.close()
            self._popen.wait(STOP_TIMEOUT_S)
        except (OSError, subprocess.TimeoutExpired) as error:
            logger.error("the guardian did not end in order: %s", error)
            self._popen.kill()
            self._popen.wait()


def guard(prefix: str) -> None:
    """The guardian's own main: waits for a word, or for the end of the pipe."""
    if not sys.stdin.buffer.read(1):
        tree.end_strays(prefix, STRAYS_TIMEOUT_S)
