"""What a client has dialled, and which names are a hub's own."""

import os
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

import claudehub
from actors.access.hub_names import HubNames
from actors.config.faults import ConfigurationError
from actors.config.sources import load
from actors.frontend.certificates import Certificates
from actors.frontend.machine_names import MachineNames
from actors.limits.peer import Peer
from protocol.host import dialled, host_name, own_name
from tests.conftest import make_tls_files
from tests.harness import HubProcess, WireClient
from tests.processes import wait_until
from tests.test_access import Keys, keys
from tests.test_ssh import proof

__all__ = ["keys"]

NEAR = Peer(address="127.0.0.1", local_address="127.0.0.1")
FAR = Peer(address="192.0.2.7", local_address="192.0.2.1")


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("hub.example.org:8080", "hub.example.org"),
        ("hub.example.org.:443", "hub.example.org"),
        ("localhost:1", "localhost"),
        ("my_hub:65535", "my_hub"),
        ("xn--bcher-kva.example:80", "xn--bcher-kva.example"),
        ("192.0.2.1:80", "192.0.2.1"),
        ("[2001:db8:0::1]:80", "2001:db8::1"),
        ("[::ffff:192.0.2.1]:80", "192.0.2.1"),
        ("[fe80::1%eth0]:80", "fe80::1"),
    ],
)
def test_the_name_of_a_host(host: str, name: str) -> None:
    assert host_name(host) == name


@pytest.mark.parametrize(
    "host",
    [
        "", ":80", "hub", "hub:", "hub:0", "hub:080", "hub:65536", "hub:99999", "hub:+80",
        "hub:8_0", "Hub:80", "hub:80 ", " hub:80", "hub:80\n", "hub:\u0661", "h\u00fcb:80", "ws://hub:80",
        "a@hub:80", "hub/x:80", "hub..example:80", ".hub:80", "-hub:80", "*.hub:80", "hub\x00:80",
        "::1:80", "[::1]", "[::1]:", "[::G]:80", "[127.0.0.1]:80", "[hub]:80", "[::1%]:80",
        f"{'a' * 64}:80", f"{'a.' * 130}:80", "x" * 10_000,
    ],
)  # fmt: skip
def test_what_is_no_host(host: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        host_name(host)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("ws://hub.example.org", "hub.example.org:80"),
        ("wss://hub.example.org/hub", "hub.example.org:443"),
        ("wss://HUB.Example.ORG:8443/?a=b", "hub.example.org:8443"),
        ("ws://ann:secret@hub:9000", "hub:9000"),
        ("ws://127.0.0.1:8080", "127.0.0.1:8080"),
        ("ws://[::1]:8080", "[::1]:8080"),
        ("wss://[2001:DB8::1]", "[2001:db8::1]:443"),
        ("ws://[fe80::1%25eth0]:80", "[fe80::1%eth0]:80"),
        ("ws://b\u00fccher.example", "xn--bcher-kva.example:80"),
    ],
)
def test_the_host_of_a_url(url: str, host: str) -> None:
    assert dialled(url) == host


@pytest.mark.parametrize("url", ["http://hub", "unix:/run/hub.sock", "hub:80", "ws://", "ws://h:x"])
def test_a_url_that_dials_nothing_has_no_host(url: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        dialled(url)


@pytest.mark.parametrize(
    ("host", "near", "far"),
    [
        ("hub.example.org:8080", True, True),
        ("hub.example.org:1", True, True),  # tunnels and proxies change the port
        ("a.tail1234.ts.net:443", True, True),
        ("a.b.tail1234.ts.net:443", False, False),  # a wildcard is for one label, as in TLS
        ("tail1234.ts.net:443", False, False),
        ("[2001:db8::5]:80", True, True),
        ("evil.example.org:8080", False, False),
        ("xhub.example.org:8080", False, False),
        ("localhost:8080", True, False),
        ("127.9.9.9:8080", True, False),
        ("[::1]:8080", True, False),
        ("[::ffff:127.0.0.1]:8080", True, False),
        ("192.0.2.1:8080", False, False),  # where it came in, but not named
        ("machine:80", False, False),
        ("cert.example:80", False, False),
    ],
)
def test_public_names_are_all_but_loopback(host: str, near: bool, far: bool) -> None:
    public = [own_name(n) for n in ("Hub.example.org", "*.tail1234.ts.net", "[2001:DB8:0::5]")]
    names = HubNames(public, certificate=lambda: ("cert.example",), machine=lambda: ("machine",))
    assert (names.are_dialled_by(NEAR, host), names.are_dialled_by(FAR, host)) == (near, far)


@pytest.mark.parametrize(
    ("host", "near", "far"),
    [
        ("cert.example:80", True, True),
        ("a.wild.example:80", True, True),
        ("10.0.0.1:80", True, True),  # an address in the certificate
        ("machine:80", True, True),
        ("192.0.2.1:8080", False, True),
        ("localhost:80", True, False),
        ("127.0.0.1:80", True, False),
        ("192.0.2.7:8080", False, False),  # the client's own
        ("evil.example:80", False, False),
    ],
)
def test_without_public_names_the_hub_knows_its_own(host: str, near: bool, far: bool) -> None:
    certificate = ("cert.example", "*.wild.example", "10.0.0.1")
    names = HubNames((), certificate=lambda: certificate, machine=lambda: ("machine",))
    assert (names.are_dialled_by(NEAR, host), names.are_dialled_by(FAR, host)) == (near, far)


def test_an_address_counts_in_each_of_its_forms() -> None:
    peer = Peer(address="::ffff:192.0.2.7", local_address="::ffff:192.0.2.1")
    assert HubNames(()).are_dialled_by(peer, "192.0.2.1:80")
    peer = Peer(address="fe80::2%eth0", local_address="fe80::1%eth0")
    assert HubNames(()).are_dialled_by(peer, "[fe80::1%wlan0]:80")
    mapped = Peer(address="::ffff:127.0.0.1", local_address="::ffff:127.0.0.1")
    assert HubNames(()).are_dialled_by(mapped, "localhost:80")


def resolving(monkeypatch: pytest.MonkeyPatch, node: str, canonical: str | None) -> MachineNames:
    """The names of a machine with that host name, whose resolver gives that name."""

    def resolve(_name: str, _port: None, *, flags: int) -> list[Any]:
        assert flags == socket.AI_CANONNAME
        if canonical is None:
            raise socket.gaierror(-2, "Name or service not known")
        return [(2, 1, 6, canonical, ("192.0.2.1", 0)), (2, 2, 17, "", ("192.0.2.1", 0))]

    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", node, "6", "1", "x")))
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    made = MachineNames()
    made.ask()
    return made


@pytest.mark.parametrize(
    ("node", "canonical", "names"),
    [
        ("Hub", "hub.example.org", {"hub", "hub.example.org"}),
        ("hub.example.org", "hub.example.org", {"hub", "hub.example.org"}),
        ("hub", None, {"hub"}),
        ("hub", "evil.example.org", {"hub"}),  # a resolver may add a domain, and nothing else
        ("localhost", "localhost.localdomain", set()),  # the name of every machine
        ("hub", "localhost", {"hub"}),
        ("my hub!", None, set()),
    ],
)
def test_the_machines_name_with_and_without_its_domain(
    monkeypatch: pytest.MonkeyPatch, node: str, canonical: str | None, names: set[str]
) -> None:
    assert set(resolving(monkeypatch, node, canonical).names) == names


def test_a_slow_resolver_does_not_delay_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = threading.Event()
    monkeypatch.setattr("actors.frontend.machine_names.DOMAIN_WAIT_S", 0.01)
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "hub", "6", "1", "x")))

    def resolve(*_: Any, **__: Any) -> list[Any]:
        answer.wait(20)
        return [(2, 1, 6, "hub.example.org", ())]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    made = MachineNames()
    made.ask()
    assert made.names == ("hub",)
    answer.set()
    wait_until(lambda: "hub.example.org" in made.names)


def test_the_names_follow_the_certificate(tmp_path: Path) -> None:
    files = make_tls_files(tmp_path)
    certificates = Certificates(files.certificate, files.key)
    assert set(certificates.names()) == {"localhost", "127.0.0.1"}
    subject = ["-subj", "/CN=ignored.example", "-addext"]
    names = "subjectAltName=DNS:New.Example,DNS:*.wild.example,IP:2001:db8::5,DNS:bad name"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    out = ["-keyout", str(files.key), "-out", str(files.certificate)]
    subprocess.run([*command, *out, *subject, names], check=True, capture_output=True)
    assert certificates.reload()
    assert set(certificates.names()) == {"new.example", "*.wild.example", "2001:db8::5"}
    subprocess.run([*command, *out, *subject[:2]], check=True, capture_output=True)
    assert certificates.reload() and certificates.names() == ()


@pytest.mark.parametrize(
    "name", ["hub:80", "ws://hub", "*", "*.", "*.*.x", "*.10.0.0.1", "a b", "\u00fc"]
)
def test_a_public_name_that_is_none_is_a_fault(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"PUBLIC_NAMES: .*example: PUBLIC_NAMES=hub"):
        load({"public_names": f"good.example,{name}"})
    assert load({"public_names": "A.example, *.B.example"}).public_names == (
        "a.example",
        "*.b.example",
    )


def test_the_start_says_which_names_count(start_hub: Any, keys: Keys) -> None:
    hub: HubProcess = start_hub(
        AUTHORIZED_KEYS=str(keys.file), PUBLIC_NAMES="B.example,*.c.example"
    )
    said = 'names="PUBLIC_NAMES (b.example, *.c.example)"'
    wait_until(lambda: said in hub.errors.read_text())  # it comes behind the line of the address
    own = HubNames((), certificate=lambda: ("a.example", "hub"), machine=lambda: ("hub",))
    assert str(own).startswith("a.example, hub, and the address of each connection")
    assert str(HubNames(())).startswith("no name, and the address")


def test_the_hub_takes_its_own_names_over_a_socket(start_hub: Any, keys: Keys) -> None:
    hub: HubProcess = start_hub(AUTHORIZED_KEYS=str(keys.file))
    port = hub.url.rpartition(":")[2]
    own = ["127.0.0.1", "localhost", "[::1]", os.uname().nodename.lower().partition(".")[0]]
    for name, taken in [*((name, True) for name in own), ("evil.example", False)]:
        with hub.client() as client:
            challenge = client.welcome["auth"]["challenge"]
            assert client.welcome["auth"]["version"] == 2
            answer = client.ask("authenticate", **proof(keys.key, challenge, f"{name}:{port}"))
            assert (answer["type"] == "result") is taken, answer
    assert "PUBLIC_NAMES=evil.example" in answer["payload"]["message"]


def test_the_commands_sign_what_was_dialled_through_a_tunnel(
    start_hub: Any, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user's name leads to another address and port than the hub's own."""
    hub: HubProcess = start_hub(AUTHORIZED_KEYS=str(keys.file), PUBLIC_NAMES="*.example.org")
    resolve = socket.getaddrinfo
    port = int(hub.url.rpartition(":")[2])

    def tunnel(name: str, number: int, **options: Any) -> Any:
        assert (name, number) == ("hub.example.org", 443)
        return resolve("127.0.0.1", port, **options)

    monkeypatch.setattr(socket, "getaddrinfo", tunnel)
    with claudehub.connect("ws://HUB.example.org:443", key=keys.key) as client:
        assert client.projects() == []


def test_the_recipe_in_the_documentation_works(start_hub: Any, keys: Keys) -> None:
    page = (Path(__file__).parents[1] / "docs" / "protocol-keys.md").read_text()
    (recipe,) = [line for line in page.splitlines() if line.startswith("printf ")]
    hub: HubProcess = start_hub(AUTHORIZED_KEYS=str(keys.file))
    with WireClient(hub.url) as client:
        environment = {
            "PATH": os.environ["PATH"],
            "challenge": client.welcome["auth"]["challenge"],
            "host": client.host,
        }
        command = recipe.replace("~/.ssh/id_ed25519", str(keys.key))
        made = subprocess.run(
            ["sh", "-c", command], env=environment, capture_output=True, text=True, check=True
        )
        public_key = keys.key.with_suffix(".pub").read_text()
        given = {"public_key": public_key, "signature": made.stdout, "host": client.host}
        assert client.request("authenticate", **given) == {"user": "ann@laptop"}
