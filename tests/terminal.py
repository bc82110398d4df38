"""A terminal of 80 columns and 24 lines (tmux) in which a program runs, driven by keys."""

import os
import select
import shlex
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil

WAIT_S = 30.0


class Terminal:
    """One program in a tmux server of its own. Use it as a context manager.

    What the program writes also goes into a pipe: the test looks at the screen again whenever
    something has come, and never sleeps.
    """

    def __init__(
        self, scratch: Path, command: list[str], environment: dict[str, str], size: str = "80x24"
    ) -> None:
        self._socket = str(scratch / "tmux")
        self._pipe_path = scratch / "output"
        self._columns, self._lines = size.split("x")
        # The shell stays when the program ends, so that what it leaves can be seen.
        self._line = f"{shlex.join(command)}; echo ENDED $?; exec cat"
        self._environment = environment

    def __enter__(self) -> "Terminal":
        os.mkfifo(self._pipe_path)
        self._output = os.open(self._pipe_path, os.O_RDONLY | os.O_NONBLOCK)
        size = ("-x", self._columns, "-y", self._lines)
        # The program starts behind the pipe, so that nothing of its output is missed.
        start = f"read go; {self._line}"
        self._tmux("-f", "/dev/null", "new-session", "-d", "-s", "t", *size, "sh", "-c", start)
        self._tmux("pipe-pane", "-t", "t", f"exec cat > {shlex.quote(str(self._pipe_path))}")
        server = psutil.Process(int(self._tmux("display-message", "-p", "#{pid}")))
        self._processes = [server, *server.children(recursive=True)]
        self.keys("Enter")
        return self

    def __exit__(self, *_: object) -> None:
        """End the terminal; no process of it may be left."""
        server = self._processes[0]
        every = {server, *server.children(recursive=True), *self._processes}
        self._tmux("kill-server")
        os.close(self._output)
        _, alive = psutil.wait_procs(every, timeout=WAIT_S)
        assert not alive, alive

    def keys(self, *keys: str) -> None:
        """Press keys by tmux's names of them."""
        self._tmux("send-keys", "-t", "t", *keys)

    def type(self, text: str) -> None:
        self._tmux("send-keys", "-t", "t", "-l", text)

    def screen(self, *options: str) -> str:
        """Return what is on the screen; with `-e` colours too."""
        return self._tmux("capture-pane", "-p", *options, "-t", "t")

    def wait_for(self, *texts: str) -> str:
        """Wait until all of the texts are on the screen; return it."""
        return self.wait_until(lambda screen: all(text in screen for text in texts))

    def wait_without(self, text: str) -> str:
        return self.wait_until(lambda screen: text not in screen)

    def wait_until(self, is_right: Callable[[str], bool]) -> str:
        """Wait until the screen is right, and return it."""
        deadline = time.monotonic() + WAIT_S
        while not is_right(screen := self.screen()):
            left_s = deadline - time.monotonic()
            assert left_s > 0, f"it never came; the screen:\n{screen}"
            ready, _, _ = select.select([self._output], [], [], min(left_s, 1.0))
            if ready:
                os.read(self._output, 1 << 20)
        return screen

    def program(self) -> psutil.Process:
        """Return the program that runs in the terminal."""
        shell = psutil.Process(int(self._tmux("display-message", "-p", "-t", "t", "#{pane_pid}")))
        return shell.children()[0]

    def _tmux(self, *arguments: str) -> str:
        done = subprocess.run(
            ["tmux", "-S", self._socket, *arguments],
            env=self._environment,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout
