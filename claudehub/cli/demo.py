"""`claudehub demo`: the whole job with a stand-in for the agent.

The demo starts a server on a free port with a data folder of its own. Two clients join over
sockets, and one prompt streams to both. Then the demo kills the server with SIGKILL, starts it
again, reads the history back and compares it number by number.
"""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

import claudehub
from claudehub.cli import standin_agent
from claudehub.show.screen import screen_of
from claudehub.show.transcript import Transcript

PROMPT = "Say hello, and tell me what I am looking at."
START_TIMEOUT_S = 30.0
RUN_TIMEOUT_S = 280.0
STOP_TIMEOUT_S = 20.0
EXIT_DIFFERS = 1

Update = claudehub.Update


class DemoFailed(Exception):
    """Something was not as the demo promises; the text says what."""


class Server:
    """A `claudehub serve` that the demo started."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own words
            [sys.executable, str(Path(__file__).parents[1] / "__main__.py"), "serve"],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.url = self._wait_for_url()

    @property
    def pid(self) -> int:
        return self._process.pid

    def _wait_for_url(self) -> str:
        assert self._process.stdout is not None
        timer = threading.Timer(START_TIMEOUT_S, self._process.kill)
        timer.start()
        line = self._process.stdout.readline()
        timer.cancel()
        if not line.startswith("listening on "):
            self.stop(signal.SIGKILL)
            raise DemoFailed("the server did not start; its output is above")
        return line.split()[-1]

    def stop(self, number: int) -> int:
        """Send a signal, wait for the end, and return the exit code."""
        self._process.send_signal(number)
        try:
            return self._process.wait(STOP_TIMEOUT_S)
        finally:
            self._process.kill()
            self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()


class Watcher:
    """A client that has joined, and whose thread keeps every stored update."""

    def __init__(self, url: str, project_id: str) -> None:
        self._hub = claudehub.connect(url)
        self._updates = self._hub.project(project_id).follow(ephemeral=False)
        self.updates: list[Update] = []
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        for update in self._updates:
            if update.seq is not None:
                self.updates.append(update)
            if isinstance(update, claudehub.ExecutionFinished):
                return

    def wait(self) -> None:
        self._thread.join(RUN_TIMEOUT_S)
        self._hub.close()


def run_demo(*, use_claude: bool) -> int:
    """Run the demo and return the exit code: 0 if everything was as promised."""
    with tempfile.TemporaryDirectory(prefix="claudehub-demo-") as scratch:
        try:
            _show(Path(scratch).resolve(), use_claude)
        except (DemoFailed, claudehub.HubError, TimeoutError) as error:
            click.echo(f"\nclaudehub demo: FAILED: {error}", err=True)
            return EXIT_DIFFERS
    return 0


def _show(scratch: Path, use_claude: bool) -> None:
    folder = scratch / "hello-project"
    folder.mkdir()
    environment = _environment(scratch, use_claude)
    agent = "the real CLI" if use_claude else "a stand-in agent (a script, no model behind it)"
    _say(f"1. A hub starts on a free port. Its agent is {agent}.")
    with _running(environment) as server:
        _say(f"   {server.url}, pid {server.pid}, data in {scratch / 'data'}")
        _say("2. Two clients join a project; one of them sends a prompt. What the agent does:\n")
        seen, watched = _stream(server.url, folder)
        _say(f"\n3. Both clients were sent updates 1 to {seen[-1].seq}.")
        _compare("the two clients", seen, watched)
        _say(f"4. kill -9 {server.pid}: no warning, no time to save anything.")
        server.stop(signal.SIGKILL)
    _say("5. The hub starts again on the same data, and is asked for the history.")
    with _running(environment) as server, claudehub.connect(server.url) as hub:
        project = hub.project("demo")
        history = list(project.history())
        _compare("the history and what the clients saw", history, seen)
        _say(f"   All {len(history)} updates are there, compared number by number.")
        project.follow(after=seen[-1].position).close()
        _say(f"6. A client joins again behind {seen[-1].seq}: nothing missing, nothing twice.")
        code = server.stop(signal.SIGTERM)
        if code != 0:
            raise DemoFailed(f"the server ended with exit code {code}")
    _say("7. SIGTERM: everything was closed in order, exit code 0.")
    _say("\nThat was the whole job. With the real CLI: claudehub serve")


def _environment(scratch: Path, use_claude: bool) -> dict[str, str]:
    agent = f"'{sys.executable}' '{standin_agent.__file__}'"
    ours = {
        "WS_PORT": "0",
        "BIND": "127.0.0.1",
        "DATA_DIR": str(scratch / "data"),
        "PROJECT_ROOTS": str(scratch),
        "LOG_LEVEL": "error",
        "MIN_FREE_BYTES": "0",
        "XDG_CONFIG_HOME": str(scratch),  # the user's configuration file is not the demo's
    }
    if not use_claude:
        ours["CLAUDE_CMD"] = agent
    return {**os.environ, **ours}


@contextmanager
def _running(environment: dict[str, str]) -> Iterator[Server]:
    server = Server(environment)
    try:
        yield server
    finally:
        server.stop(signal.SIGKILL)


def _stream(url: str, folder: Path) -> tuple[list[Update], list[Update]]:
    """Return the numbered updates that each of the two clients got."""
    with claudehub.connect(url) as hub:
        project = hub.create(folder, project_id="demo")
        watcher = Watcher(url, project.id)
        execution = project.execute(PROMPT)
        transcript = Transcript(screen_of(sys.stdout))
        seen = []
        for update in execution:
            transcript.show(update)
            if update.seq is not None:
                seen.append(update)
        watcher.wait()
    if execution.outcome != "success":
        raise DemoFailed(f"the execution ended as {execution.outcome}")
    return seen, watcher.updates


def _compare(what: str, one: list[Update], other: list[Update]) -> None:
    """Raise DemoFailed at the first difference, or if the numbers are not 1, 2, 3 …"""
    for number, (left, right) in enumerate(zip(one, other, strict=False), start=1):
        if left.raw != right.raw or left.seq != number:
            raise DemoFailed(f"{what} differ at update {number}: {left.raw} / {right.raw}")
    if len(one) != len(other):
        raise DemoFailed(f"{what} differ: {len(one)} and {len(other)} updates")


def _say(text: str) -> None:
    click.secho(text, bold=True)
