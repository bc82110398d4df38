"""Certificates of users: made by the system's ssh-keygen, taken where authorized_keys says so."""

import base64
import dataclasses
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import freezegun
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_ssh_private_key
from hypothesis import given
from hypothesis import strategies as st

from actors import messages
from actors.access import keyring as keyring_module
from actors.access.keyring import Keyring
from claudehub.client.identity import Identity
from protocol.host import signed_text
from protocol.ssh import SshError, parse_authorized_keys, parse_certificate, verify
from protocol.ssh.wire import Blob, string
from protocol.updates import AuthOffer
from tests.test_client_actor import Setup
from tests.test_ssh import CHALLENGE, keygen, proof, public, signed

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
HERE = "10.0.0.1"  # of Setup's connection


def certify(
    folder: Path, *options: str, kind: str = "ed25519", bits: str = "", ca_kind: str = "ed25519"
) -> tuple[Path, Path]:
    """A key with a certificate beside it, and its authority's key."""
    authority = folder / "ca"
    if not authority.exists():
        keygen(folder, ca_kind, name="ca")
    key = folder / "key"
    if not key.exists():
        keygen(folder, kind, bits)
    given = options or ("-I", "ann's laptop", "-n", "ann,deploy", "-V", "-1h:+1h")
    command = ["ssh-keygen", "-q", "-s", str(authority), *given, str(key.with_suffix(".pub"))]
    subprocess.run(command, check=True)
    return key, authority


def line_of(key: Path) -> str:
    return key.with_name("key-cert.pub").read_text()


class Door:
    """A connection in front of an authorized_keys with one line for the authority."""

    def __init__(self, folder: Path, key: Path, line: str) -> None:
        self.key = key
        self.file = folder / "authorized_keys"
        self.file.write_text(line)
        self.keyring = Keyring(self.file)
        self.setup = Setup(self.keyring)
        self.setup.client.started()

    def enter(self, line: str | None = None) -> dict[str, Any]:
        offer = self.setup.gate.offer
        assert offer is not None
        text = line_of(self.key) if line is None else line
        given = {**proof(self.key, offer.challenge), "public_key": text}
        self.setup.say("authenticate", **given)
        payload: dict[str, Any] = self.setup.sent()[-1]["payload"]
        return payload


def authority_line(authority: Path, options: str = 'cert-authority,principals="ann"') -> str:
    return f"{options} {public(authority)}"


@pytest.mark.parametrize(
    ("kind", "bits", "ca_kind"),
    [
        ("ed25519", "", "ed25519"),
        ("ecdsa", "256", "ed25519"),
        ("ecdsa", "521", "ecdsa"),
        ("rsa", "2048", "rsa"),
    ],
)
def test_a_certificate_of_an_authority_is_taken(
    tmp_path: Path, kind: str, bits: str, ca_kind: str
) -> None:
    key, authority = certify(tmp_path, kind=kind, bits=bits, ca_kind=ca_kind)
    door = Door(tmp_path, key, authority_line(authority))
    assert door.enter() == {"user": "ann's laptop"}


def test_ssh_keygen_signs_with_a_certificate_too(tmp_path: Path) -> None:
    """The signature names the certificate then, not the key."""
    key, _ = certify(tmp_path)
    certificate = parse_certificate(line_of(key))
    with_certificate = signed(key.with_name("key-cert.pub"))
    verify(certificate.key, with_certificate, CHALLENGE, certificate=certificate.blob)
    with pytest.raises(SshError, match="another key"):
        verify(certificate.key, with_certificate, CHALLENGE)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (
            "{ca}",
            "is not in AUTHORIZED_KEYS",
        ),  # a key like others, whose signature proves nothing more
        ('cert-authority,principals="bob" {ca}', "for other names"),
        ("cert-authority {ca}", "for other names"),  # of the hub's user, which is not ann
        (
            'cert-authority,principals="ann",from="10.9.0.0/16" {ca}',
            "may not be used from 10.0.0.1",
        ),
        ('cert-authority,principals="ann",expiry-time="20200101" {ca}', "has expired"),
        ('cert-authority,principals="ann" {key}', "is not in AUTHORIZED_KEYS"),
        (
            "{key}",
            "is not in AUTHORIZED_KEYS",
        ),  # the key may come in by itself, not by its certificate
    ],
)
def test_the_options_of_an_authoritys_line_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, code: str
) -> None:
    monkeypatch.setattr(
        keyring_module, "_user", lambda: SimpleNamespace(pw_name="somebody", pw_dir="/")
    )
    key, authority = certify(tmp_path)
    door = Door(tmp_path, key, line.format(ca=public(authority), key=public(key)))
    refusal = door.enter()
    assert refusal["code"] == "unauthenticated" and code in refusal["message"]


def test_the_users_name_is_the_principal_where_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        keyring_module, "_user", lambda: SimpleNamespace(pw_name="deploy", pw_dir="/")
    )
    key, authority = certify(tmp_path)
    assert "user" in Door(tmp_path, key, authority_line(authority, "cert-authority")).enter()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("-I", "x", "-n", "bob"), "for other names"),
        (("-I", "x"), "for other names"),  # for nobody by name, and so for nobody
        (("-I", "x", "-n", "ann", "-V", "+1h:+2h"), "not valid yet"),
        (("-I", "x", "-n", "ann", "-V", "-2h:-1h"), "has expired"),
        (("-I", "x", "-n", "ann", "-O", "source-address=10.9.0.0/16"), "may not be used from"),
        (("-I", "x", "-n", "ann", "-O", "force-command=date"), "'force-command', which is not"),
        (("-I", "x", "-n", "ann", "-O", "critical:ours@x=1"), "'ours@x', which is not"),
        (("-I", "x", "-n", "ann", "-h"), "is no certificate of a user"),
    ],
)
def test_the_limits_in_a_certificate_hold(
    tmp_path: Path, options: tuple[str, ...], reason: str
) -> None:
    key, authority = certify(tmp_path, *options)
    refusal = Door(tmp_path, key, authority_line(authority)).enter()
    assert refusal["code"] == "unauthenticated" and reason in refusal["message"]


def test_a_certificate_may_be_bound_to_addresses(tmp_path: Path) -> None:
    options = ("-I", "", "-n", "ann", "-O", f"source-address={HERE}/32,::1/128")
    key, authority = certify(tmp_path, *options)
    # Without an id its user is the comment of the authority's line.
    assert Door(tmp_path, key, authority_line(authority)).enter() == {"user": "ann@laptop"}


def test_an_id_is_one_line(tmp_path: Path) -> None:
    key, authority = certify(tmp_path, "-I", "ann\n\x1b[31mroot", "-n", "ann")
    assert Door(tmp_path, key, authority_line(authority)).enter() == {"user": "ann[31mroot"}


def test_an_authority_cannot_authenticate_itself(tmp_path: Path) -> None:
    _, authority = certify(tmp_path)
    door = Door(tmp_path, authority, authority_line(authority))
    refusal = door.enter(public(authority))
    assert "is not in AUTHORIZED_KEYS" in refusal["message"]


def test_rights_are_those_of_the_authoritys_line(tmp_path: Path) -> None:
    key, authority = certify(tmp_path)
    options = 'cert-authority,principals="ann",claudehub="read-only"'
    door = Door(tmp_path, key, authority_line(authority, options))
    assert "user" in door.enter()
    door.setup.say("execute", project_id="p", prompt="x")
    assert door.setup.sent()[-1]["payload"]["code"] == "forbidden"


def test_a_connection_ends_with_its_certificate_or_authority(tmp_path: Path) -> None:
    key, authority = certify(tmp_path, "-I", "x", "-n", "ann", "-V", "20261128:20261129")
    with freezegun.freeze_time(NOW) as clock:
        door = Door(tmp_path, key, authority_line(authority))
        assert "user" in door.enter()
        assert door.setup.gate.look_again() is None
        clock.tick(12 * 3600 - 60)
        door.setup.client.on_receive(messages._KeyExpiryDue())
        assert door.setup.timers.pending[-1].delay_s == 60.0  # its end is the certificate's
        clock.tick(12 * 3600 + 60)
        assert "has expired" in str(door.setup.gate.look_again())
    with freezegun.freeze_time(NOW):
        door = Door(tmp_path, key, authority_line(authority))
        assert "user" in door.enter()
        door.file.write_text("# nobody any more\n")
        door.keyring.reload()
        assert "is not in AUTHORIZED_KEYS" in str(door.setup.gate.look_again())


def test_a_sha1_signature_of_an_authority_is_refused(tmp_path: Path) -> None:
    """cryptography's own SSHCertificate accepts it."""
    key, authority = certify(tmp_path, ca_kind="rsa")
    kind, encoded = line_of(key).split()[:2]
    blob = base64.b64decode(encoded)
    body = blob[: -4 - len(signature_of(blob))]
    private = load_ssh_private_key(authority.read_bytes(), None)
    assert isinstance(private, rsa.RSAPrivateKey)
    weak = private.sign(body, padding.PKCS1v15(), hashes.SHA1())
    forged = base64.b64encode(body + string(string(b"ssh-rsa") + string(weak))).decode()
    with pytest.raises(SshError, match="must be rsa-sha2-256"):
        parse_certificate(f"{kind} {forged}")


def signature_of(blob: bytes) -> bytes:
    """The last string of a certificate of an Ed25519 key."""
    fields = Blob(blob)
    for _ in range(3):
        fields.string()
    fields.take(12)
    fields.string()
    fields.string()
    fields.take(16)
    for _ in range(4):
        fields.string()
    return fields.string()


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> str:
    return line_of(certify(tmp_path_factory.mktemp("keys"))[0])


@given(at=st.integers(0, 399), flip=st.integers(1, 255), cut=st.integers(0, 400))
def test_a_changed_certificate_is_refused(line: str, at: int, flip: int, cut: int) -> None:
    kind, encoded = line.split()[:2]
    blob = bytearray(base64.b64decode(encoded))
    blob[at % len(blob)] ^= flip
    for changed in (bytes(blob), bytes(blob[:cut])):
        with pytest.raises(SshError):
            parse_certificate(f"{kind} {base64.b64encode(changed).decode()}")


@pytest.mark.parametrize(
    "text",
    [
        "ssh-dss-cert-v01@openssh.com AAAA",
        "ssh-ed25519-cert-v01@openssh.com",
        "ssh-ed25519-cert-v01@openssh.com !!!",
        "ssh-ed25519-cert-v01@openssh.com " + "A" * 40_000,
        "ecdsa-sha2-nistp256-cert-v01@openssh.com AAAAB3NzaC1yc2EAAA==",
    ],
)
def test_a_text_that_is_no_certificate_is_an_error(text: str) -> None:
    with pytest.raises(SshError):
        parse_certificate(text)


@pytest.mark.parametrize(
    "options", ['cert-authority="x"', 'principals="ann"', 'cert-authority,principals=""']
)
def test_a_contradictory_line_is_not_used(tmp_path: Path, options: str) -> None:
    parsed = parse_authorized_keys(f"{options} {public(keygen(tmp_path))}")
    assert parsed.keys == () and len(parsed.warnings) == 1


def test_a_certificate_may_be_valid_for_ever(tmp_path: Path) -> None:
    key, _ = certify(tmp_path, "-I", "x", "-n", "ann")
    certificate = parse_certificate(line_of(key))
    assert certificate.expires_at is None
    ancient = dataclasses.replace(certificate, valid_from=datetime(1970, 1, 1, tzinfo=UTC))
    assert ancient.problem(frozenset(("ann",)), None, NOW) is None


def test_our_commands_show_the_certificate_first(tmp_path: Path) -> None:
    key, _ = certify(tmp_path)
    challenge = "claudehub s c-1 2026-11-28T12:00:00Z 00"
    offer = AuthOffer(challenge=challenge, namespace="claudehub").model_dump()
    first, second = Identity(key).proofs(offer, "hub:80")
    assert first.public_key == line_of(key).strip() and second.public_key == public(key).strip()
    certificate = parse_certificate(first.public_key)
    text = signed_text(challenge, "hub:80")
    verify(certificate.key, first.signature, text, certificate=certificate.blob)
