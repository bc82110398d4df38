"""A day of an operator: from the wheel in a fresh environment to the last stop, under a supervisor.
Run by .ci/day. Each step checks what the programs print."""

import contextlib
import json
import os
import shlex
import signal
import site
import socket
import ssl
import subprocess
import sys
import tarfile
import urllib.request
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from protocol import VERSION
from storage.data_version import DATA_VERSION
from tests.conftest import make_tls_files
from tests.harness import MOCK, ROOT, TIMEOUT_S, WireClient
from tests.make_data_fixture import FOLDER, ROOTS
from tests.processes import marked, wait_until
from tests.supervisor import Supervisor
from tests.test_ssh import keygen, proof, public

COMMAND_MAX_S = 60.0
FIXTURE = sorted(FOLDER.glob("data-v*[0-9].tar.gz"))[-1]


@dataclass
class Day:
    """The place of everything, and the steps. `key` is the one with which commands come in now."""

    folder: Path
    program: Path
    supervisor: Supervisor | None = None

    def __post_init__(self) -> None:
        self.home = self.folder / "home"
        self.home.mkdir()
        self.data = self.folder / "data"
        self.roots = self.folder / "src"
        (self.roots / "site").mkdir(parents=True)
        self.port, self.metrics_port = free_port(), free_port()
        self.tls = make_tls_files(self.folder)
        self.key = keygen(self.folder, name="first")
        self.authorized = self.folder / "authorized_keys"
        self.authorize(self.key)
        self.settings = self.folder / "config.toml"
        self.configure(log_level="info")

    def configure(self, **changes: Any) -> None:
        values = {
            "ws_port": self.port,
            "metrics_port": self.metrics_port,
            "data_dir": str(self.data),
            "project_roots": str(self.roots),
            "claude_cmd": shlex.join([sys.executable, str(MOCK)]),
            "authorized_keys": str(self.authorized),
            "tls_cert": str(self.tls.certificate),
            "tls_key": str(self.tls.key),
            "log_format": "json",
            "stop_grace": "60s",
            "kill_grace": "1s",
            "min_free_bytes": 0,
            **changes,
        }
        # A string of JSON is one of TOML, too.
        self.settings.write_text("".join(f"{k} = {json.dumps(v)}\n" for k, v in values.items()))

    def authorize(self, *keys: Path) -> None:
        self.authorized.write_text("".join(map(public, keys)))
        self.authorized.chmod(0o600)

    def environment(self) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("CLAUDE", "ANTHROPIC", "PYTHON", "NOTIFY"))
        }
        return {
            **kept,
            "HOME": str(self.home),
            "ANTHROPIC_API_KEY": "sk-ant-of-nobody-at-all",
            "CLAUDEHUB_URL": f"wss://127.0.0.1:{self.port}",
            "CLAUDEHUB_KEY": str(self.key),
            "SSL_CERT_FILE": str(self.tls.authority),
            "CLAUDE_MOCK_SESSIONS": str(self.folder / "sessions"),
        }

    @contextlib.contextmanager
    def begun(self, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
        """Start a command of the installed program, as a context; it ends with it."""
        process = subprocess.Popen(
            [self.program, *arguments],
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def client(self) -> WireClient:
        """Return a client that has authenticated."""
        url = f"wss://127.0.0.1:{self.port}"
        client = WireClient(url, ssl=self.tls.trusting())
        challenge = client.welcome["auth"]["challenge"]
        client.request("authenticate", **proof(self.key, challenge, client.host))
        return client

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run a command, which must end with that exit code; return what it prints."""
        with self.begun(*arguments) as process:
            said, _ = process.communicate(timeout=COMMAND_MAX_S)
        assert process.returncode == code, (arguments, process.returncode, said)
        return said

    def start(self) -> Supervisor:
        command = [str(self.program), "serve", "--config", str(self.settings)]
        self.supervisor = Supervisor(command, self.environment(), self.folder)
        return self.supervisor

    def scrape(self, path: str) -> str:
        url = f"http://127.0.0.1:{self.metrics_port}{path}"
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            assert answer.status == 200
            said: str = answer.read().decode()
            return said

    def metric(self, name: str) -> float:
        """Return the value of a series; 0.0 if there is none yet."""
        lines = (line.rpartition(" ") for line in self.scrape("/metrics").splitlines())
        return next((float(value) for series, _, value in lines if series == name), 0.0)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from what git has, and install it into a fresh environment."""
    folder = tmp_path_factory.mktemp("install")
    copy = folder / "copy"
    subprocess.run(["git", "clone", "-q", ROOT, copy], check=True)
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", folder, copy]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("claudehub-*.whl")
    fresh = folder / "venv"
    venv.create(fresh, with_pip=True)
    python = fresh / "bin" / "python"
    install = [python, "-m", "pip", "install", "-q", "--no-index", "--no-deps", wheel]
    subprocess.run(install, check=True, env={"PATH": "/usr/bin:/bin"})
    # What it needs is there already: the packages of the environment that runs this.
    (packages,) = fresh.glob("lib/python3*/site-packages")
    (packages / "needed.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    return fresh / "bin" / "claudehub"


@pytest.fixture
def day(program: Path, scratch: Path) -> Iterator[Day]:
    made = Day(scratch, program)
    yield made
    if made.supervisor is not None:
        made.supervisor.close()


def test_a_day_in_the_life(day: Day) -> None:
    for step in (
        installed,
        examined,
        started,
        worked,
        scraped,
        keys_rotated,
        certificate_rotated,
        reloaded,
        killed,
        drained,
        upgraded,
        stopped,
    ):
        print(f"day: {step.__name__.replace('_', ' ')}", flush=True)
        step(day)


def installed(day: Day) -> None:
    said = day.run("--version")
    assert said.startswith(f"claudehub {VERSION} (commit ") and "Python 3." in said
    where = "import claudehub; print(claudehub.__file__)"
    python = day.program.with_name("python")
    found = subprocess.check_output([python, "-P", "-c", where], text=True, cwd="/")
    assert found.startswith(str(day.program.parents[1])), "the checkout is not what runs"
    assert (day.program.parents[1] / "share/claudehub/agent-in-bwrap").is_file()


def examined(day: Day) -> None:
    """Doctor finds no fault, and then one that is made."""
    said = day.run("doctor", "--config", str(day.settings))
    assert "\nfault" not in said and f"WS_PORT: 127.0.0.1:{day.port} is free" in said
    assert "Claude Code 2.1.331" in said and "1 usable key" in said
    assert f"{day.key} comes in" in said and "signed in (ANTHROPIC_API_KEY)" in said
    assert not day.data.exists()
    day.authorized.chmod(0o666)
    broken = day.run("doctor", "--config", str(day.settings), code=1)
    assert (
        "is writable for other users" in broken
        and f"mend it: chmod go-w {day.authorized}" in broken
    )
    day.authorized.chmod(0o600)


def started(day: Day) -> None:
    supervisor = day.start()
    supervisor.until("READY=1")
    wait_until(lambda: "listening on wss://" in supervisor.output.read_text())
    assert json.loads(day.run("health", "--json"))["version"] == VERSION


def worked(day: Day) -> None:
    created = day.run("projects", "create", str(day.roots / "site"), "--id", "site", "--no-trust")
    assert "site" in created
    assert "HELLO" in day.run("run", "site", "[[text:HELLO]]")
    assert "projects:    1, 0 of them executing" in day.run("status")


def scraped(day: Day) -> None:
    assert day.scrape("/healthz") == day.scrape("/readyz") == "ok\n"
    said = day.scrape("/metrics")
    assert 'claudehub_build_info{commit="' in said and f'version="{VERSION}"' in said
    assert day.metric('claudehub_executions_total{outcome="success"}') == 1
    assert day.metric('websocket_connections_total{status="101",version="1"}') >= 4
    assert day.metric("claudehub_certificate_expiry_timestamp_seconds") > 0


def keys_rotated(day: Day) -> None:
    """The new key comes in and the old one does not, once the file is another."""
    old, new = day.key, keygen(day.folder, name="second")
    day.authorize(new)
    reload(day)
    day.key = new
    assert "ok" in day.run("health")
    refused = day.run("health", "--key", str(old), code=7)
    assert "is not in AUTHORIZED_KEYS" in refused


def certificate_rotated(day: Day) -> None:
    """Clients see the new certificate. Those that trust only the old authority turn away."""
    place = ("127.0.0.1", day.port)
    before = ssl.get_server_certificate(place)
    old = day.tls.authority.read_bytes()
    day.tls = make_tls_files(day.folder)
    reload(day)
    wait_until(lambda: ssl.get_server_certificate(place) != before)
    assert "ok" in day.run("health")
    new = day.tls.authority.read_bytes()
    day.tls.authority.write_bytes(old)
    assert "is not trusted" in day.run("health", code=7)
    day.tls.authority.write_bytes(new)


def reload(day: Day) -> None:
    assert day.supervisor is not None
    day.supervisor.signal(signal.SIGHUP)
    said = [line for message in day.supervisor.until("RELOADING=1") for line in message]
    assert any(line.startswith("MONOTONIC_USEC=") for line in said)
    day.supervisor.until("READY=1")


def reloaded(day: Day) -> None:
    """What is wrong in the file is named and changes nothing. What is right takes effect."""
    assert day.supervisor is not None
    day.configure(log_level="loud")
    reload(day)
    log = day.supervisor.log  # a thread of the hub writes it
    wait_until(lambda: any("LOG_LEVEL" in line.get("fault", "") for line in log()))
    assert not [line for line in day.supervisor.log() if line["level"] == "debug"]
    day.configure(log_level="debug")
    reload(day)
    assert "ok" in day.run("health")
    wait_until(lambda: any(line["level"] == "debug" for line in day.supervisor.log()))


def killed(day: Day) -> None:
    """The supervisor starts the hub again. The waiting command prints that its execution is lost.
    No process of it is left, and the next prompt runs."""
    supervisor = day.supervisor
    assert supervisor is not None
    begun, first = day.folder / "begun", supervisor.pid
    with day.begun("run", "site", f"[[touch:{begun}]][[wait:{day.folder / 'never'}]]") as waiting:
        wait_until(begun.exists)
        agents = set(marked(day.data)) - {first}
        assert agents
        supervisor.signal(signal.SIGKILL)
        supervisor.until("READY=1")
        said, _ = waiting.communicate(timeout=COMMAND_MAX_S)
    assert waiting.returncode == 6, (waiting.returncode, said)
    assert supervisor.codes == [-signal.SIGKILL] and supervisor.pid != first
    assert not agents & set(marked(day.data))
    assert "AGAIN" in day.run("run", "site", "[[text:AGAIN]]")
    assert "site: whole" in day.run("log", "verify", "--data-dir", str(day.data))
    running = day.run("doctor", "--config", str(day.settings))
    assert f"(process {supervisor.pid}) runs" in running, running


def drained(day: Day) -> None:
    """What runs ends by itself, new prompts are refused meanwhile, and the exit code is 0."""
    supervisor = day.supervisor
    assert supervisor is not None
    begun, go_on = day.folder / "begun-2", day.folder / "go-on"
    prompt = f"[[touch:{begun}]][[wait:{go_on}]][[text:LAST]]"
    with day.client() as client, day.begun("run", "site", prompt) as waiting:
        wait_until(begun.exists)
        supervisor.signal(signal.SIGTERM)
        supervisor.until("STOPPING=1")
        assert client.refused("execute", project_id="site", prompt="x")["code"] == "shutting_down"
        go_on.touch()
        said, _ = waiting.communicate(timeout=COMMAND_MAX_S)
    assert waiting.returncode == 0 and "LAST" in said, said
    assert supervisor.ended() == 0
    assert supervisor.events()[-1] == "stopped"
    assert marked(day.data) == []
    supervisor.close()


def upgraded(day: Day) -> None:
    """The folder of an earlier program: doctor says what will happen, and the start does it."""
    day.data = day.folder / "older"
    day.data.mkdir(mode=0o700)
    with tarfile.open(FIXTURE) as tar:
        tar.extractall(day.data, filter="data")
    for meta in day.data.rglob("meta.json*"):
        meta.write_bytes(meta.read_bytes().replace(ROOTS.encode(), str(day.roots).encode()))
    seen = json.loads(FIXTURE.with_name(FIXTURE.name.replace(".tar.gz", ".json")).read_text())
    for name in seen:
        (day.roots / name).mkdir(exist_ok=True)
    day.configure()
    assert f"takes it over to {DATA_VERSION}" in day.run("doctor", "--config", str(day.settings))
    day.supervisor = None
    (day.folder / "notify").unlink()
    day.start().until("READY=1")
    shown = [json.loads(line) for line in day.run("projects", "list", "--json").splitlines()]
    last = {project["project_id"]: project["last_seq"] for project in shown}
    assert last == {name: each["project"]["last_seq"] for name, each in seen.items()}
    verified = day.run("log", "verify", "--data-dir", str(day.data))
    assert verified.count(": whole, ") >= len(seen) and "DAMAGED" not in verified
    assert "MORE" in day.run("run", "docs", "[[text:MORE]]")
    said = day.run("doctor", "--config", str(day.settings))
    assert f"version {DATA_VERSION}" in said and "takes it over" not in said


def stopped(day: Day) -> None:
    supervisor = day.supervisor
    assert supervisor is not None
    supervisor.signal(signal.SIGTERM)
    supervisor.until("STOPPING=1")
    assert supervisor.ended() == 0
    assert marked(day.data) == []
    assert "Traceback" not in supervisor.errors.read_text()
    assert "nothing listens at" in day.run("health", code=7)
