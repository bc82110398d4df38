"""Version 0 on the wire: who may come in, what is too much, and how a connection ends."""

import json
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect, unix_connect
from websockets.typing import Origin, Subprotocol

from tests.harness import TIMEOUT_S, HubProcess
from tests.processes import wait_until
from tests.v0_client import Client0

StartHub = Callable[..., HubProcess]


@pytest.fixture
def hub(start_hub: StartHub) -> HubProcess:
    return start_hub(PROTOCOL_V0="on")


def refusal(url: str, **options: object) -> tuple[int, str]:
    with pytest.raises(InvalidStatus) as refused, connect(url, **options):  # type: ignore[arg-type]
        pass
    response = refused.value.response
    return response.status_code, response.body.decode()


def at(hub: HubProcess, path: str) -> str:
    return hub.url.rstrip("/") + path


def test_the_path_is_there_only_where_it_is_switched_on(start_hub: StartHub) -> None:
    hub = start_hub()
    assert refusal(at(hub, "/ws"))[0] == 404
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(at(hub, "/health").replace("ws:", "http:"))


def test_sighup_switches_it(scratch: Path) -> None:
    config = scratch / "config.toml"
    config.write_text("")

    class Configured(HubProcess):
        def command(self) -> list[str]:
            return [*super().command(), "--config", str(config)]

    hub = Configured(scratch).start()
    try:
        assert refusal(at(hub, "/ws"))[0] == 404
        config.write_text('protocol_v0 = "on"\n')
        os.kill(hub.pid, signal.SIGHUP)
        wait_until(lambda: "configuration read again" in hub.errors.read_text())
        with Client0(hub) as client:
            client.send("project_list")
            assert client.receive()["type"] == "project_list"
    finally:
        assert hub.stop() == 0


def test_a_subprotocol_may_be_offered_and_others_are_refused(hub: HubProcess) -> None:
    with Client0(hub, subprotocols=[Subprotocol("claudehub.v0")]) as client:
        assert client.socket.subprotocol == "claudehub.v0"
    status, text = refusal(at(hub, "/ws"), subprotocols=[Subprotocol("claudehub.v1")])
    assert status == 400 and "claudehub.v0" in text
    assert refusal(hub.url, subprotocols=[Subprotocol("claudehub.v0")])[0] == 400


def test_a_port_that_needs_keys_refuses_it_and_the_unix_socket_serves_it(
    start_hub: StartHub, scratch: Path
) -> None:
    keys, path = scratch / "keys", scratch / "hub.sock"
    keys.write_text(
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHUZC1xFCCaNLBvDM7z8d9+7rZkQ3vQbGE4eO8J2m0bR a\n"
    )
    hub = start_hub(PROTOCOL_V0="on", AUTHORIZED_KEYS=str(keys), SOCKET=str(path))
    status, text = refusal(at(hub, "/ws"))
    assert status == 403 and "cannot use keys" in text
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(at(hub, "/health").replace("ws:", "http:"))
    with unix_connect(str(path), "ws://localhost/ws") as socket:
        socket.send('{"type":"project_list"}')
        assert json.loads(socket.recv(timeout=TIMEOUT_S))["data"]["total"] == 0


def test_origins_hold(start_hub: StartHub) -> None:
    page = "https://page.example"
    hub = start_hub(PROTOCOL_V0="on", ALLOWED_ORIGINS=page)
    assert refusal(at(hub, "/ws"), origin=Origin("https://other.example"))[0] == 403
    with Client0(hub, origin=Origin(page)) as client:
        client.send("project_list")
        assert client.receive()["type"] == "project_list"


def test_max_conn_holds(start_hub: StartHub) -> None:
    hub = start_hub(PROTOCOL_V0="on", MAX_CONN="2")
    with Client0(hub), hub.client():
        assert refusal(at(hub, "/ws"))[0] == 503


def test_the_rate_limit_holds(start_hub: StartHub) -> None:
    hub = start_hub(PROTOCOL_V0="on", RATE_LIMIT="1")
    with Client0(hub) as client:
        for _ in range(10):
            client.send("project_list")
        frames = [client.receive() for _ in range(10)]
        refused = [f["data"] for f in frames if f["type"] == "error"]
        assert refused and {data["code"] for data in refused} == {"RESOURCE_LIMIT"}
        assert refused[0]["details"]["message_type"] == "project_list"
        assert refused[0]["details"]["retry_after_seconds"] > 0


def test_it_is_reached_behind_a_proxys_path(start_hub: StartHub) -> None:
    hub = start_hub(PROTOCOL_V0="on", PATH_PREFIX="/hub")
    with connect(at(hub, "/hub/ws")) as socket:
        socket.send('{"type":"project_list"}')
        assert json.loads(socket.recv(timeout=TIMEOUT_S))["type"] == "project_list"


def test_health_scripts_get_their_answer(hub: HubProcess) -> None:
    address = at(hub, "/health").replace("ws:", "http:")
    with Client0(hub), Client0(hub), urllib.request.urlopen(address) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "application/json"
        assert json.loads(answer.read()) == {"status": "healthy", "connections": 2}
    head = urllib.request.Request(address, method="HEAD")
    with urllib.request.urlopen(head) as answer:
        assert (answer.status, answer.read()) == (200, b"")
    assert "handshake refused" not in hub.errors.read_text()


def test_what_cannot_be_understood_is_answered_and_the_connection_goes_on(hub: HubProcess) -> None:
    sent = ["hello", "[1]", "{}", '{"type":5}', '{"type":""}', '{"type":"ping"}', '{"type":"x"']
    with Client0(hub) as client:
        for text in sent:
            client.socket.send(text)
        codes = [client.receive()["data"]["code"] for _ in sent]
        assert codes == ["JSON_PARSING", *["VALIDATION_FAILED"] * 5, "JSON_PARSING"]
        client.send("project_list")
        assert client.receive()["type"] == "project_list"


@pytest.mark.parametrize(
    ("message", "code"),
    [(b'{"type":"project_list"}', 1003), ("x" * 1_100_000, 1009)],
    ids=["binary", "long"],
)
def test_a_binary_frame_and_a_long_one_close(
    hub: HubProcess, message: str | bytes, code: int
) -> None:
    with Client0(hub) as client:
        client.socket.send(message)
        with pytest.raises(ConnectionClosed) as closed:
            client.receive()
    assert closed.value.rcvd is not None and closed.value.rcvd.code == code


def test_a_stop_closes_with_1001(start_hub: StartHub) -> None:
    hub = start_hub(PROTOCOL_V0="on")
    with Client0(hub) as client:
        client.send("project_list")
        client.receive()
        assert hub.stop() == 0
        with pytest.raises(ConnectionClosed) as closed:
            client.receive()
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1001


def test_a_drain_refuses_prompts(scratch: Path) -> None:
    hub = HubProcess(scratch, PROTOCOL_V0="on", STOP_GRACE="20s").start()
    try:
        with Client0(hub) as client:
            project_id = client.create(hub.folder("p"))
            client.join(project_id)
            client.send("execute", prompt="[[hang]]")
            client.wait_for("agent_message")
            os.kill(hub.pid, signal.SIGTERM)
            wait_until(lambda: "draining" in hub.errors.read_text())
            client.send("project_create", path=hub.folder("q"))
            assert client.wait_for("error")["data"]["code"] == "INTERNAL_ERROR"
            client.send("agent_kill")
            client.wait_for("agent_kill")
    finally:
        hub.stop()


def test_compression_is_agreed_on(hub: HubProcess) -> None:
    with Client0(hub) as client:
        assert [extension.name for extension in client.socket.protocol.extensions] == [
            "permessage-deflate"
        ]
        project_id = client.create(hub.folder("compressed"))
        client.join(project_id)
        client.send("execute", prompt="[[text:the whole text]]")
        frames = client.until("project_state", state="IDLE")
        assert "the whole text" in [frame["data"].get("result") for frame in frames]


def test_the_audit_log_names_its_requests(hub: HubProcess) -> None:
    folder = hub.folder("audited")
    with Client0(hub) as client:
        project_id = client.create(folder)
        client.send("execute", project_id, prompt="x")  # it has not joined
        client.wait_for("error")

    def entries() -> list[tuple[str, str | None, bool]]:
        lines = (hub.data / "audit.jsonl").read_text().splitlines()
        found = [json.loads(line) for line in lines]
        return [(e["action"], e["project_id"], e["ok"]) for e in found]

    wanted = {("project_create", project_id, True), ("execute", project_id, False)}
    wait_until(lambda: wanted <= set(entries()))
