"""What a scrape shows: exactly what was done, with a real hub and the mock of the CLI."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from actors.metrics.catalogue import CATALOGUE
from tests.harness import ROOT, TIMEOUT_S, HubProcess, TlsFiles, WireClient
from tests.processes import wait_until
from tests.scraping import Scrape, ScrapedHub, free_port, get
from tests.sockets import frame, read_until, upgraded
from tests.test_unreadable import WITHOUT_CAPABILITIES

ASK = "[[tool:Bash:rm -rf build]]"


@pytest.fixture
def hub(scratch: Path) -> Iterator[ScrapedHub]:
    hub = ScrapedHub(scratch).start()
    yield hub
    assert hub.stop() == 0


def settled(client: WireClient) -> None:
    """Let the project finish what it does behind the last update: its thread counts then."""
    client.request("get_messages", project_id="p", limit=1)


def test_after_a_session_each_counter_has_its_value(hub: ScrapedHub) -> None:
    with hub.client() as client:
        client.request("project_create", path=hub.folder("p"))
        client.request("project_join", project_id="p")
        for _ in range(2):
            assert client.run("p", "hello")["outcome"] == "success"
        assert client.run("p", "[[exit:3]]")["outcome"] == "error"
        settled(client)
        updates, seen = client.take(), hub.scrape()
    assert seen.by("websocket_connections_total", "status") == {("101",): 1}
    asked = {
        "project_create": 1,
        "project_join": 1,
        "execute": 3,
        "get_messages": 1,
    }
    received = {(kind, "in"): count for kind, count in asked.items()}
    sent = {(kind, "out"): count for kind, count in asked.items()}
    for update in updates:
        key = (update["update_type"], "out")
        sent[key] = sent.get(key, 0) + 1
    messages = seen.by("messages_total", "type", "direction")
    assert messages == {**received, **sent, ("unknown", "out"): 1}  # the welcome
    answered = {(kind, "ok"): count for kind, count in asked.items()}
    assert seen.by("claudehub_requests_total", "type", "code") == answered
    taken = seen.by("claudehub_request_duration_seconds_count", "type")
    assert taken == {(kind,): count for kind, count in asked.items()}
    assert seen.by("claudehub_executions_total", "outcome") == {("success",): 2, ("error",): 1}
    ended = [u["data"] for u in updates if u["update_type"] == "execution_finished"]
    cost = sum(end["cost_usd"] or 0 for end in ended)
    assert cost > 0
    assert seen.value("claudehub_execution_cost_usd_total") == pytest.approx(cost)
    duration_s = seen.value("claudehub_execution_duration_seconds_sum", outcome="success")
    assert duration_s == pytest.approx(sum(end["duration_ms"] for end in ended[:2]) / 1000)
    stored = [update for update in updates if "seq" in update]
    assert seen.value("claudehub_log_records_total") == len(stored)
    appends = seen.value("claudehub_log_appends_total")
    assert 0 < appends <= len(stored)
    assert seen.value("claudehub_log_batch_records_count") == appends
    assert seen.value("claudehub_log_batch_records_sum") == len(stored)
    assert seen.value("claudehub_log_sync_duration_seconds_count") >= appends
    (segment,) = (hub.data / "projects" / "p" / "log").iterdir()
    assert seen.value("claudehub_log_appended_bytes_total") == segment.stat().st_size
    assert seen.value("claudehub_log_segments") == 1
    assert seen.value("claudehub_log_bytes") == segment.stat().st_size
    assert seen.value("claudehub_connections") == seen.value("claudehub_subscriptions") == 1
    assert seen.by("claudehub_projects", "status") == {("idle",): 1}
    alive = seen.by("claudehub_actors", "kind")
    for kind in ("Hub", "Client", "Project", "Executor", "FileWatcher", "Rotator", "Auditor"):
        assert alive[kind,] == 1
    assert seen.by("claudehub_actor_deaths_total", "kind") == {}
    assert 'claudehub_actor_deaths_total{kind="Project"} 0.0' in seen.text


def test_what_fails_is_counted(hub: ScrapedHub) -> None:
    with pytest.raises(InvalidStatus):
        connect(f"{hub.url}/elsewhere", proxy=None)
    with pytest.raises(InvalidStatus):
        connect(hub.url, proxy=None, origin="https://evil.example")  # type: ignore[arg-type]
    with hub.client() as client:
        for text in ("{", '{"type":"made_up"}', '{"type":"execute"}'):
            client.send(text)
            assert client.reply()["type"] == "error"
        client.refused("project_join", project_id="nobody")
        seen = hub.scrape()
    assert seen.by("websocket_connections_total", "status") == {
        ("101",): 1,
        ("403",): 1,
        ("404",): 1,
    }
    assert seen.by("claudehub_requests_total", "type", "code") == {
        ("unknown", "invalid_json"): 1,
        ("unknown", "unknown_type"): 1,
        ("execute", "invalid_message"): 1,
        ("project_join", "project_not_found"): 1,
    }
    assert seen.value("messages_total", type="unknown", direction="in") == 2


def test_updates_count_for_each_connection_also_from_the_log(hub: ScrapedHub) -> None:
    with hub.client() as client, hub.client() as other, hub.client() as watcher:
        client.request("project_create", path=hub.folder("p"))
        client.request("project_join", project_id="p")
        watcher.request("watch")
        client.run("p", "hello")
        other.request("project_join", project_id="p", after_seq=0, ephemeral=False)
        other.wait_for("execution_finished")
        client.run("p", "[[deltas:3:8]]")
        watcher.wait_for("project_changed")
        settled(client)
        settled(other)
        mine, others = client.take(), other.take()
        seen = hub.scrape()
    for kind in ("prompt", "claude", "claude_delta", "execution_finished"):
        both = [update for update in mine + others if update["update_type"] == kind]
        assert seen.value("messages_total", type=kind, direction="out") == len(both), kind
    assert not [update for update in others if update["update_type"] == "claude_delta"]
    assert seen.value("messages_total", type="project_changed", direction="out") >= 1


def test_questions_that_wait_are_shown_with_their_age_and_counted_by_their_end(
    hub: ScrapedHub,
) -> None:
    with hub.client() as client:
        client.request("project_create", path=hub.folder("p"))
        client.request("project_join", project_id="p")
        client.request("execute", project_id="p", prompt=ASK)
        question = client.wait_for("permission_request")["data"]["permission_id"]
        waiting = hub.scrape()
        client.request("execute", project_id="p", prompt="later")
        client.request("execute", project_id="p", prompt="later still")
        queued = hub.scrape()
        client.request("permission_answer", project_id="p", permission_id=question, decision="deny")
        for _ in range(3):
            client.wait_for("execution_finished")
            client.updates.clear()
        settled(client)
        after = hub.scrape()
    assert waiting.value("claudehub_permissions_waiting") == 1
    assert 0 < waiting.value("claudehub_permissions_oldest_age_seconds") < TIMEOUT_S
    assert waiting.value("claudehub_executions_running") == 1
    assert queued.value("claudehub_queue_length") == 2
    assert queued.value("claudehub_queue_largest_length") == 2
    assert after.value("claudehub_permissions_waiting") == 0
    assert after.value("claudehub_permissions_oldest_age_seconds") == 0
    ends = after.by("claudehub_permission_wait_seconds_count", "resolution")
    assert ends == {("deny",): 1}
    assert after.value("claudehub_queue_length") == 0
    assert after.value("claudehub_executions_running") == 0
    assert after.value("claudehub_warm_processes") == 1
    assert after.value("claudehub_warm_processes_memory_bytes") > 1_000_000


def test_a_slow_client_and_a_flood_are_counted(scratch: Path) -> None:
    hub = ScrapedHub(scratch, SLOW_CLIENT_BYTES="1MiB").start()
    with upgraded(hub, receive_buffer=64 * 1024) as slow, hub.client() as client:
        client.request("project_create", path=hub.folder("p"))
        slow.sendall(frame(1, b'{"type":"project_join","payload":{"project_id":"p"}}'))
        read_until(slow, b'"log_id"')
        client.request("execute", project_id="p", prompt="[[lines:12000]][[pace:0.0001]]")
        wait_until(lambda: hub.scrape().value("claudehub_outbox_bytes") > 0)
        wait_until(lambda: hub.scrape().value("claudehub_slow_clients_closed_total") == 1)
        for _ in range(100):
            client.send("{")
        for _ in range(100):
            client.reply()
        seen = hub.scrape()
    assert seen.value("claudehub_requests_total", type="unknown", code="invalid_json") == 100
    assert 0 < seen.value("claudehub_audit_dropped_total") < 100
    assert hub.stop() == 0


def test_what_ended_connections_have_counted_stays(hub: ScrapedHub) -> None:
    for _ in range(3):
        with hub.client() as client:
            client.request("ping")
    with hub.client() as client:
        client.request("ping")
        seen = hub.scrape()
    assert seen.value("claudehub_requests_total", type="ping", code="ok") == 4
    assert seen.value("claudehub_sent_bytes_total") > 4 * 200
    assert seen.by("websocket_connections_total", "status") == {("101",): 4}


def test_a_recovery_and_a_lost_execution_are_counted(scratch: Path) -> None:
    hub = ScrapedHub(scratch).start()
    with hub.client() as client:
        client.request("project_create", path=hub.folder("p"))
        client.request("project_join", project_id="p")
        client.request("execute", project_id="p", prompt="[[hang]]")
        client.wait_for("execution_started")
    hub.stop(signal.SIGKILL)
    (segment,) = (hub.data / "projects" / "p" / "log").iterdir()
    with open(segment, "ab") as log:
        log.write(b'{"crc":"torn')
    hub.start()
    with hub.client() as client:
        client.request("get_messages", project_id="p")
        seen = hub.scrape()
    assert seen.by("claudehub_log_opening_duration_seconds_count", "state") == {("recovered",): 1}
    assert seen.value("claudehub_log_torn_bytes_total") == len(b'{"crc":"torn')
    assert seen.by("claudehub_executions_total", "outcome") == {("lost",): 1}
    assert seen.by("claudehub_execution_duration_seconds_count", "outcome") == {}
    assert hub.stop() == 0


def test_a_hub_that_takes_no_work_says_why(scratch: Path) -> None:
    hub = ScrapedHub(scratch, MIN_FREE_BYTES=str(1 << 60)).start()
    assert hub.get("/healthz") == (200, "ok\n")
    status, text = hub.get("/readyz")
    assert status == 503
    assert text.startswith("storage: less than MIN_FREE_BYTES is free") and text.count("\n") == 1
    problem = "less than MIN_FREE_BYTES (1048576.0 TiB) is free; prompts are refused"
    seen = hub.scrape()
    assert seen.value("claudehub_storage_min_free_bytes") == 1 << 60
    assert seen.value("claudehub_ready") == 0
    assert seen.value("claudehub_storage_full") == seen.value("claudehub_problems") == 1
    with hub.client() as client:
        assert client.request("health_check")["problems"] == [f"storage: {problem}"]
    assert hub.errors.read_text().count(f'part=storage problem="{problem}"') == 1
    assert hub.stop() == 0


def program(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_a_hub_whose_cli_does_not_work_is_not_ready_and_publishes_nothing_that_it_says(
    scratch: Path,
) -> None:
    said = "cannot log in: sk-ant-api03-abcdefghijklmnop secret=hunter2"
    hub = ScrapedHub(scratch, CLAUDE_CMD=program(scratch / "claude", f"echo {said} >&2; exit 3"))
    hub.start()
    with hub.client() as client:
        (problem,) = client.request("health_check")["problems"]
    assert problem.endswith("ends with 3 at --version: cannot log in: *** secret=***")
    assert hub.get("/readyz") == (
        503,
        "claude: the CLI does not work; health_check and the log say why\n",
    )
    assert hub.stop() == 0


class RetryingHub(ScrapedHub):
    """A hub that asks a CLI that does not work again after a moment."""

    def command(self) -> list[str]:
        code = (
            f"import sys; sys.path[:0] = [{str(ROOT)!r}]; from actors.executor import cli_facts; "
            "cli_facts.RETRY_PAUSE_S = 0.1; from claudehub.__main__ import main; main()"
        )
        return [sys.executable, "-c", code, "serve"]


def test_a_hub_is_ready_again_after_a_failure_of_its_cli_that_has_passed(scratch: Path) -> None:
    """Behind a balancer that obeys /readyz, no client comes that would have the CLI asked."""
    reason = scratch / "reason"
    reason.touch()
    cli = program(scratch / "claude", f'[ -e {reason} ] && exit 3; echo "2.1.331 (Claude Code) $*"')
    hub = RetryingHub(scratch, CLAUDE_CMD=cli).start()
    wait_until(lambda: hub.get("/readyz")[0] == 503)
    reason.unlink()
    wait_until(lambda: hub.get("/readyz") == (200, "ok\n"))
    assert hub.stop() == 0


def test_while_it_stops_the_hub_is_alive_and_not_ready(hub: ScrapedHub) -> None:
    with hub.client() as client:
        client.request("project_create", path=hub.folder("p"))
        client.request("project_join", project_id="p")
        client.request("execute", project_id="p", prompt="[[stubborn]] [[hang]]")
        client.wait_for("execution_started")
        assert hub.get("/readyz") == (200, "ok\n")
        os.kill(hub.pid, signal.SIGTERM)
        while (answer := hub.get("/readyz"))[0] == 200:
            assert answer == (200, "ok\n")  # the signal is on its way
        assert answer[0] == 503 and answer[1].startswith("draining: ")
        assert hub.get("/healthz") == (200, "ok\n")


@pytest.mark.parametrize("tls", ["wss"], indirect=True)
def test_the_expiry_of_the_certificate_is_shown(scratch: Path, tls: TlsFiles) -> None:
    hub = ScrapedHub(scratch, tls).start()
    expires_s = hub.scrape().value("claudehub_certificate_expiry_timestamp_seconds")
    assert expires_s > time.time()
    assert hub.stop() == 0


def test_with_a_socket_alone_the_metrics_are_on_loopback(scratch: Path) -> None:
    path = scratch / "hub.sock"
    hub = ScrapedHub(scratch, WS_PORT="off", SOCKET=str(path), BIND="0.0.0.0").start()
    with hub.client() as client:
        client.request("ping")
        assert hub.scrape().value("claudehub_connections") == 1
    assert f"127.0.0.1:{hub.metrics_port}" in hub.errors.read_text()
    assert hub.stop() == 0


def test_a_scraper_that_asks_for_openmetrics_gets_it(hub: ScrapedHub) -> None:
    _, text = get(hub.metrics_port, "/metrics", Accept="application/openmetrics-text;version=1.0.0")
    found = {family.name for family in text_string_to_metric_families(text)}
    assert {"websocket_connections", "claudehub_connections"} <= found


def test_every_metric_is_shown_with_its_kind_and_meaning(hub: ScrapedHub) -> None:
    seen = hub.scrape()
    for metric in CATALOGUE:
        assert f"# TYPE {metric.name} {metric.kind}\n" in seen.text
        assert f"# HELP {metric.name} {metric.meaning}\n" in seen.text
    assert seen.value("process_open_fds") > 5


class UnprivilegedHub(ScrapedHub):
    """A hub that may read others no more than any user."""

    def command(self) -> list[str]:
        return [sys.executable, "-c", WITHOUT_CAPABILITIES, *super().command()]


def test_a_hub_without_privileges_can_show_its_own_process(scratch: Path) -> None:
    hub = UnprivilegedHub(scratch).start()
    seen = hub.scrape()
    assert seen.value("process_open_fds") > 5
    assert seen.value("process_resident_memory_bytes") > 10_000_000
    assert hub.stop() == 0


def test_a_taken_port_is_said(scratch: Path, hub: ScrapedHub) -> None:
    second = scratch / "second"
    second.mkdir()
    other = ScrapedHub(second)
    done = subprocess.run(
        other.command(),
        env=other.environment(METRICS_PORT=str(hub.metrics_port)),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{hub.metrics_port} (METRICS_PORT)" in done.stderr


def test_sighup_moves_the_port_and_loses_no_count(scratch: Path) -> None:
    hub = ScrapedHub(scratch)
    hub.metrics_port, other = free_port(), free_port()
    write_port(scratch, hub.metrics_port)
    HubProcess.start(hub)
    with hub.client() as client:
        client.request("ping")
        write_port(scratch, other)
        os.kill(hub.pid, signal.SIGHUP)
        wait_until(lambda: f":{other}/metrics" in hub.errors.read_text())
        seen = Scrape(other)
        assert seen.value("claudehub_requests_total", type="ping", code="ok") == 1
        with pytest.raises(OSError):
            hub.scrape()
        assert "at_next_start" not in hub.errors.read_text()
        write_port(scratch, int(hub.url.rpartition(":")[2]))  # taken, by the hub itself
        os.kill(hub.pid, signal.SIGHUP)
        wait_until(lambda: "METRICS_PORT stays as it was" in hub.errors.read_text())
        assert Scrape(other).value("claudehub_ready") == 1
        write_port(scratch, 0)
        os.kill(hub.pid, signal.SIGHUP)
        wait_until(lambda: is_closed(other))
    assert hub.stop() == 0


def write_port(scratch: Path, port: int) -> None:
    """Write the configuration where the hub looks for it."""
    folder = scratch / "claudehub"
    folder.mkdir(exist_ok=True)
    (folder / "config.toml").write_text(f"metrics_port = {port}\n")


def is_closed(port: int) -> bool:
    try:
        Scrape(port)
    except OSError:
        return True
    return False


def test_without_a_port_prometheus_client_is_not_imported() -> None:
    program = "import sys, actors.server.main; print('prometheus_client' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
