"""Clients that read slowly, little, or never; and those beside them."""

import contextlib
import re
import socket
from typing import Any

from tests.harness import HubProcess
from tests.processes import wait_until
from tests.sockets import UPGRADE, close_of, frame, port_of, read_all, read_until, upgraded


def test_a_slow_reader_is_closed_and_the_others_do_not_notice(start_hub: Any) -> None:
    hub = start_hub(SLOW_CLIENT_BYTES="1MiB")
    with upgraded(hub, receive_buffer=64 * 1024) as slow, hub.client() as client:
        client.request("project_create", path=hub.folder("p"))
        slow.sendall(frame(1, b'{"type":"project_join","payload":{"project_id":"p"}}'))
        read_until(slow, b'"log_id"')
        client.request("project_join", project_id="p")
        client.request("execute", project_id="p", prompt="[[lines:10000]][[pace:0.00005]]")
        while "it reads too slowly" not in hub.errors.read_text():
            client.updates.append(client.receive()["payload"])
        # What was sent before the end is whole and without a hole; then the connection ends, and
        # says where to go on.
        data = read_all(slow)
        got = [int(n) for n in re.findall(rb'"payload":{"seq":(\d+),', data)]
        assert got == list(range(1, len(got) + 1))
        assert close_of(data) == (1013, f"slow consumer; join p again, after_seq {len(got)}")
        client.wait_for("execution_finished")
        seqs = [u["seq"] for u in client.updates if "seq" in u]
        assert seqs == list(range(1, len(seqs) + 1))
        assert 100 < len(got) < len(seqs)


def test_a_client_that_asks_and_never_reads_is_closed(start_hub: Any) -> None:
    hub = start_hub(HEARTBEAT="400ms")
    with hub.client() as client:
        client.request("project_create", path=hub.folder("p"))
        client.run_after_join("p", "[[lines:3000]]")
    with socket.socket() as deaf:
        deaf.settimeout(10)
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        deaf.connect(("127.0.0.1", port_of(hub)))
        deaf.sendall(UPGRADE)
        read_until(deaf, b"welcome")
        deaf.sendall(frame(1, b'{"type":"ping"}'))
        read_until(deaf, b'"result"')
        ask = frame(1, b'{"type":"get_messages","payload":{"project_id":"p","limit":100}}')
        with contextlib.suppress(OSError):  # it is closed in the middle of this
            for _ in range(500):
                deaf.sendall(ask)
        wait_until(lambda: connections_seen_by_a_new_client(hub) == 1)


def connections_seen_by_a_new_client(hub: HubProcess) -> int:
    """An older one may itself be late with a pong, on a busy machine."""
    with hub.client() as client:
        seen: int = client.request("health_check")["connections"]
        return seen


def test_a_reply_larger_than_the_limit_does_not_close_its_client(start_hub: Any) -> None:
    hub = start_hub(SLOW_CLIENT_BYTES="1KiB")
    with hub.client() as client:
        client.request("project_create", path=hub.folder("p"))
        client.request("project_join", project_id="p")
        client.run("p", "[[lines:50]]")
        for _ in range(5):
            client.send({"type": "get_messages", "payload": {"project_id": "p"}})
        for _ in range(5):
            assert len(client.reply()["payload"]["messages"]) > 50
        assert client.request("ping") == {}
