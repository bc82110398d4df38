"""`claudehub doctor` as a whole: what it prints, its JSON, its exit code, and that it changes
nothing."""

import json
import os
import shlex
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from actors.config.settings import Config
from claudehub.cli import doctor_report
from claudehub.cli.doctor_hub import ANSWER_MAX_S, running_hub
from claudehub.cli.main import main
from protocol import VERSION
from tests.harness import MOCK, HubProcess, TlsFiles
from tests.test_ssh import keygen


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a working CLI, and nothing else."""
    for name in list(os.environ):
        if name.startswith(("CLAUDE", "ANTHROPIC")):
            monkeypatch.delenv(name)
    (tmp_path / "src").mkdir()
    for name, value in {
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "DATA_DIR": str(tmp_path / "data"),
        "PROJECT_ROOTS": str(tmp_path / "src"),
        "CLAUDE_CMD": shlex.join([sys.executable, str(MOCK)]),
        "MIN_FREE_BYTES": "1",
        "WS_PORT": "0",
        "ANTHROPIC_API_KEY": "sk-ant-planted",
    }.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def doctor(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["doctor", *arguments])


def found(result: Result) -> dict[str, list[dict[str, Any]]]:
    checks: dict[str, list[dict[str, Any]]] = {}
    for line in result.stdout.splitlines():
        finding = json.loads(line)
        checks.setdefault(finding["check"], []).append(finding)
    return checks


def seen(folder: Path) -> set[tuple[str, int, int]]:
    return {
        (str(path), path.lstat().st_mtime_ns, path.lstat().st_mode)
        for path in [folder, *folder.rglob("*")]
    }


def test_it_reports_a_place_that_works_and_changes_nothing(place: Path) -> None:
    (place / "data").mkdir(mode=0o700)
    before = {at for at in seen(place) if at[0] != str(place / "data")}
    result = doctor()
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert not [line for line in lines if line.startswith("fault")]
    assert any(line.startswith("ok       claude           Claude Code 2.1.331 (") for line in lines)
    assert any("signed in (ANTHROPIC_API_KEY)" in line for line in lines)
    assert "sk-ant-planted" not in result.output
    assert before <= seen(place) and os.listdir(place / "data") == []
    *_, last = lines
    warnings = sum(line.startswith("warning") for line in lines)
    assert last == "all is well" if not warnings else last.startswith(f"{warnings} warning")


def test_a_fault_has_what_mends_it_and_an_exit_code(place: Path) -> None:
    result = doctor("--claude-cmd", "no-such-program")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("fault"))
    assert "'no-such-program' was not found" in lines[at]
    assert lines[at + 1].strip().startswith("mend it: install Claude Code")
    assert lines[-1].startswith("1 fault")


def test_faults_of_the_configuration_come_first_and_the_rest_is_looked_at(place: Path) -> None:
    result = doctor("--json", "--max-conn", "many", "--heartbeat", "x", "--ws-port", "0")
    assert result.exit_code == 2
    checks = found(result)
    assert next(iter(checks)) == "configuration"
    told = [finding["text"] for finding in checks["configuration"]]
    assert [text.split(":")[0] for text in told] == ["HEARTBEAT", "MAX_CONN"]
    assert all(f["remedy"] for f in checks["configuration"])
    assert {"python", "claude", "limits", "your key"} <= set(checks)


def test_the_json_has_the_same_facts_in_every_line(place: Path) -> None:
    result = doctor("--json", "--claude-cmd", "no-such-program")
    assert result.exit_code == 1
    for findings in found(result).values():
        for finding in findings:
            assert list(finding) == ["check", "level", "text", "remedy"]
            assert (finding["remedy"] is None) is (finding["level"] == "ok")
    assert {f["level"] for f in found(result)["claude"]} == {"fault"}


def test_a_file_that_cannot_be_read_is_a_fault(place: Path) -> None:
    (place / "config" / "claudehub").mkdir(parents=True)
    (place / "config" / "claudehub" / "config.toml").write_text("ws_port = \n")
    result = doctor("--json")
    assert result.exit_code == 2
    assert found(result)["configuration"][0]["level"] == "fault"


@pytest.fixture
def beside(place: Path, start_hub: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Start a hub with these settings, which doctor is given too."""

    def start(**settings: str) -> HubProcess:
        hub: HubProcess = start_hub(**settings)
        port = hub.url.rpartition(":")[2]
        for name, value in {"WS_PORT": port, "DATA_DIR": str(hub.data), **settings}.items():
            monkeypatch.setenv(name, value)
        return hub

    yield start


def test_a_hub_that_runs_is_looked_at(place: Path, beside: Any) -> None:
    hub = beside()
    checks = found(doctor("--json"))
    (running,) = checks["running hub"]
    assert running["level"] == "ok" and f"process {hub.pid}" in running["text"]
    assert "in use by the hub that runs" in checks["port"][0]["text"]


def test_the_port_of_a_hub_with_another_data_folder_is_no_place(
    place: Path, beside: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside()
    monkeypatch.setenv("DATA_DIR", str(place / "other"))
    result = doctor("--json")
    assert result.exit_code == 1
    assert "in use by a hub with another data folder" in found(result)["port"][0]["text"]


def test_a_hub_with_keys_is_asked_for_no_more_than_its_greeting(place: Path, beside: Any) -> None:
    public = keygen(place).with_suffix(".pub").read_text()
    (place / "keys").write_text(public)
    (place / "keys").chmod(0o600)
    beside(AUTHORIZED_KEYS=str(place / "keys"))
    checks = found(doctor("--json"))
    assert checks["running hub"][0]["level"] == "ok"
    assert "1 usable key" in checks["keys"][0]["text"]


@pytest.mark.parametrize("tls", ["wss"], indirect=True)
def test_a_hub_with_tls_is_reached(place: Path, beside: Any, tls: TlsFiles) -> None:
    beside(TLS_CERT=str(tls.certificate), TLS_KEY=str(tls.key))
    checks = found(doctor("--json"))
    assert checks["running hub"][0]["level"] == "ok", checks["running hub"]
    assert checks["certificate"][0]["level"] == "ok"


@pytest.mark.parametrize("tls", ["wss"], indirect=True)
def test_a_silent_peer_with_tls_does_not_hold_doctor(place: Path, tls: TlsFiles) -> None:
    """All that comes are session tickets: they wake a poll, and then the read blocks."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.certificate, tls.key)
    done = threading.Event()

    def accept() -> None:
        with context.wrap_socket(listener.accept()[0], server_side=True):
            done.wait(10 * ANSWER_MAX_S)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = threading.Thread(target=accept)
        peer.start()
        port = listener.getsockname()[1]
        try:
            hub = running_hub(
                Config(ws_port=port, tls_cert=str(tls.certificate), tls_key=str(tls.key))
            )
            assert not done.is_set() and peer.is_alive()
        finally:
            done.set()
            peer.join()
    assert hub is not None and not hub.is_hub and "timed out" in str(hub.problem)


def test_a_hub_at_its_socket_is_reached(place: Path, start_hub: Any) -> None:
    path = str(place / "hub.sock")
    hub = start_hub(SOCKET=path, WS_PORT="off")
    result = doctor("--json", "--socket", path, "--ws-port", "off", "--data-dir", str(hub.data))
    assert f"unix:{path}" in found(result)["running hub"][0]["text"]


def test_another_program_at_the_port_is_no_hub(place: Path) -> None:
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread

    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    thread = Thread(target=server.handle_request)
    thread.start()
    try:
        result = doctor("--json", "--ws-port", str(server.server_port))
    finally:
        thread.join()
        server.server_close()
    assert result.exit_code == 1
    checks = found(result)
    assert "in use by another program" in checks["port"][0]["text"]
    assert "no hub runs" in checks["running hub"][0]["text"]


def test_a_socket_that_cannot_be_looked_at_is_none(place: Path) -> None:
    result = doctor("--json", "--socket", "/" + "x" * 5000)
    assert result.exit_code == 1, result.output
    assert "bytes" in found(result)["socket"][0]["text"]


def test_nothing_is_dialled_without_a_port_or_a_socket(place: Path) -> None:
    _, look = doctor_report.examined({}, None)
    assert look.config is not None and running_hub(look.config) is None
    assert VERSION in doctor("--json").stdout
