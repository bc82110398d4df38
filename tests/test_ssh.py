"""Keys, signatures and authorized_keys, against what the system's ssh-keygen makes."""

import base64
import hashlib
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.rights import Rights
from protocol.ssh import SshError, parse_authorized_keys, parse_public_key, verify
from protocol.ssh.options import parse_options
from protocol.ssh.wire import string

CHALLENGE = b"claudehub challenge"
KINDS = (("ed25519", ""), ("ecdsa", "256"), ("ecdsa", "384"), ("ecdsa", "521"), ("rsa", "2048"))


def keygen(folder: Path, kind: str = "ed25519", bits: str = "", name: str = "key") -> Path:
    path = folder / name
    size = ["-b", bits] if bits else []
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, *size, "-N", "", "-C", "ann@laptop", "-f", str(path)],
        check=True,
    )
    return path


def signed(key: Path, message: bytes = CHALLENGE, namespace: str = "claudehub") -> str:
    command = ["ssh-keygen", "-Y", "sign", "-q", "-n", namespace, "-f", str(key)]
    return subprocess.run(command, input=message, check=True, capture_output=True).stdout.decode()


def proof(
    key: Path, challenge: str, host: str = "hub.example:80", *, namespace: str = "claudehub"
) -> dict[str, str]:
    """The payload of `authenticate`."""
    text = f"claudehub-auth-v2\n{challenge}\n{host}\n"
    signature = signed(key, text.encode(), namespace)
    return {"public_key": public(key), "signature": signature, "host": host}


def public(key: Path) -> str:
    return key.with_suffix(".pub").read_text()


@pytest.mark.parametrize(("kind", "bits"), KINDS)
def test_signatures_of_ssh_keygen_are_good(tmp_path: Path, kind: str, bits: str) -> None:
    key = keygen(tmp_path, kind, bits)
    parsed, comment = parse_public_key(public(key))
    verify(parsed, signed(key), CHALLENGE)
    assert comment == "ann@laptop"
    shown = subprocess.run(
        ["ssh-keygen", "-l", "-f", str(key)], check=True, capture_output=True, text=True
    )
    assert parsed.fingerprint == shown.stdout.split()[1]


@pytest.mark.parametrize("hashed", ["sha256", "sha512"])
def test_both_hashes_of_rsa_are_good(tmp_path: Path, hashed: str) -> None:
    key = keygen(tmp_path, "rsa", "2048")
    command = ["ssh-keygen", "-Y", "sign", "-q", "-n", "claudehub", "-f", str(key)]
    command += ["-O", f"hashalg={hashed}"]
    made = subprocess.run(command, input=CHALLENGE, check=True, capture_output=True).stdout
    verify(parse_public_key(public(key))[0], made.decode(), CHALLENGE)


def test_other_signatures_are_refused(tmp_path: Path) -> None:
    key, other = keygen(tmp_path), keygen(tmp_path, name="other")
    parsed = parse_public_key(public(key))[0]

    def refusal(armored: str, message: bytes = CHALLENGE) -> str:
        with pytest.raises(SshError) as refused:
            verify(parsed, armored, message)
        return str(refused.value)

    good = signed(key)
    assert "over this challenge" in refusal(good, b"another")
    assert "another key" in refusal(signed(other))
    assert "namespace 'file'" in refusal(signed(key, namespace="file"))
    assert "stand between" in refusal(good[1:])
    assert "base64" in refusal(good.replace("U1NIU0lH", "U1NIU0l!"))
    assert "characters" in refusal("-----BEGIN SSH SIGNATURE-----" + "A" * 20_000)
    assert "no SSH signature" in refusal(rewritten(good, b"SSHSIG", b"SSHSOG"))
    assert "version 2" in refusal(rewritten(good, b"SSHSIG\0\0\0\1", b"SSHSIG\0\0\0\2"))
    assert "sha256 or sha512" in refusal(rewritten(good, b"sha512", b"sha123"))
    assert "goes on" in refusal(rewritten(good, b"", b"", behind=b"x"))
    assert refusal(rewritten(good, b"", b"", cut=5)) == "is cut short"


def rewritten(armored: str, old: bytes, new: bytes, *, behind: bytes = b"", cut: int = 0) -> str:
    lines = armored.strip().split("\n")
    data = base64.b64decode("".join(lines[1:-1]))
    data = (data.replace(old, new) if old else data) + behind
    encoded = base64.b64encode(data[: len(data) - cut]).decode()
    return f"{lines[0]}\n{encoded}\n{lines[-1]}\n"


@pytest.mark.parametrize(
    "kind", ["sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"]
)
def test_a_security_key_must_be_touched(kind: str) -> None:
    """The test makes the signature itself (PROTOCOL.u2f), since ssh-keygen needs the hardware."""
    line, touched = security_key(kind, flags=1)
    _, untouched = security_key(kind, flags=0)
    verify(parse_public_key(line)[0], touched, CHALLENGE)
    with pytest.raises(SshError, match="another key"):
        verify(parse_public_key(line)[0], untouched, CHALLENGE)
    line, untouched = security_key(kind, flags=0)
    with pytest.raises(SshError, match="without a touch"):
        verify(parse_public_key(line)[0], untouched, CHALLENGE)
    with pytest.raises(SshError, match="over this challenge"):
        verify(parse_public_key(line)[0], security_key_again(line, untouched), CHALLENGE)


def security_key_again(line: str, armored: str) -> str:
    """The flag set behind the back of the key."""
    lines = armored.split("\n")
    data = bytearray(base64.b64decode(lines[1]))
    data[-5] |= 1
    return "\n".join([lines[0], base64.b64encode(bytes(data)).decode(), lines[2]])


def security_key(kind: str, flags: int) -> tuple[str, str]:
    """A public key of that kind and its signature over the challenge."""
    application, name = b"ssh:", kind.encode()
    message = (
        b"SSHSIG"
        + string(b"claudehub")
        + string(b"")
        + string(b"sha512")
        + string(hashlib.sha512(CHALLENGE).digest())
    )
    message = (
        hashlib.sha256(application).digest()
        + bytes([flags])
        + bytes(4)
        + hashlib.sha256(message).digest()
    )
    if "ed25519" in kind:
        key = ed25519.Ed25519PrivateKey.generate()
        raw = serialization.Encoding.Raw, serialization.PublicFormat.Raw
        blob = string(name) + string(key.public_key().public_bytes(*raw)) + string(application)
        signature = key.sign(message)
    else:
        curve = ec.generate_private_key(ec.SECP256R1())
        point = serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        blob = string(name) + string(b"nistp256")
        blob += string(curve.public_key().public_bytes(*point)) + string(application)
        numbers = decode_dss_signature(curve.sign(message, ec.ECDSA(hashes.SHA256())))
        signature = b"".join(string(n.to_bytes(33)) for n in numbers)
    signature = string(name) + string(signature) + bytes([flags]) + bytes(4)
    parts = (blob, b"claudehub", b"", b"sha512", signature)
    whole = b"SSHSIG" + (1).to_bytes(4) + b"".join(string(part) for part in parts)
    armored = "-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----"
    encoded = base64.b64encode(whole).decode()
    return f"{kind} {base64.b64encode(blob).decode()} token", armored.format(encoded)


def test_weak_and_unknown_keys_are_refused(tmp_path: Path) -> None:
    def refusal(line: str) -> str:
        with pytest.raises(SshError) as refused:
            parse_public_key(line)
        return str(refused.value)

    good = public(keygen(tmp_path))
    assert "not a supported kind of key" in refusal("ssh-dss AAAA")
    assert "not a supported kind of key" in refusal("")
    assert "cannot be read" in refusal("ssh-ed25519 !!!")
    assert "cannot be read" in refusal("ssh-ed25519")
    assert "cannot be read" in refusal(good.replace("ssh-ed25519", "ssh-rsa"))
    assert "characters" in refusal("ssh-ed25519 " + "A" * 10_000)
    assert "2048 to 16384 bits, not 1024" in refusal(
        public(keygen(tmp_path, "rsa", "1024", "small"))
    )


def test_authorized_keys_is_read_as_by_openssh(tmp_path: Path) -> None:
    line = public(keygen(tmp_path)).strip()
    bare = " ".join(line.split()[:2])
    text = "\n".join(
        [
            "# a comment",
            "",
            line,
            f"  \t{bare}",
            f'from="10.0.0.0/8",claudehub="projects=a, b;read-only"  {line} with more words',
            f'expiry-time="20300101Z",FROM="*" {bare}\t tabbed',
            f'command="echo \\"a b\\"" {line}',
            f"no-pty {line}",
            f'principals="ann" {line}',
            "ssh-ed25519 AAAA broken",
            "garbage",
            f'claudehub="admin" {line}',
            f'claudehub="projects=" {line}',
            f'from="10.0.0.1/8" {line}',
            f'from="" {line}',
            f'expiry-time="tomorrow" {line}',
            f'from="unfinished {line}',
            f"claudehub=projects {line}",
            f'from="10.0.0.1",from="*" {line}',
            f'claudehub="read-only",claudehub="projects=a" {line}',
            f'claudehub="projects=a;projects=b" {line}',
        ]
    )
    parsed = parse_authorized_keys(text)
    users = [key.user for key in parsed.keys]
    fingerprint = parse_public_key(line)[0].fingerprint
    assert users == ["ann@laptop", fingerprint, "ann@laptop with more words", "tabbed"]
    rights = parsed.keys[2].options.rights
    assert rights == Rights(read_only=True, projects=frozenset({"a", "b"}))
    assert parsed.keys[3].options.expires_at == datetime(2030, 1, 1, tzinfo=UTC)
    named = [warning.split(":")[0] for warning in parsed.warnings]
    assert named == [f"line {number}" for number in range(7, 22)]
    assert "'command' is not understood" in parsed.warnings[0]


def test_a_long_file_is_read_up_to_its_limit() -> None:
    parsed = parse_authorized_keys("\n" * 10_001)
    assert parsed.warnings == ("line 10001: lines beyond 10000 are not read",)


@pytest.mark.parametrize(
    ("patterns", "address", "admitted"),
    [
        ("*,!2001:db8:0:0::1", "2001:db8::1", False),
        ("10.0.0.0/8", "10.9.8.7", True),
        ("10.0.0.0/8", "11.0.0.1", False),
        ("10.0.0.0/8", "::ffff:10.1.1.1", True),
        ("10.*", "10.1.1.1", True),
        ("10.0.0.?", "10.0.0.12", False),
        ("*,!10.0.0.1", "10.0.0.1", False),
        ("!10.0.0.0/24,10.0.0.0/8", "10.0.1.1", True),
        ("!10.0.0.1", "10.0.0.2", False),
        ("2001:db8::/32", "2001:db8::5", True),
        ("fe80::*", "fe80::1%eth0", True),
        ("10.0.0.1", None, False),
    ],
)
def test_from_matches_addresses_as_in_openssh(
    patterns: str, address: str | None, *, admitted: bool
) -> None:
    assert parse_options(f'from="{patterns}"').admits(address) is admitted


def test_expiry_is_local_time_without_a_z() -> None:
    options = parse_options('expiry-time="202712312359"')
    local = datetime(2027, 12, 31, 23, 59).astimezone()
    assert options.expires_at == local
    assert not options.has_expired(datetime(2027, 1, 1, tzinfo=UTC))
    assert options.has_expired(local)
    assert parse_options('expiry-time="20271231235958Z"').expires_at is not None


def test_ssh_keygen_is_there() -> None:
    """Without it half of this file would test nothing."""
    assert shutil.which("ssh-keygen")


def test_a_point_that_is_compressed_is_refused() -> None:
    """The library raises NotImplementedError for it, which once ended the actor."""
    curve = ec.generate_private_key(ec.SECP256R1()).public_key()
    compressed = serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint
    kind = b"ecdsa-sha2-nistp256"
    blob = string(kind) + string(b"nistp256") + string(curve.public_bytes(*compressed))
    with pytest.raises(SshError, match="cannot be read"):
        parse_public_key(f"{kind.decode()} {base64.b64encode(blob).decode()}")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, bytes]:
    """A public key, and a signature without its armor."""
    key = keygen(tmp_path_factory.mktemp("keys"))
    return public(key), base64.b64decode("".join(signed(key).split("\n")[1:-2]))


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_a_broken_signature_is_always_an_ssh_error(data: Any, made: tuple[str, bytes]) -> None:
    """A longer run by hand tried hundreds of thousands."""
    line, whole = made
    at = data.draw(st.integers(0, len(whole) - 1))
    broken = (
        whole[:at] + data.draw(st.binary(max_size=8)) + whole[at + data.draw(st.integers(0, 8)) :]
    )
    armored = base64.b64encode(broken).decode()
    key, _ = parse_public_key(line)
    if broken != whole:
        with pytest.raises(SshError):
            verify(
                key, f"-----BEGIN SSH SIGNATURE-----{armored}-----END SSH SIGNATURE-----", CHALLENGE
            )


@given(before=st.text(max_size=60), at=st.integers(0, 100), put=st.text(max_size=5))
@settings(max_examples=300, deadline=None)
def test_any_text_can_be_read_as_authorized_keys(
    before: str, at: int, put: str, made: tuple[str, bytes]
) -> None:
    line = made[0].strip()
    parsed = parse_authorized_keys(f"{before} {line[:at]}{put}{line[at:]}")
    for entry in parsed.keys:
        entry.options.admits("10.0.0.1")
    assert len(parsed.keys) + len(parsed.warnings) <= 20
