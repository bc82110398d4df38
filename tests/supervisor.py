"""A small service manager: it starts a hub, hears its sd_notify messages, and starts it again when
it fails."""

import os
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import simplejson

from tests.harness import TIMEOUT_S
from tests.notify_socket import NotifySocket

RESTARTS_MAX = 3


class Supervisor:
    """A run that ends with another exit code than 0 is followed by the next, at most RESTARTS_MAX
    times. `codes` are the exit codes so far."""

    def __init__(self, command: Sequence[str], environment: dict[str, str], folder: Path) -> None:
        self._command = command
        self._socket = NotifySocket(str(folder / "notify"))
        self._environment = {**environment, "NOTIFY_SOCKET": self._socket.address}
        self.errors = folder / "stderr"
        self.output = folder / "stdout"
        self.codes: list[int] = []
        self._is_stopping = False
        self._process = self._started()
        self._thread = threading.Thread(target=self._supervise)
        self._thread.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def _started(self) -> "subprocess.Popen[bytes]":
        with self.errors.open("ab") as errors, self.output.open("ab") as output:
            return subprocess.Popen(
                self._command, env=self._environment, stdout=output, stderr=errors, cwd="/"
            )

    def _supervise(self) -> None:
        while True:
            code = self._process.wait()
            self.codes.append(code)
            if code == 0 or self._is_stopping or len(self.codes) > RESTARTS_MAX:
                return
            self._process = self._started()

    def until(self, line: str) -> list[list[str]]:
        """Wait for a message with that line; return all up to it."""
        try:
            return self._socket.until(line)
        except TimeoutError:
            raise AssertionError(f"no {line}: {self.errors.read_text()}") from None

    def signal(self, number: int) -> None:
        os.kill(self._process.pid, number)

    def ended(self) -> int:
        """Wait until the hub has ended for good; return its exit code."""
        self._thread.join(TIMEOUT_S)
        assert not self._thread.is_alive(), self.errors.read_text()
        return self.codes[-1]

    def close(self) -> None:
        """End the hub, whatever it does."""
        self._is_stopping = True
        if self._process.poll() is None:
            self._process.kill()
        self._thread.join(TIMEOUT_S)
        self._socket.socket.close()

    def log(self) -> list[dict[str, Any]]:
        """Return what it has logged so far (LOG_FORMAT=json)."""
        lines = self.errors.read_text().splitlines()
        return [simplejson.loads(line) for line in lines if line.startswith("{")]

    def events(self) -> list[str]:
        return [line["event"] for line in self.log()]
