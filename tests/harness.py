"""A hub as a process, and a client on a stock WebSocket library, for tests over real sockets."""

import contextlib
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch

import psutil
from click.testing import CliRunner
from websockets.sync.client import ClientConnection, connect, unix_connect

from actors.server import main as server_main
from claudehub.cli.main import main
from tests.processes import marked

ROOT = Path(__file__).resolve().parent.parent
MOCK = Path(__file__).with_name("mock_claude.py")
TIMEOUT_S = 20.0


@dataclass(frozen=True)
class TlsFiles:
    """A certificate for localhost and 127.0.0.1, its key, and who signed it."""

    certificate: Path
    key: Path
    authority: Path

    def trusting(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.authority)


class HubProcess:
    """`claudehub serve` with the mock CLI; `url` once it listens. With `tls` it speaks wss."""

    running: ClassVar[set["HubProcess"]] = set()
    wait_s: ClassVar[float] = TIMEOUT_S  # for its start, and for its end
    is_shared = False

    def __init__(self, scratch: Path, tls: TlsFiles | None = None, **settings: str) -> None:
        self.scratch = scratch
        self.tls = tls
        if tls is not None:
            settings = {"TLS_CERT": str(tls.certificate), "TLS_KEY": str(tls.key), **settings}
        self.roots = scratch / "roots"
        self.data = scratch / "data"
        self.roots.mkdir(exist_ok=True)
        self._settings = settings
        self._process: subprocess.Popen[str] | None = None
        self.errors = scratch / "stderr"

    def start(self, **settings: str) -> "HubProcess":
        with open(self.errors, "a") as errors:
            self._process = subprocess.Popen(
                self.command(),
                env=self.environment(**settings),
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self.running.add(self)
        self.line = self._read_line()
        self.url = self.line.split()[-1]
        return self

    def command(self) -> list[str]:
        return [sys.executable, str(ROOT / "claudehub" / "__main__.py"), "serve"]

    def environment(self, **settings: str) -> dict[str, str]:
        ours = {
            "WS_PORT": "0",
            "DATA_DIR": str(self.data),
            "PROJECT_ROOTS": str(self.roots),
            "CLAUDE_CMD": f"{sys.executable} {MOCK}",
            "CLAUDE_MOCK_VERSION": "2.1.197",  # silent behind the end of a turn
            "CLAUDE_MOCK_SESSIONS": str(self.scratch / "sessions"),
            "MIN_FREE_BYTES": "0",
            "KILL_GRACE": "1s",
            "RATE_LIMIT": "100000",
            "XDG_CONFIG_HOME": str(self.scratch),
        }
        kept = {
            k: v
            for k, v in os.environ.items()
            if k == "CLAUDE_TEST_RUN" or not k.startswith(("CLAUDE", "ANTHROPIC"))
        }
        return {**kept, **ours, **self._settings, **settings}

    def refusal(self) -> str:
        """Return what `claudehub serve` prints about settings that it refuses. It runs in this
        process, in less than a second; test_command_line.py starts a real one."""
        environment: dict[str, str | None] = dict.fromkeys(os.environ)
        begins = AssertionError("it takes these settings")
        with patch.object(server_main, "serve", side_effect=begins):
            ended = CliRunner().invoke(main, ["serve"], env={**environment, **self.environment()})
        assert ended.exit_code == 2 and ended.stdout == "", ended
        return ended.stderr

    def _read_line(self) -> str:
        assert self._process is not None and self._process.stdout is not None
        guard = threading.Timer(self.wait_s, self._process.kill)
        guard.start()
        line = self._process.stdout.readline().strip()
        guard.cancel()
        assert line.startswith("listening on "), self.errors.read_text()
        return line

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def guardian(self) -> psutil.Process | None:
        """Return the guardian, if there is one."""
        for child in psutil.Process(self.pid).children():
            with contextlib.suppress(psutil.Error):
                if "guardian" in " ".join(child.cmdline()):
                    return child
        return None

    def kill_with_guardian(self) -> None:
        """Kill both, so that agents survive. The server is stopped first: it would start another
        guardian."""
        guardian = self.guardian()
        assert guardian is not None
        os.kill(self.pid, signal.SIGSTOP)
        guardian.kill()
        self.stop(signal.SIGKILL)

    def folder(self, name: str) -> str:
        path = self.roots / name
        path.mkdir(parents=True, exist_ok=True)
        return str(path)

    def client(self, **options: Any) -> "WireClient":
        if self.tls is not None:
            options.setdefault("ssl", self.tls.trusting())
        return WireClient(self.url, **options)

    def wait(self) -> int:
        """Wait until the server ends by itself; return its exit code."""
        assert self._process is not None
        self._process.wait(self.wait_s)
        return self.stop()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Stop the server and return its exit code; 0 if it had ended before."""
        if self._process is None:
            return 0
        process, self._process = self._process, None
        self.running.discard(self)
        if process.poll() is None:
            process.send_signal(number)
        try:
            return process.wait(self.wait_s)
        finally:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


class SharedHubs:
    """The hubs that a module's tests share: one for each set of settings.

    It replaces a hub that has died, or that a failed test has used, so that the tests after it do
    not fail too.
    """

    _opened: ClassVar[set["SharedHubs"]] = set()

    def __init__(self, new_folder: Callable[[], Path]) -> None:
        self._new_folder = new_folder
        self._hubs: dict[object, HubProcess] = {}
        self._doubtful: set[HubProcess] = set()
        self._opened.add(self)

    @classmethod
    def doubt_all(cls) -> None:
        """After a failure: nobody knows what it has left in them."""
        for shared in cls._opened:
            shared._doubtful |= set(shared._hubs.values())

    def get(self, tls: TlsFiles | None = None, **settings: str) -> HubProcess:
        key = (tls, *sorted(settings.items()))
        hub = self._hubs.get(key)
        if hub is not None and hub.is_running() and hub not in self._doubtful:
            return hub
        if hub is not None:
            self._end(hub)
        hub = HubProcess(self._new_folder(), tls, **settings)
        hub.is_shared = True
        self._hubs[key] = hub.start()
        return hub

    def _end(self, hub: HubProcess) -> None:
        """However it ends: the failure has been told."""
        self._doubtful.discard(hub)
        with contextlib.suppress(subprocess.TimeoutExpired):
            hub.stop()

    def close(self) -> None:
        """Each must end in order, have told of no fault of its own, and leave no process."""
        self._opened.discard(self)
        for hub in [hub for hub in self._hubs.values() if hub in self._doubtful]:
            self._end(hub)
        left = [hub for hub in self._hubs.values() if hub.is_running()]
        codes = [hub.stop() for hub in left]
        assert codes == [0] * len(left)
        for hub in left:
            said = hub.errors.read_text()
            assert "Traceback" not in said, said
            assert marked(hub.data) == []


class WireClient:
    """A client that sends requests and gets updates as JSON, without any code of ours."""

    def __init__(self, url: str, **options: Any) -> None:
        if url.startswith("unix:"):
            connection = unix_connect(url[5:], max_size=None, ping_interval=None, **options)
        else:
            connection = connect(url, max_size=None, proxy=None, ping_interval=None, **options)
        self._stack = contextlib.ExitStack()
        self.socket: ClientConnection = self._stack.enter_context(connection)
        self.host = url.rpartition("/")[2]
        self.welcome = self.receive()["payload"]
        self.updates: list[dict[str, Any]] = []
        self._number = 0

    def __enter__(self) -> "WireClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._stack.close()

    def send(self, message: object) -> None:
        self.socket.send(message if isinstance(message, str) else json.dumps(message))

    def receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self.socket.recv(timeout=TIMEOUT_S))
        return message

    def reply(self) -> dict[str, Any]:
        """Return the next message that is no update; keep the updates before it."""
        while (message := self.receive())["type"] == "update":
            self.updates.append(message["payload"])
        return message

    def ask(self, kind: str, **payload: Any) -> dict[str, Any]:
        self._number += 1
        self.send({"type": kind, "id": str(self._number), "payload": payload})
        message = self.reply()
        assert message.get("id") == str(self._number), message
        return message

    def request(self, kind: str, **payload: Any) -> dict[str, Any]:
        message = self.ask(kind, **payload)
        assert message["type"] == "result", message
        result: dict[str, Any] = message["payload"]
        return result

    def refused(self, kind: str, **payload: Any) -> dict[str, Any]:
        message = self.ask(kind, **payload)
        assert message["type"] == "error", message
        error: dict[str, Any] = message["payload"]
        return error

    def wait_for(self, update_type: str, **data: Any) -> dict[str, Any]:
        """Return the next update with that type and data; keep all before it in `updates`."""
        seen = 0
        while True:
            while seen < len(self.updates):
                update = self.updates[seen]
                seen += 1
                if update["update_type"] == update_type and data.items() <= update["data"].items():
                    return update
            message = self.receive()
            assert message["type"] == "update", message
            self.updates.append(message["payload"])

    def take(self) -> list[dict[str, Any]]:
        """Return the updates so far, and forget them."""
        taken, self.updates = self.updates, []
        return taken

    def run(self, project_id: str, prompt: str, **payload: Any) -> dict[str, Any]:
        """Execute a prompt and return the data of its end."""
        answer = self.request("execute", project_id=project_id, prompt=prompt, **payload)
        end = self.wait_for("execution_finished", execution_id=answer["execution_id"])
        data: dict[str, Any] = end["data"]
        return data

    def run_after_join(self, project_id: str, prompt: str) -> dict[str, Any]:
        self.request("project_join", project_id=project_id)
        return self.run(project_id, prompt)
