"""SIGHUP has the server read again what can change, and never ends anything."""

import os
import pty
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from actors import messages
from actors.config.faults import ConfigurationError
from actors.config.settings import Config
from actors.config.sources import load
from actors.server.rereading import Rereading
from tests.fakes import Probe
from tests.harness import HubProcess
from tests.processes import wait_until


def hang_up(hub: HubProcess) -> None:
    before = hub.errors.read_text().count("SIGHUP: ")
    os.kill(hub.pid, signal.SIGHUP)
    wait_until(lambda: hub.errors.read_text().count("SIGHUP: ") > before)


def configure(hub: HubProcess, text: str) -> None:
    folder = hub.scratch / "claudehub"
    folder.mkdir(exist_ok=True)
    (folder / "config.toml").write_text(text)


def test_the_log_level_is_read_again(start_hub: Any) -> None:
    hub = start_hub()
    hub.stop()
    configure(hub, 'log_level = "info"\n')
    hub.start()
    configure(hub, 'log_level = "error"\nmax_queue = 3\n')
    hang_up(hub)
    told = "these settings take effect at the next start settings=MAX_QUEUE"
    with hub.client() as client:

        def is_logged(name: str) -> bool:
            client.request("project_create", path=hub.folder(name))
            return f"project={name}" in hub.errors.read_text()

        names = (f"quiet-{number}" for number in range(1000))
        wait_until(lambda: not is_logged(next(names)))
        quiet = next(names)
        is_logged(quiet)
        assert told not in hub.errors.read_text(), "a warning"
        configure(hub, 'log_level = "info"\nmax_queue = 3\n')
        os.kill(hub.pid, signal.SIGHUP)
        wait_until(lambda: told in hub.errors.read_text())
        is_logged("loud")
    wait_until(lambda: "project=loud" in hub.errors.read_text())
    assert f"project={quiet}" not in hub.errors.read_text()


def test_a_faulty_configuration_changes_nothing(start_hub: Any) -> None:
    hub = start_hub()
    configure(hub, 'log_level = "loud"\n')
    hang_up(hub)
    wait_until(
        lambda: 'the configuration stays as it was fault="LOG_LEVEL' in hub.errors.read_text()
    )
    with hub.client() as client:
        assert client.request("ping") == {}


def test_an_execution_goes_on_through_it(start_hub: Any, scratch: Path) -> None:
    hub, go = start_hub(), scratch / "go"
    with hub.client() as client:
        client.request("project_create", path=hub.folder("p"))
        client.request("project_join", project_id="p")
        started = client.request("execute", project_id="p", prompt=f"[[wait:{go}]][[text:HI]]")
        client.wait_for("execution_started")
        for _ in range(3):
            hang_up(hub)
        go.touch()
        end = client.wait_for("execution_finished", execution_id=started["execution_id"])
        assert (end["data"]["outcome"], end["data"]["result"]) == ("success", "HI")


def test_a_terminal_that_closes_leaves_the_server(scratch: Path) -> None:
    """It sends SIGHUP, and what is written to it fails from then on."""
    hub = HubProcess(scratch)
    ours, terminal = pty.openpty()

    process = subprocess.Popen(
        ["setsid", "--ctty", *hub.command()],
        env=hub.environment(),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    said = b""
    while b"listening on " not in said or not said.endswith(b"\n"):
        said += os.read(ours, 1000)
    hub.url = said.split(b"listening on ", 1)[1].split()[0].decode()
    os.close(ours)  # the terminal is gone
    try:
        for number in range(3):
            with hub.client() as client:
                client.request("project_create", path=hub.folder(f"p{number}"))
                client.request("project_join", project_id=f"p{number}")
                assert client.run(f"p{number}", "[[text:HI]]")["outcome"] == "success"
        assert process.poll() is None
    finally:
        process.terminate()
        assert process.wait(20) == 0


def test_the_reloaders_are_told_whatever_the_configuration_says(
    caplog: pytest.LogCaptureFixture,
) -> None:
    reloader = Probe()
    config = load({})

    def faulty() -> Config:
        raise ConfigurationError(["BIND: is no address"])

    with caplog.at_level("ERROR"):
        Rereading(config, faulty, [reloader.actor_ref]).read()
    assert reloader.take() == [messages.ReadAgain()]
    assert caplog.messages == ['the configuration stays as it was fault="BIND: is no address"']
