"""A terminal, seen from the outside: what a person types, and what is to be read."""

import json
import os
import select
import signal
import subprocess
import sys
import termios
import threading
from contextlib import suppress
from typing import Any

from claudehub.client.updates import Update
from tests.harness import ROOT, TIMEOUT_S


class Terminal:
    """Run asking_program on a terminal of its own."""

    def __init__(self) -> None:
        self._master, self._slave = os.openpty()
        termios.tcsetwinsize(self._slave, (24, 80))
        self.settings = termios.tcgetattr(self._slave)
        self._shown = ""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.asking_program", os.ttyname(self._slave)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        with suppress(BrokenPipeError), self._process:
            pass
        os.close(self._master)
        os.close(self._slave)

    def send(self, *updates: Update) -> None:
        for update in updates:
            self.tell(**update.raw)

    def tell(self, **fields: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(fields) + "\n")
        self._process.stdin.flush()

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def until(self, wanted: str) -> str:
        """Read until the text appears; return what has been read since the last time, to there."""
        while wanted not in self._shown:
            ready, _, _ = select.select([self._master], [], [], TIMEOUT_S)
            assert ready, f"{wanted!r} does not appear in {self._shown!r}"
            self._shown += os.read(self._master, 65536).decode()
        before, _, self._shown = self._shown.partition(wanted)
        return before + wanted

    def request(self) -> dict[str, Any]:
        """Return the next request to the hub."""
        assert self._process.stdout is not None
        guard = threading.Timer(TIMEOUT_S, self._process.kill)
        guard.start()
        line = self._process.stdout.readline()
        guard.cancel()
        assert line, f"nothing is asked of the hub; on the screen is {self._shown!r}"
        asked: dict[str, Any] = json.loads(line)
        return {name: value for name, value in asked.items() if value not in (None, False)}

    def end(self) -> int:
        """Let the updates end; return the exit code."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        return self.exit_code()

    def exit_code(self) -> int:
        return self._process.wait(TIMEOUT_S)

    def stop(self) -> None:
        """Type Ctrl-Z, and wait until the program has stopped."""
        self.type("\x1a")
        _, status = os.waitpid(self._process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    @property
    def is_as_before(self) -> bool:
        """Return whether the terminal has its old settings."""
        return termios.tcgetattr(self._slave) == self.settings
