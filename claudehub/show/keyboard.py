"""The keyboard of a terminal: key by key, and without what was typed before a question."""

import os
import termios
import tty
from typing import Any

_READ_BYTES = 4096


class Keyboard:
    """A terminal that is read. Between `start` and `stop` it passes on each key at once and shows
    none; Ctrl-C and Ctrl-Z work as ever."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._before: list[Any] | None = None

    def fileno(self) -> int:
        return self._fd

    @property
    def is_ours(self) -> bool:
        """Return whether this process may read it. One in the background would be stopped."""
        try:
            return os.isatty(self._fd) and os.tcgetpgrp(self._fd) == os.getpgrp()
        except OSError:
            return False

    def start(self) -> None:
        """Begin, and drop what was typed so far. Raises termios.error if the terminal is gone."""
        if self._before is None:
            self._before = termios.tcgetattr(self._fd)
        tty.setcbreak(self._fd, termios.TCSAFLUSH)

    def flush(self) -> None:
        """Drop what was typed so far."""
        termios.tcflush(self._fd, termios.TCIFLUSH)

    def read(self) -> bytes:
        """Return what was typed, or nothing if the terminal is gone."""
        try:
            return os.read(self._fd, _READ_BYTES)
        except OSError:
            return b""

    def stop(self) -> None:
        """Put the terminal back as it was."""
        before, self._before = self._before, None
        if before is not None and self.is_ours:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, before)


def keyboard_of(fd: int) -> Keyboard | None:
    """Return the keyboard, or None if it is no terminal."""
    return Keyboard(fd) if os.isatty(fd) else None
