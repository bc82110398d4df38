"""The hub behind nginx, Caddy and HAProxy, as docs/deploy.md configures them. Needs all three, and
is run by .ci/proxies, which sees to that."""

import http.client
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

import claudehub
from tests.document_session import free_port
from tests.harness import TIMEOUT_S, HubProcess, WireClient
from tests.processes import wait_until
from tests.proxies import (
    HEARTBEAT,
    KINDS,
    NAME,
    Certificate,
    Ports,
    Proxy,
    make_certificate,
)
from tests.test_access import Keys

ORIGIN = f"https://{NAME}"
# Longer than two heartbeats, and than the timeouts of the proxies.
IDLE_S = 3.5
RELOADS = 3
LONG = 900_000

EACH = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


class Site:
    """A hub with keys, and proxies in front of it. `name_leads_here` makes NAME lead to them."""

    def __init__(self, scratch: Path, certificate: Certificate) -> None:
        self._scratch = scratch
        self._certificate = certificate
        self.keys = Keys(scratch)
        self.ports = Ports(free_port(), free_port(), free_port())
        self.hub = HubProcess(
            scratch,
            WS_PORT=str(self.ports.hub),
            METRICS_PORT=str(self.ports.health),
            AUTHORIZED_KEYS=str(self.keys.file),
            PUBLIC_NAMES=NAME,
            ALLOWED_ORIGINS=ORIGIN,
            HEARTBEAT=HEARTBEAT,
            PATH_PREFIX="/hub",
        )

    @property
    def url(self) -> str:
        return f"wss://{NAME}:{self.ports.proxy}"

    def proxy(self, kind: str) -> Proxy:
        folder = self._scratch / kind
        folder.mkdir(exist_ok=True)
        return Proxy(kind, folder, self.ports, self._certificate).configure()

    def trusting(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self._certificate.authority)

    def name_leads_here(self, monkeypatch: pytest.MonkeyPatch) -> None:
        resolve = socket.getaddrinfo

        def resolved(name: str, port: int, *rest: Any, **options: Any) -> Any:
            assert name in (NAME, "127.0.0.1"), name
            return resolve("127.0.0.1", port, *rest, **options)

        monkeypatch.setattr(socket, "getaddrinfo", resolved)
        monkeypatch.setenv("SSL_CERT_FILE", str(self._certificate.authority))

    def connect(self, path: str = "") -> claudehub.Hub:
        return claudehub.connect(self.url + path, key=self.keys.key)

    def wire(self, path: str = "", **options: Any) -> WireClient:
        return WireClient(self.url + path, ssl=self.trusting(), **options)

    def status(self, path: str = "/") -> int:
        """Return the status with which a plain GET is answered."""
        link = http.client.HTTPSConnection(
            NAME, self.ports.proxy, timeout=TIMEOUT_S, context=self.trusting()
        )
        link.request("GET", path)
        status = link.getresponse().status
        link.close()
        return status


@pytest.fixture
def site(
    scratch: Path, certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Site]:
    made = Site(scratch, certificate)
    made.name_leads_here(monkeypatch)
    made.hub.start()
    yield made
    assert made.hub.stop() == 0


@EACH
def test_a_client_with_a_key_runs_a_prompt_idles_and_sends_much(site: Site, kind: str) -> None:
    with site.proxy(kind), site.connect() as hub:
        wait_until(lambda: site.status("/readyz") != 503)
        assert hub.url == site.url
        states: list[claudehub.State] = []
        hub.on_state(states.append)
        project = hub.project(site.hub.folder("shop"))
        execution = project.execute("[[text:hello]]")
        assert execution.wait(timeout_s=TIMEOUT_S) == "success" and execution.text == "hello"
        threading.Event().wait(IDLE_S)  # only the heartbeat keeps the connection
        large = project.execute(f"[[big:{2 * LONG}]] " + "x" * LONG)
        assert large.wait(timeout_s=TIMEOUT_S) == "success"
        assert len(large.text) == 2 * LONG
        assert states == [], "the connection was lost"
        audit = (site.hub.data / "audit.jsonl").read_text()
        assert '"user":"ann@laptop"' in audit.replace(" ", "")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "caddy"])
def test_a_timeout_below_the_heartbeat_ends_an_idle_connection(site: Site, kind: str) -> None:
    """So the case above would notice a missing heartbeat. Caddy has no such timeout."""
    impatient = site.proxy(kind).configure(timeout="300ms")
    with impatient, site.wire() as client, pytest.raises(ConnectionClosed):
        client.socket.recv(timeout=TIMEOUT_S)


@EACH
def test_only_the_names_of_public_names_are_taken(
    site: Site, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.hub.stop()
    site.hub.start(PUBLIC_NAMES="other.example.org")
    with site.proxy(kind), pytest.raises(claudehub.ConnectFailed, match="PUBLIC_NAMES"):
        site.connect()


@EACH
def test_a_web_pages_origin_reaches_the_hub(site: Site, kind: str) -> None:
    with site.proxy(kind):
        site.wire(origin=ORIGIN).close()
        with pytest.raises(InvalidStatus) as refused:
            site.wire(origin="https://evil.example")
        assert refused.value.response.status_code == 403


@EACH
def test_forwarded_addresses_are_not_believed(site: Site, kind: str) -> None:
    with site.proxy(kind):
        headers = {"X-Forwarded-For": "192.0.2.7", "Forwarded": "for=192.0.2.7"}
        with site.wire(additional_headers=headers) as client:
            assert client.refused("ping")["code"] == "unauthenticated"
    site.hub.stop()
    audit = (site.hub.data / "audit.jsonl").read_text()
    assert "127.0.0.1" in audit and "192.0.2.7" not in audit


@EACH
def test_below_a_path_the_rest_of_the_name_is_free(site: Site, kind: str) -> None:
    with site.proxy(kind).configure(below=True):
        with site.connect("/hub") as hub:
            assert hub.projects() == []
        assert site.status("/hub") == 426
        assert site.status("/") != 426, "the hub answers what is not its own"


@EACH
def test_while_the_hub_is_away_the_proxy_says_so_and_then_finds_it(site: Site, kind: str) -> None:
    away = 502 if kind == "nginx" else 503
    with site.proxy(kind):
        wait_until(lambda: site.status() == 426)
        site.hub.stop()
        wait_until(lambda: site.status() == away)
        site.hub.start()
        wait_until(lambda: site.status() == 426)
        if kind == "nginx":
            assert site.status("/readyz") == 200
        with site.connect() as hub:
            assert hub.health()["status"] == "ok"


class Follower:
    """A client that collects what a project says, in a thread of its own, until `last` has come."""

    def __init__(self, site: Site, project_id: str) -> None:
        self._hub = site.connect()
        self._project = self._hub.project(project_id)
        self.seqs: list[int] = []
        self.losses = 0
        self.is_connected = True
        self._hub.on_state(self._on_state)
        self._thread = threading.Thread(target=self._follow)
        self._thread.start()

    def _on_state(self, state: claudehub.State) -> None:
        self.losses += state is claudehub.State.WAITING
        self.is_connected = state is claudehub.State.CONNECTED

    def _follow(self) -> None:
        for update in self._project.follow(after=0, ephemeral=False):
            if update.seq is not None:
                self.seqs.append(update.seq)
            if isinstance(update, claudehub.ExecutionFinished):
                return

    def finish(self) -> None:
        """Wait for the end of the execution, which the thread waits for, too."""
        self._thread.join(TIMEOUT_S)
        alive = self._thread.is_alive()
        self._hub.close()
        self._thread.join(TIMEOUT_S)
        assert not alive, f"no end after {len(self.seqs)} updates and {self.losses} losses"


@EACH
def test_reloads_of_the_proxy_lose_no_update(site: Site, kind: str) -> None:
    with site.proxy(kind) as proxy, site.connect() as hub:
        project = hub.project(site.hub.folder("shop"))
        follower = Follower(site, project.id)
        try:
            execution = project.execute("[[lines:1000000]] [[pace:0.005]]")
            for number in range(1, RELOADS + 1):
                seen = len(follower.seqs)
                wait_until(lambda seen=seen: len(follower.seqs) > seen)
                proxy.reload()
                wait_until(lambda number=number: follower.losses >= number)
                wait_until(lambda: follower.is_connected)
            execution.kill()
            assert execution.wait(timeout_s=TIMEOUT_S) == "killed"
        finally:
            follower.finish()
        assert follower.seqs == list(range(1, project.info().last_seq + 1))
        assert len(follower.seqs) > RELOADS
