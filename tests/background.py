"""A command in the background whose output is read as it comes."""

import threading
from collections.abc import Callable
from pathlib import Path


class Background:
    """Reads a pipe until its end. `group` is the process group of the command."""

    def __init__(self, pipe: Path, group: int) -> None:
        self.group = group
        self._output = ""
        self._is_over = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, args=[pipe], daemon=True)
        self._thread.start()

    def wait_for(self, holds: Callable[[str], bool], timeout_s: float) -> str:
        """Return the output when `holds` is true of it. Raises AssertionError with the output if
        the command has ended before, or the time has."""
        with self._changed:
            self._changed.wait_for(lambda: holds(self._output) or self._is_over, timeout_s)
            assert holds(self._output), self._output
            return self._output

    def wait(self, timeout_s: float) -> str:
        """Return the whole output when the command has ended. Raises AssertionError."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._is_over, timeout_s), self._output
            return self._output

    def _read(self, pipe: Path) -> None:
        with pipe.open() as stream:
            for line in stream:
                with self._changed:
                    self._output += line
                    self._changed.notify_all()
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
