"""What docs/protocol-keys.md says about signatures, tried: its program and its tables of bytes."""

import base64
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from protocol.ssh import parse_public_key, verify
from tests.fences import fences
from tests.harness import ROOT, HubProcess
from tests.test_ssh import keygen, public, signed

PAGE = ROOT / "docs" / "protocol-keys.md"
TEXT_OF_A_HUB = "claudehub-auth-v2\nclaudehub 1 2 3\nhub.example.org:443\n"


def signature_program(folder: Path) -> ModuleType:
    """Return the page's program that signs, as a module."""
    path = folder / "signature_of_the_page.py"
    (program,) = (fence.text for fence in fences(PAGE) if fence.language == "python")
    path.write_text(program)
    spec = importlib.util.spec_from_file_location("signature_of_the_page", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_signs_as_ssh_keygen_does(scratch: Path) -> None:
    """ed25519 gives the same signature each time."""
    key = keygen(scratch)
    private = serialization.load_ssh_private_key(key.read_bytes(), None)
    made = signature_program(scratch).authenticate(
        private, "claudehub 1 2 3", "hub.example.org:443"
    )

    def unarmored(text: str) -> bytes:
        return base64.b64decode("".join(text.strip().split("\n")[1:-1]))

    theirs = signed(key, TEXT_OF_A_HUB.encode())
    assert unarmored(made["signature"]) == unarmored(theirs)
    assert made["public_key"] == " ".join(public(key).split()[:2])


def test_a_hub_takes_what_the_page_signs(share_hub: Any, scratch: Path) -> None:
    key = keygen(scratch)
    hub: HubProcess = share_hub(AUTHORIZED_KEYS=str(key.with_suffix(".pub")))
    private = serialization.load_ssh_private_key(key.read_bytes(), None)
    with hub.client() as client:
        challenge = client.welcome["auth"]["challenge"]
        made = signature_program(scratch).authenticate(private, challenge, client.host)
        assert client.request("authenticate", **made) == {"user": "ann@laptop"}


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_the_table_of_bytes_holds_for_ecdsa(scratch: Path, curve: Any) -> None:
    """Made by hand as the page says, many times: `r` and `s` differ in length."""
    string = signature_program(scratch).string
    key = ec.generate_private_key(curve)
    size = curve.key_size
    name = f"nistp{size}".encode()
    point = key.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    kind = string(b"ecdsa-sha2-" + name)
    blob = kind + string(name) + string(point)
    line = f"ecdsa-sha2-nistp{size} {base64.b64encode(blob).decode()}"
    shared = string(b"claudehub") + string(b"") + string(b"sha256")
    digest = hashes.Hash(hashes.SHA256())
    digest.update(TEXT_OF_A_HUB.encode())
    to_sign = b"SSHSIG" + shared + string(digest.finalize())
    own_hash = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}[size]

    def number(value: int) -> bytes:
        data = value.to_bytes((value.bit_length() + 7) // 8, "big")
        return string(b"\0" + data if data[0] & 0x80 else data)

    for _ in range(20):
        r, s = decode_dss_signature(key.sign(to_sign, ec.ECDSA(own_hash)))
        whole = b"SSHSIG\0\0\0\1" + string(blob) + shared
        whole += string(kind + string(number(r) + number(s)))
        armored = base64.b64encode(whole).decode()
        text = f"-----BEGIN SSH SIGNATURE-----\n{armored}\n-----END SSH SIGNATURE-----\n"
        verify(parse_public_key(line)[0], text, TEXT_OF_A_HUB.encode())
