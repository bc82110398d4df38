"""A process beside the server with one task: when the server dies, it ends the agents.

The end of a pipe tells it, which the kernel closes however the server dies, also after `kill -9`.
This needs no thread of ours between fork and exec, as PR_SET_PDEATHSIG would, reaches
grandchildren, and works on every Unix. The next start ends what the guardian misses.
"""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

from actors.process_tree import children, ends
from actors.runtime.helper_environment import helper_environment
from actors.runtime.logger import get_logger

logger = get_logger("claudehub.executor")

STOP_TIMEOUT_S = 2.0
_SCRIPT = "import sys; from actors.process_tree.guardian import guard; guard(sys.argv[1])"


class Guardian:
    """The constructor starts it, and raises OSError. `stop` says that all is in order.

    `prefix` is that of the marks of this run of the server: the next run may have begun. Nothing is
    ever read from `ended` but its end, which comes when the guardian has died.
    """

    def __init__(self, prefix: str) -> None:
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        self._popen = children.start(
            [sys.executable, "-P", "-c", _SCRIPT, prefix],
            env=helper_environment(path),
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

        assert self._popen.stdout is not None
        self.ended = self._popen.stdout

    @property
    def pid(self) -> int:
        return self._popen.pid

    def bury(self) -> int:
        """Reap a guardian that has died, and return its exit status: below 0 it is a signal's
        number. A last word could not be written to it."""
        self._popen.kill()  # its pipe may be closed a moment before it has ended
        status = self._popen.wait()
        self.ended.close()
        with contextlib.suppress(OSError):
            assert self._popen.stdin is not None
            self._popen.stdin.close()
        return status

    def stop(self) -> None:
        """End the guardian: the agents are gone, so there is nothing to guard."""
        assert self._popen.stdin is not None
        try:
            self._popen.stdin.write(b".")
            self._popen.stdin.close()
            self._popen.wait(STOP_TIMEOUT_S)
        except (OSError, subprocess.TimeoutExpired) as error:
            logger.error("the guardian did not stop cleanly", error=error)
            self._popen.kill()
            self._popen.wait()
        finally:
            self.ended.close()


def guard(prefix: str) -> None:
    """Wait for a word, or for the end of the pipe: the guardian's own main function."""
    if not sys.stdin.buffer.read(1):
        ends.end_strays(prefix)
