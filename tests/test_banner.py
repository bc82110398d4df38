"""What an operator sees of a server: its first lines, and `serve --check`."""

import os
import signal
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import simplejson
from click.testing import CliRunner

from actors.config.sources import load
from actors.server import banner
from claudehub.cli.main import main
from tests.conftest import make_tls_files
from tests.fakes import FrozenClock
from tests.harness import TIMEOUT_S, HubProcess, TlsFiles
from tests.processes import wait_until
from tests.scraping import free_port
from tests.trace_collector import TraceCollector

LINES_MAX = 8
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJAhZQ7sn1AEOPOzvfbAcCbqtuJSPD9nb9jTEFvKPqMb me\n"


def lines(hub: HubProcess) -> list[dict[str, Any]]:
    return [simplejson.loads(line) for line in hub.errors.read_text().splitlines()]


def first_lines(hub: HubProcess) -> list[dict[str, Any]]:
    """Return the lines of the last start, up to the one about agents, which comes last."""
    found: list[dict[str, Any]] = []

    def is_complete() -> bool:
        said = lines(hub)
        events = [line["event"] for line in said]
        found[:] = said[len(events) - 1 - events[::-1].index("claudehub starts") :]
        return found[-1]["event"] == "agents"

    wait_until(is_complete)
    return found


def test_the_first_lines_say_what_runs(start_hub: Any) -> None:
    hub = start_hub(LOG_FORMAT="json", CLAUDE_ENV="PATH,FURTHER", FURTHER="x")
    said = {line["event"]: line for line in first_lines(hub)}
    assert said["claudehub starts"]["version"] and said["claudehub starts"]["commit"]
    clients = said["clients may come in"]
    assert clients["how"] == "every user of this machine, without a key"
    assert clients["at"] == [hub.url] and "names" not in clients
    folder = said["data folder"]
    assert folder["path"] == str(hub.data) and "ytes" in folder["size"]
    assert folder["projects"] == 0
    agents = said["agents"]
    assert agents["version"] == "2.1.197" and agents["sign_in"]
    assert "FURTHER" in agents["variables"] and "traces" not in agents


class PoorHub(HubProcess):
    """A hub that may open few files."""

    def command(self) -> list[str]:
        return ["sh", "-c", 'ulimit -n 600 && exec "$@"', "sh", *super().command()]


def test_the_first_lines_of_the_fullest_start_are_at_most_eight(
    scratch: Path, tls_files: TlsFiles
) -> None:
    keys = scratch / "keys"
    keys.write_text(KEY)
    keys.chmod(0o600)
    socket = str(scratch / "hub.sock")
    hub = PoorHub(scratch, tls_files, SOCKET=socket, LOG_FORMAT="json").start()
    with hub.client(ssl=tls_files.trusting()) as client:
        for name in ("p", "q"):
            client.request("project_create", path=hub.folder(name))
    killed = hub.pid
    hub.stop(signal.SIGKILL)
    with TraceCollector() as collector:
        hub.start(
            MAX_CONN="10000",
            METRICS_PORT=str(free_port()),
            AUTHORIZED_KEYS=str(keys),
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        )
        found = first_lines(hub)
        assert hub.stop() == 0
    assert len(found) <= LINES_MAX, found
    said = {line["event"]: line for line in found}
    assert said["the last run did not stop cleanly"]["pid"] == killed
    assert {"limits of the system are low", "metrics are served"} <= said.keys()
    assert "localhost" in said["clients may come in"]["names"]
    assert said["clients may come in"]["at"] == [hub.url, f"unix:{socket}"]
    assert said["data folder"]["projects"] == 2
    assert said["agents"]["traces"] == collector.url


def test_a_stop_does_not_wait_for_the_banner(scratch: Path) -> None:
    """The CLI does not answer, so its version never comes."""
    hub = HubProcess(scratch, CLAUDE_CMD="sleep 60").start()
    os.kill(hub.pid, signal.SIGTERM)
    assert hub.wait() == 0


def test_the_size_of_a_folder_is_looked_for_a_bounded_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a").write_bytes(b"x" * 2048)
    (tmp_path / "b").write_bytes(b"x" * 512)
    (tmp_path / "link").symlink_to("/usr")
    assert banner.size_of(tmp_path, FrozenClock()).endswith(" KiB")
    monkeypatch.setattr(banner, "SIZE_S", 0.0)
    assert banner.size_of(tmp_path, FrozenClock()) == "at least 0 bytes"
    assert banner.size_of(tmp_path / "gone", FrozenClock()) == "at least 0 bytes"


@pytest.mark.parametrize(
    ("settings", "how"),
    [
        ({}, "every user of this machine, without a key"),
        ({"bind": "0.0.0.0", "allow_unauthenticated": "yes"}, "ANYBODY"),
        ({"ws_port": "off", "socket": "/x"}, "the server's own user, through /x"),
    ],
)
def test_who_may_come_in(settings: dict[str, str], how: str) -> None:
    assert banner.who_may_come_in(load(settings)).startswith(how)


@pytest.mark.parametrize(
    ("settings", "end"),
    [
        ({}, "; clients of version 0 too, on /ws"),
        (
            {"authorized_keys": "keys", "socket": "/s"},
            "; clients of version 0 only through the socket, since they cannot use keys",
        ),
        (
            {"authorized_keys": "keys"},
            "; NO client of version 0 (PROTOCOL_V0), since none can use keys",
        ),
    ],
)
def test_clients_of_version_0_are_named(tmp_path: Path, settings: dict[str, str], end: str) -> None:
    keys = tmp_path / "keys"
    keys.write_text("")
    if "authorized_keys" in settings:
        settings = {**settings, "authorized_keys": str(keys)}
    assert "version 0" not in banner.who_may_come_in(load(settings))
    told = banner.who_may_come_in(load({**settings, "protocol_v0": "on"}))
    assert told.endswith(end)


def test_keys_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(KEY)
    file.chmod(0o600)
    config = load({}).model_copy(update={"authorized_keys": str(file)})
    assert banner.who_may_come_in(config) == f"who has one of 1 keys of {file}"


# -- serve --check ---------------------------------------------------------------------------------


def check(hub: HubProcess, **settings: str) -> Any:
    environment: dict[str, str | None] = dict.fromkeys(os.environ)
    given = {**environment, **hub.environment(**settings)}
    return CliRunner().invoke(main, ["serve", "--check"], env=given)


def test_a_check_says_what_would_start_and_makes_nothing(
    scratch: Path, tls_files: TlsFiles
) -> None:
    hub = HubProcess(scratch, tls_files, MAX_QUEUE="3")
    before = sorted(scratch.rglob("*"))
    found = check(hub)
    assert found.exit_code == 0, found.output
    said = found.stdout.splitlines()
    assert said[0].endswith("would start")
    assert "address: 127.0.0.1:0" in said
    assert any(line.startswith("TLS: 127.0.0.1, localhost, until ") for line in said)
    assert f"data folder: {hub.data} (it is made at the start)" in said
    assert "set: MAX_QUEUE=3" in said and not [x for x in said if "HEARTBEAT" in x]
    assert sorted(scratch.rglob("*")) == before


def test_a_check_says_that_a_certificate_has_expired(scratch: Path, tls_files: TlsFiles) -> None:
    folder = scratch / "expired"
    folder.mkdir()
    files = make_tls_files(folder, datetime(2026, 1, 31, 12, tzinfo=UTC))
    said = check(HubProcess(scratch, files)).stdout
    assert "TLS: 127.0.0.1, localhost, has expired on 2026-01-31\n" in said


def test_a_check_says_what_a_start_warns_of(scratch: Path) -> None:
    keys = scratch / "keys"
    keys.write_text(f"{KEY}with-a-mistake ssh-ed25519 AAAA\n")
    keys.chmod(0o600)
    hub = PoorHub(scratch, MAX_CONN="10000", AUTHORIZED_KEYS=str(keys), LOG_FORMAT="json")
    done = subprocess.run(
        [*hub.command(), "--check"],
        env=hub.environment(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert any(line.startswith("CLI: ") and ", 2.1.197, " in line for line in said)
    shown = [line.removeprefix("warning: ") for line in said if line.startswith("warning: ")]
    hub.start()
    first = first_lines(hub)
    assert hub.stop() == 0
    warned = {line["event"]: line for line in first if line["level"] == "warning"}
    low = warned.pop("limits of the system are low")["problems"]
    bad_key = warned.pop("a line of the keys is not used")
    assert low[0].startswith("MAX_CONN=10000 needs about ") and "600 are allowed" in low[0]
    assert {*low, f"{keys}: {bad_key['problem']}"} <= set(shown)
    assert set(warned) <= set(shown), "as root, that agents run as root"


def test_a_check_says_that_the_cli_does_not_work(scratch: Path) -> None:
    found = check(HubProcess(scratch, CLAUDE_CMD="false"))
    assert found.exit_code == 0
    assert "warning: CLAUDE_CMD ends with 1 at --version" in found.stdout


def test_a_check_beside_a_running_server_says_so(start_hub: Any) -> None:
    hub = start_hub()
    found = check(hub)
    assert found.exit_code == 1
    assert f"another server (pid {hub.pid}) uses {hub.data}" in found.stdout
    port = hub.url.rpartition(":")[2]
    found = check(hub, DATA_DIR=str(hub.scratch / "other"), WS_PORT=port)
    assert found.exit_code == 1
    assert f"cannot listen on 127.0.0.1:{port}" in found.stdout
    found = check(hub, DATA_DIR=str(hub.scratch / "other"), METRICS_PORT=port)
    assert found.exit_code == 1
    assert f"cannot listen on 127.0.0.1:{port}: another program uses it" in found.stdout


def test_a_check_lists_all_faults(scratch: Path) -> None:
    found = check(HubProcess(scratch), MAX_CONN="x", BIND="nowhere")
    assert found.exit_code == 2
    assert "MAX_CONN" in found.stderr and "BIND" in found.stderr
