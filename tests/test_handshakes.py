"""Handshakes that are odd and legal, plain HTTP requests, a path behind a proxy, and localhost in
both families."""

import errno
import json
import socket
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from websockets.sync.client import connect

import claudehub
from actors.audit.auditor import PLAIN_REQUESTS_S
from actors.audit.trail import PLAIN_PEERS_MAX
from actors.config.faults import ConfigurationError
from actors.config.sources import load
from actors.frontend import listener as listener_module
from actors.frontend.addresses import FREE_PORT_TRIES_MAX
from actors.frontend.listener import Listener, listen
from actors.limits.peer import Peer
from actors.messages.audit import PlainRequestsBegan, _PlainRequestsDue
from claudehub.cli.main import main
from tests.fakes import inbox_of
from tests.harness import HubProcess
from tests.sockets import UPGRADE, port_of, raw, read_until
from tests.test_audit import Audited, lines_of
from tests.test_front_end import answer_to


def changed(*changes: tuple[bytes, bytes]) -> bytes:
    """The usual handshake with some of it replaced."""
    request = UPGRADE
    for old, new in changes:
        assert old in request
        request = request.replace(old, new, 1)
    return request


def status_of(hub: HubProcess, request: bytes) -> int:
    """The status, after the greeting if the hub lets it in."""
    with raw(hub) as sock:
        sock.sendall(request)
        head = read_until(sock, b"\r\n\r\n")
    return int(head.split(b" ", 2)[1])


LINE, UP, CONNECTION = b"GET / HTTP/1.1", b"Upgrade: websocket", b"Connection: Upgrade"
END = b"\r\n\r\n"  # the end of the headers

LEGAL = {
    "a whole URL": changed((LINE, b"GET http://hub.example/ HTTP/1.1")),
    "a whole URL with a port and a query": changed((LINE, b"GET HTTP://hub:80/?a=/b HTTP/1.1")),
    "a whole URL without a path": changed((LINE, b"GET ws://hub HTTP/1.1")),
    "a whole URL with a query only": changed((LINE, b"GET wss://[::1]:80?a HTTP/1.1")),
    "a query": changed((LINE, b"GET /?a=b&c HTTP/1.1")),
    "a long query": changed((LINE, b"GET /?" + b"x" * 9000 + b" HTTP/1.1")),
    "an empty line first": b"\r\n" + UPGRADE,
    "another protocol offered too": changed((UP, b"Upgrade: h2c, WebSocket")),
    "upgrade twice": changed((UP, UP + b"\r\n" + UP)),
    "upgrade in a list with gaps": changed((UP, b"Upgrade: , websocket,,")),
    "keep-alive": changed((CONNECTION, b"Connection: keep-alive, Upgrade")),
    "connection twice": changed((CONNECTION, b"Connection: keep-alive\r\nconnection: upgrade")),
    "an empty connection": changed((CONNECTION, CONNECTION + b"\r\nConnection:")),
    "an empty subprotocol": changed((END, b"\r\nSec-WebSocket-Protocol:\r\n\r\n")),
    "a subprotocol of blanks": changed((END, b"\r\nSec-WebSocket-Protocol: , \t,\r\n\r\n")),
    "an empty subprotocol beside one": changed(
        (END, b"\r\nSec-WebSocket-Protocol:\r\nSec-WebSocket-Protocol: claudehub.v1\r\n\r\n")
    ),
    "empty extensions": changed((END, b"\r\nSec-WebSocket-Extensions: \r\n\r\n")),
    "names in another case": changed((UP, b"UPGRADE:WEBSOCKET"), (b"Host: x", b"hOST:x")),
    "one long header": changed((END, b"\r\nX-Token: " + b"y" * 9000 + b"\r\n\r\n")),
    "no body, and it says so": changed((END, b"\r\nContent-Length: 0\r\n\r\n")),
}


@pytest.mark.parametrize("name", LEGAL)
def test_an_odd_handshake_is_accepted(hub: HubProcess, name: str) -> None:
    with raw(hub) as sock:
        sock.sendall(LEGAL[name])
        head, _, greeting = read_until(sock, b"}}").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    assert b'"welcome"' in greeting
    assert (b"Sec-WebSocket-Protocol: claudehub.v1" in head) == (name.endswith("beside one"))


REFUSED = {
    "HTTP/1.0": (changed((LINE, b"GET / HTTP/1.0")), 426),
    "HTTP/1.0 without upgrade": (b"GET / HTTP/1.0\r\n\r\n", 426),
    "HTTP/1.0 elsewhere": (changed((LINE, b"GET /x HTTP/1.0")), 404),
    "no upgrade": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 426),
    "HEAD": (b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", 426),
    "HEAD elsewhere": (b"HEAD /x HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    "HEAD with upgrade": (changed((b"GET", b"HEAD")), 405),
    "POST without upgrade": (b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", 426),
    "a method in lower case": (changed((b"GET", b"get")), 405),  # RFC 9110: case counts
    "another protocol only": (changed((UP, b"Upgrade: h2c")), 426),
    "no connection": (changed((CONNECTION, b"Connection: keep-alive")), 426),
    "upgrade that is no list": (changed((UP, b"Upgrade: web socket")), 426),
    "an empty upgrade": (changed((UP, b"Upgrade:")), 426),
    "all resources": (changed((LINE, b"OPTIONS * HTTP/1.1")), 404),
    "an authority": (changed((LINE, b"CONNECT hub:80 HTTP/1.1")), 404),
    "a long path": (changed((LINE, b"GET /" + b"x" * 9000 + b" HTTP/1.1")), 404),
    "another path of a whole URL": (changed((LINE, b"GET http://hub/x HTTP/1.1")), 404),
    "no path": (changed((LINE, b"GET ?a HTTP/1.1")), 404),
    "a folded header": (changed((END, b"\r\nX-Y: a\r\n b\r\n\r\n")), 400),  # RFC 9112, 5.2
    "a body": (changed((END, b"\r\nContent-Length: 2\r\n\r\n{}")), 400),
    "an unknown subprotocol": (changed((END, b"\r\nSec-WebSocket-Protocol: x\r\n\r\n")), 400),
    "two long headers": (changed((END, (b"\r\nX-Y: " + b"y" * 9000) * 2 + END)), 431),
    "many headers": (changed((END, b"\r\nX: y" * 129 + END)), 431),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_has_its_status_and_says_what_to_do(hub: HubProcess, name: str) -> None:
    request, status = REFUSED[name]
    head, _, body = answer_to(hub, request).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), head
    assert (len(body) > 10) != request.startswith(b"HEAD"), "a HEAD has an answer without a body"
    assert (b"\r\nUpgrade: websocket" in head) == (status == 426)
    if name == "HTTP/1.0":
        assert b"proxy_http_version 1.1" in body


# -- the path behind a proxy -----------------------------------------------------------------


PATHS = [
    ("/", 101), ("/hub", 101), ("/hub/", 101), ("/hub?a=b", 101), ("/%68ub", 101),
    ("http://x/hub", 101), ("/hub//", 404), ("/hub/x", 404), ("/hubx", 404), ("/HUB", 404),
    ("//", 404), ("/hub/../hub", 404),
]  # fmt: skip


@pytest.mark.parametrize("prefix", ["/hub", "/hub/"])
def test_a_path_that_a_proxy_leaves_is_served(share_hub: Any, prefix: str) -> None:
    hub = share_hub(PATH_PREFIX=prefix)
    for path, status in PATHS:
        request = changed((LINE, b"GET %b HTTP/1.1" % path.encode()))
        assert status_of(hub, request) == status, path
    for path in ("", "/", "/hub", "/hub/"):
        with claudehub.connect(hub.url + path) as client:
            assert client.health()["status"] == "ok"


def test_without_a_prefix_there_is_one_path(hub: HubProcess) -> None:
    for path in ("/hub", "/hub/", "//"):
        assert status_of(hub, changed((LINE, b"GET %b HTTP/1.1" % path.encode()))) == 404


@pytest.mark.parametrize("prefix", ["hub", "/hub?x", "/a b", "/hub#x", "http://x/hub"])
def test_a_prefix_that_is_none_is_a_fault(prefix: str) -> None:
    with pytest.raises(ConfigurationError, match=r"PATH_PREFIX: .*; example: PATH_PREFIX=/hub"):
        load({"path_prefix": prefix})
    assert load({"path_prefix": "/"}).path_prefix == load({}).path_prefix == ""
    assert load({"path_prefix": "/a/h%C3%BCb/"}).path_prefix == "/a/h\u00fcb"


# -- a load balancer's checks ----------------------------------------------------------------


@pytest.fixture
def audited(tmp_path: Path) -> Audited:
    return Audited(tmp_path)


def test_plain_requests_have_one_line_a_minute(audited: Audited) -> None:
    trail, auditor = audited.trail, audited.auditor
    for _ in range(1000):
        trail.plain_request(Peer(address="192.0.2.7", local_address="192.0.2.1"))
    audited.handle()
    due = [t for t in audited.timers.pending if t.message == _PlainRequestsDue()]
    assert [timer.delay_s for timer in due] == [PLAIN_REQUESTS_S]
    assert lines_of(audited.folder) == []
    auditor.on_receive(_PlainRequestsDue())
    (line,) = lines_of(audited.folder)
    assert (line["action"], line["ok"], line["code"]) == ("handshake_refused", False, "426")
    assert (line["address"], line["details"]) == ("192.0.2.7", {"count": 1000})
    auditor.on_receive(_PlainRequestsDue())
    assert len(lines_of(audited.folder)) == 1
    for number in range(3 * PLAIN_PEERS_MAX):
        trail.plain_request(Peer(address=f"192.0.2.{number}"))
    assert len(trail._plain_requests) == PLAIN_PEERS_MAX + 1
    audited.handle()
    assert sum(t.message == _PlainRequestsDue() for t in audited.timers.pending) == 2
    auditor.release()  # the stop writes what was counted
    line = lines_of(audited.folder)[-1]
    assert (line["address"], line["details"]) == (None, {"count": 3 * PLAIN_PEERS_MAX})


def test_counted_requests_hide_no_refusal(audited: Audited) -> None:
    for _ in range(1000):
        audited.trail.plain_request(Peer(address="192.0.2.7"))
    audited.trail.record("handshake_refused", peer=Peer(address="192.0.2.7"), code="403")
    codes = [getattr(message, "code", message) for message in inbox_of(audited.auditor)]
    assert codes == [PlainRequestsBegan(), "403"]


def test_the_checks_of_a_load_balancer_fill_no_log(start_hub: Any) -> None:
    hub = start_hub()
    for method in (b"GET", b"HEAD") * 10:
        assert status_of(hub, b"%b / HTTP/1.1\r\nHost: x\r\n\r\n" % method) == 426
    assert status_of(hub, b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n") == 404
    assert hub.stop() == 0
    text = (hub.data / "audit.jsonl").read_text()
    refused = [e for e in map(json.loads, text.splitlines()) if e["action"] == "handshake_refused"]
    assert [(e["code"], e.get("details")) for e in refused] == [
        ("404", None),
        ("426", {"count": 20}),
    ]
    audit = ["audit", "--data-dir", str(hub.data), "--action", "handshake_refused"]
    assert "  426  -  127.0.0.1  (20 times)" in CliRunner().invoke(main, audit).output


# -- localhost -------------------------------------------------------------------------------


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_localhost_is_both_families(start_hub: Any) -> None:
    hub = start_hub(BIND="localhost")
    port = port_of(hub)
    assert hub.line == f"listening on ws://localhost:{port}"
    for host in ("127.0.0.1", *(["[::1]"] if has_ipv6() else []), "localhost"):
        with connect(f"ws://{host}:{port}", proxy=None) as client:
            assert "welcome" in str(client.recv())
    assert hub.stop() == 0


class Families:
    """Listeners that fail as a system would."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **faults: list[int]) -> None:
        self.faults = {"127.0.0.1": faults.get("v4", []), "::1": faults.get("v6", [])}
        self.opened: list[Listener] = []
        monkeypatch.setattr(listener_module, "Listener", self.listener)

    def listener(self, host: str, port: int) -> Listener:
        if self.faults[host] and (fault := self.faults[host].pop(0)):
            raise OSError(fault, "as was asked for")
        self.opened.append(Listener("127.0.0.1", 0 if host == "::1" else port))
        return self.opened[-1]

    def close(self, listeners: list[Listener]) -> None:
        """Close these; all others are closed already."""
        assert [one for one in self.opened if one.socket.fileno() >= 0] == listeners
        for listener in listeners:
            listener.socket.close()


@pytest.mark.parametrize("fault", [errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT])
@pytest.mark.parametrize("family", ["v4", "v6"])
def test_a_machine_without_a_family_has_the_other(
    monkeypatch: pytest.MonkeyPatch, fault: int, family: str
) -> None:
    families = Families(monkeypatch, **{family: [fault]})
    found = listen("localhost", 0)
    assert len(found) == 1
    families.close(found)


def test_a_machine_without_loopback_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    families = Families(monkeypatch, v4=[errno.EADDRNOTAVAIL], v6=[errno.EAFNOSUPPORT])
    with pytest.raises(OSError, match="as was asked for"):
        listen("localhost", 0)
    families.close([])


def test_a_free_port_is_free_in_both_families(monkeypatch: pytest.MonkeyPatch) -> None:
    families = Families(monkeypatch, v6=[errno.EADDRINUSE] * 3)
    found = listen("localhost", 0)
    assert len(found) == 2
    families.close(found)
    families = Families(monkeypatch, v6=[errno.EADDRINUSE] * FREE_PORT_TRIES_MAX)
    with pytest.raises(OSError, match="as was asked for"):
        listen("localhost", 0)
    families.close([])


def test_a_port_that_another_program_has_in_one_family_is_refused(scratch: Any) -> None:
    if not has_ipv6():
        return
    with socket.socket(socket.AF_INET6) as other:
        other.bind(("::1", 0))
        other.listen()
        hub = HubProcess(scratch, BIND="localhost", WS_PORT=str(other.getsockname()[1]))
        with pytest.raises(AssertionError, match="cannot listen on localhost:"):
            hub.start()
        hub.stop()
