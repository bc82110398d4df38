"""SIGHUP has the server read again what can change, and never ends anything."""

import json
import os
import pty
import re
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from freezegun import freeze_time
from websockets.exceptions import InvalidStatus

from actors import messages
from actors.config.faults import ConfigurationError
from actors.config.settings import Config
from actors.config.sources import load
from actors.runtime.problems import Problems
from actors.server.errors import StartFailed
from actors.server.rereading import AT_ONCE, Rereading
from actors.server.wiring import change_of
from protocol import claude
from protocol.requests import Options
from tests.executor_setup import Setup as ExecutorSetup
from tests.executor_setup import no_processes
from tests.executor_setup import setup as executor
from tests.fakes import FrozenClock, Probe
from tests.harness import ROOT, HubProcess
from tests.processes import wait_until
from tests.project_setup import ProjectSetup, execute, setup
from tests.test_hub_actor import Setup as HubSetup

__all__ = ["executor", "no_processes", "setup"]


def hang_up(hub: HubProcess) -> None:
    before = hub.errors.read_text().count("SIGHUP: ")
    os.kill(hub.pid, signal.SIGHUP)
    wait_until(lambda: hub.errors.read_text().count("SIGHUP: ") > before)


def configure(hub: HubProcess, text: str) -> None:
    folder = hub.scratch / "claudehub"
    folder.mkdir(exist_ok=True)
    (folder / "config.toml").write_text(text)


def told(hub: HubProcess) -> str:
    """Return the newest line about what a SIGHUP has changed."""
    lines = [x for x in hub.errors.read_text().splitlines() if "configuration read again" in x]
    return lines[-1] if lines else ""


def test_the_log_level_is_read_again(start_hub: Any) -> None:
    hub = start_hub()
    hub.stop()
    configure(hub, 'log_level = "info"\n')
    hub.start()
    configure(hub, 'log_level = "error"\n')
    hang_up(hub)
    with hub.client() as client:

        def is_logged(name: str) -> bool:
            client.request("project_create", path=hub.folder(name))
            return f"project={name}" in hub.errors.read_text()

        names = (f"quiet-{number}" for number in range(1000))
        wait_until(lambda: not is_logged(next(names)))
        quiet = next(names)
        is_logged(quiet)
        configure(hub, 'log_level = "info"\n')
        os.kill(hub.pid, signal.SIGHUP)
        wait_until(lambda: "LOG_LEVEL error -> info" in told(hub))
        is_logged("loud")
    wait_until(lambda: "project=loud" in hub.errors.read_text())
    assert f"project={quiet}" not in hub.errors.read_text()


def audited(hub: HubProcess) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (hub.data / "audit.jsonl").read_bytes().splitlines()]
    return [line for line in lines if line["action"] == "config_changed"]


def test_limits_take_effect_at_once_and_the_log_says_what_has_changed(start_hub: Any) -> None:
    hub = start_hub(RATE_LIMIT="")
    connected = hub.client()
    with connected as client:
        client.request("project_create", path=hub.folder("p"))
        client.request("project_join", project_id="p")
        client.request("execute", project_id="p", prompt="[[hang]]")
        client.wait_for("execution_started")
        client.request("execute", project_id="p", prompt="waits")
        text = "max_queue = 1\nmax_conn = 1\nmax_projects = 1\nrate_limit = 20\n"
        configure(hub, text + 'exec_timeout = "1m"\n')
        hang_up(hub)
        wait_until(lambda: "MAX_QUEUE 16 -> 1" in told(hub))
        assert "RATE_LIMIT 50 -> 20" in told(hub) and "EXEC_TIMEOUT 300s -> 60s" in told(hub)
        refused = client.refused("execute", project_id="p", prompt="x")
        assert refused["code"] == "queue_full", refused
        error = client.refused("project_create", path=hub.folder("q"))
        assert error["code"] == "too_many_projects"
        with pytest.raises(InvalidStatus) as full:
            hub.client()
        assert full.value.response.status_code == 503
        options = {"timeout_seconds": 61}
        error = client.refused("execute", project_id="p", prompt="x", options=options)
        assert error["code"] == "invalid_options"
        for number in range(60):  # also for a connection that was there before
            client.send({"type": "ping", "id": str(number)})
        codes = [client.reply()["payload"].get("code") for _ in range(60)]
        assert "rate_limited" in codes
    wait_until(lambda: len(audited(hub)) == 2)
    details = audited(hub)[-1]["details"]
    assert {"MAX_QUEUE", "MAX_CONN", "RATE_LIMIT", "EXEC_TIMEOUT"} <= set(details["changed"])


def test_what_needs_a_restart_is_named_and_stays(start_hub: Any, scratch: Path) -> None:
    hub = start_hub()
    configure(hub, 'log_sync = "never"\nstop_grace = "1s"\n')
    hang_up(hub)
    wait_until(lambda: "at_next_start=" in told(hub))
    assert 'changed="STOP_GRACE 0s -> 1s"' in told(hub)
    assert 'at_next_start="LOG_SYNC always -> never"' in told(hub)
    wait_until(lambda: audited(hub)[-1]["details"].get("at_next_start") == ["LOG_SYNC"])
    hang_up(hub)  # nothing has changed since, but what waits still waits
    wait_until(lambda: "changed=none" in told(hub))
    assert "LOG_SYNC always -> never" in told(hub)


def test_new_connections_get_changed_settings_and_old_ones_stay(start_hub: Any) -> None:
    hub = start_hub()
    with hub.client() as old:
        configure(hub, 'heartbeat = "7s"\nallowed_origins = "https://hub.example"\n')
        hang_up(hub)
        wait_until(lambda: "HEARTBEAT" in told(hub))
        with hub.client(origin="https://hub.example") as new:
            assert new.welcome["heartbeat_seconds"] == 7
        assert old.request("ping") == {}


def test_a_faulty_configuration_changes_nothing(start_hub: Any) -> None:
    hub = start_hub()
    configure(hub, 'log_level = "loud"\n')
    hang_up(hub)
    wait_until(
        lambda: 'the configuration stays as it was fault="LOG_LEVEL' in hub.errors.read_text()
    )
    with hub.client() as client:
        assert client.request("ping") == {}


def test_a_file_that_is_away_for_a_moment_is_a_fault_and_no_file_of_defaults(
    start_hub: Any,
) -> None:
    """An editor that renames files leaves such a moment."""
    hub = start_hub()
    configure(hub, "max_queue = 1\n")
    hang_up(hub)
    wait_until(lambda: "MAX_QUEUE 16 -> 1" in told(hub))
    (hub.scratch / "claudehub" / "config.toml").unlink()
    os.kill(hub.pid, signal.SIGHUP)
    wait_until(lambda: "there is no such file" in hub.errors.read_text())
    assert "the configuration stays as it was" in hub.errors.read_text()
    assert "MAX_QUEUE 1 -> 16" not in hub.errors.read_text()


def test_a_pipe_in_place_of_the_file_holds_nothing_up(start_hub: Any) -> None:
    hub = start_hub()
    configure(hub, "max_queue = 1\n")
    hang_up(hub)
    wait_until(lambda: "MAX_QUEUE 16 -> 1" in told(hub))
    (hub.scratch / "claudehub" / "config.toml").unlink()
    os.mkfifo(hub.scratch / "claudehub" / "config.toml")
    os.kill(hub.pid, signal.SIGHUP)
    wait_until(lambda: "is a pipe in which nothing is" in hub.errors.read_text())
    assert hub.stop() == 0


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


class Reload:
    """A Rereading, and what it does. `failures` are those of the first uses."""

    def __init__(
        self,
        wanted: Config | list[str] | Exception,
        failures: Sequence[Exception] = (),
        **held: Any,
    ) -> None:
        self.reloader = Probe()
        self.problems = Problems()
        self.used: list[Config] = []
        self.records: list[tuple[str, dict[str, Any]]] = []

        left = list(failures)

        def reload() -> Config:
            if isinstance(wanted, Exception):
                raise wanted
            if isinstance(wanted, list):
                raise ConfigurationError(wanted)
            return wanted

        def use(config: Config) -> None:
            if left:
                raise left.pop(0)
            self.used.append(config)

        self.rereading = Rereading(
            load({}).model_copy(update=held),
            reload,
            [self.reloader.actor_ref],
            use,
            lambda action, **facts: self.records.append((action, facts)),
            problems=self.problems,
            clock=FrozenClock(),
        )
        self.rereading.read()

    def seen(self) -> dict[str, float]:
        return {metric.name: value for metric, _, value in self.rereading.readings()}


def test_a_fault_changes_nothing_and_all_faults_are_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("ERROR"):
        reload = Reload(["BIND: is no address", "MAX_CONN: is no number"])
    assert reload.reloader.take() == [messages.ReadAgain()], "keys are files of their own"
    assert reload.used == []
    said = 'the configuration stays as it was fault="'
    assert caplog.messages == [f'{said}BIND: is no address"', f'{said}MAX_CONN: is no number"']
    assert reload.problems.now() == [
        "configuration: the last SIGHUP has found faults, and changed nothing; see the log"
    ]
    assert reload.seen()["claudehub_config_last_reload_successful"] == 0
    details = {"read_again": "configuration"}
    assert reload.records == [("config_changed", {"ok": False, "details": details})]


def test_the_metrics_say_when_the_configuration_was_last_read_without_a_fault() -> None:
    with freeze_time("2026-11-29T12:00:00Z") as time:
        wanted: list[Any] = [load({})]
        reload = Reload(load({}))
        reload.rereading._load = lambda: wanted[0] or fail()
        began_s = FrozenClock().monotonic()
        for is_good, good_s in ((True, 60), (False, 60), (False, 60), (True, 240)):
            time.tick(60)
            wanted[0] = load({}) if is_good else None
            reload.rereading.read()
            assert reload.seen() == {
                "claudehub_config_last_reload_successful": is_good,
                "claudehub_config_last_reload_success_timestamp_seconds": began_s + good_s,
            }
            assert bool(reload.problems.now()) is not is_good


def fail() -> Config:
    raise ConfigurationError(["BIND: is no address"])


def test_a_port_that_cannot_be_had_is_a_problem_until_it_can() -> None:
    reload = Reload(load({}))

    def move(_: int) -> bool:
        raise StartFailed("taken")

    reload.rereading._load = lambda: load({"metrics_port": "9464"})
    reload.rereading._move_metrics = move
    for _ in range(2):
        reload.rereading.read()
        assert reload.problems.now() == ["configuration: METRICS_PORT stays as it was; see the log"]
    reload.rereading._move_metrics = lambda _: True
    reload.rereading.read()
    assert reload.problems.now() == []


def test_no_failure_of_a_reading_ends_the_server(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("ERROR"):
        reload = Reload(RecursionError("too deep"))
    assert reload.used == [] and reload.rereading.config == load({})
    assert caplog.messages == ['the configuration stays as it was fault="too deep"']
    assert reload.records[0][1]["ok"] is False


def test_a_setting_that_cannot_be_used_is_tried_again_at_the_next_sighup(
    caplog: pytest.LogCaptureFixture,
) -> None:
    wanted = load({"max_conn": "7"})
    with caplog.at_level("ERROR"):
        reload = Reload(wanted, [OSError("out of order")])
    assert caplog.messages == ['not all of the configuration has changed error="out of order"']
    assert reload.used == []
    reload.rereading.read()
    assert reload.used == [wanted] and reload.rereading.config == wanted


def test_nothing_is_recorded_when_nothing_has_changed(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        reload = Reload(load({}))
    assert reload.used == [] and reload.records == []
    assert caplog.messages[-1] == "configuration read again changed=none"


def test_secrets_are_hidden(caplog: pytest.LogCaptureFixture) -> None:
    wanted = load({}).model_copy(update={"claude_cmd": ("claude", "--token", "abcdefgh")})
    with caplog.at_level("INFO"):
        Reload(wanted)
    assert "CLAUDE_CMD claude -> claude --token ***" in caplog.messages[-1]


def test_only_what_can_change_changes() -> None:
    changed = {"max_queue": 3, "ws_port": 1234}
    reload = Reload(load({}).model_copy(update=changed))
    (used,) = reload.used
    assert (used.max_queue, used.ws_port) == (3, 8080)
    assert reload.rereading.config == used


def test_the_page_says_which_settings_need_a_restart() -> None:
    page = (ROOT / "docs/configuration.md").read_text()
    section = page.split("## What SIGHUP changes", 1)[1].split("\n## ", 1)[0]
    named = {word.lower() for word in re.findall(r"`([A-Z_]+)`", section)}
    assert named == Config.model_fields.keys() - AT_ONCE


# -- each room takes the change --------------------------------------------------------------------


CHANGED = load(
    {
        "exec_timeout": "1m",
        "permission_timeout": "2s",
        "permission_mode": "acceptEdits",
        "kill_grace": "9s",
        "max_queue": "1",
        "min_free_bytes": "5",
        "warm_sessions": "0",
        "warm_idle": "8s",
        "warm_ahead": "on",
        "revoke_kills": "yes",
        "trust_projects": "all",
        "project_roots": "/",
        "max_projects": "7",
        "max_conn": "8",
        "msg_rotate_days": "6",
        "log_retain_days": "5",
        "log_retain_bytes": "4",
        "log_compress": "gzip",
    }
)


def test_actors_are_told_every_setting_that_is_theirs() -> None:
    """Each of the settings above differs from its default, and so must each field of the
    message."""
    before, after = change_of(load({})), change_of(CHANGED)
    for field in fields(messages.ChangeSettings):
        assert getattr(before, field.name) != getattr(after, field.name), field.name


def test_a_project_and_its_parts_take_the_change(setup: ProjectSetup) -> None:
    setup.execute()
    setup.executor.take()
    change = change_of(CHANGED)
    setup.tell(change)
    assert change in setup.executor.take(), "the Executor has it too"
    project = setup.project
    assert project._settings.max_queue == project._queue.max_waiting == 1
    assert project._settings.executor.kill_grace_s == 9.0
    assert project._trust.is_given, "TRUST_PROJECTS"
    assert setup.execute()
    setup.ask(execute())
    assert setup.answers()[-1]["code"] == "queue_full"
    setup.ask(execute(timeout_seconds=61))
    assert "at most 60" in setup.answers()[-1]["message"]


def test_an_executor_takes_the_change(executor: ExecutorSetup) -> None:
    executor.executor.on_receive(change_of(CHANGED))
    turns = executor.executor._turns
    assert not turns._settings.keeps_warm and turns._starter._settings.warm_idle_s == 8.0
    assert turns._starter._usual != before_usual()


def before_usual() -> object:
    return claude.settings_of(Options(), load({}).permission_mode)


def test_the_hub_takes_the_change_and_passes_it_on(tmp_path: Path, monkeypatch: Any) -> None:
    hub = HubSetup(tmp_path, monkeypatch)
    hub.hub.started()
    project = hub.made("one")
    hub.hub.on_receive(messages.WarmProcess(project_id="one", used_at_s=1.0, pid=1))
    project.take()
    hub.hub.on_receive(change := change_of(CHANGED))
    assert project.take() == [messages.LetProcessGo(), change], "WARM_SESSIONS=0"
    assert hub.rotators[-1].take() == [change]
    assert hub.hub._settings.project.roots == (Path("/"),)
    assert hub.hub._registry.max_projects == 7
    assert hub.hub._settings.rotation.compression == "gzip"
