"""Good inputs, for mutations to begin with."""

import base64
import json
import zlib

from protocol import codec
from protocol.ssh.wire import string
from storage import record
from tests.sockets import UPGRADE, frame

STAMP = "2026-11-23T08:14:33.123456Z"
SEGMENT_NAME = "00000000000000000001-20261123T081433Z.jsonl"

HANDSHAKE = UPGRADE
HANDSHAKE_DEFLATE = (
    UPGRADE[:-2] + b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
)
HANDSHAKES = tuple(
    b"\x40" + head
    for head in (
        HANDSHAKE,
        HANDSHAKE_DEFLATE,
        UPGRADE[:-2] + b"Origin: https://good\r\nSec-WebSocket-Protocol: claudehub.v1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
        UPGRADE + frame(1, b'{"type":"ping"}'),
    )
)


def _deflated(message: bytes) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = (compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
    whole = frame(1, data)
    return bytes([whole[0] | 0x40]) + whole[1:]


_PING = b'{"type":"ping","payload":{"a":1}}'
FRAMES = tuple(
    b"\x00" + data
    for data in (
        frame(1, _PING),
        frame(1, _PING[:9], fin=False) + frame(0, _PING[9:]),
        frame(9, b"x") + frame(10, b"") + frame(8, b"\x03\xe8bye"),
        _deflated(_PING) + _deflated(b"y" * 4000),
        frame(2, b"\x00\x01"),
        frame(1, "\u20ac\U0001f600".encode()),
    )
)

_PAYLOADS = {
    "authenticate": {"public_key": "ssh-ed25519 AAAA x", "signature": "-----BEGIN", "host": "x:1"},
    "project_create": {"path": "/home/x", "project_id": "p", "name": "N", "continue": False},
    "project_join": {"project_id": "p", "after_seq": 5, "log_id": "x", "ephemeral": False},
    "execute": {
        "project_id": "p",
        "content": [{"type": "text", "text": "hi"}],
        "options": {"model": "m", "max_turns": 3, "allowed_tools": ["Bash(a:*)"]},
        "key": "k",
    },
    "permission_answer": {
        "project_id": "p",
        "permission_id": "q",
        "decision": "allow",
        "updated_input": {"a": [1, 2.5, None, "\u2028"]},
        "remember": True,
    },
    "get_messages": {"project_id": "p", "since": STAMP, "limit": 10},
    "ping": {"x": [[[]]]},
    "health_check": None,
}
REQUESTS = tuple(
    json.dumps({"type": kind, "id": "7", "payload": payload}).encode()
    for kind, payload in _PAYLOADS.items()
)

# Made up for this file, and thrown away: only the public halves are here.
_ED25519 = (
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFlKzqM6dGrRsfPdcYaZ2xIBEvQKTsWZ1cCBmaXnHBEE ann@laptop"
)


def _key_line(kind: str, *fields: bytes) -> str:
    blob = b"".join(string(field) for field in (kind.encode(), *fields))
    return f"{kind} {base64.b64encode(blob).decode()} ann@laptop"


_POINT = bytes.fromhex(  # the base point of P-256
    "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
)
_MODULUS = b"\x00" + bytes([0xC3]) + bytes(range(1, 255)) + b"\x01"
KEYS = (
    _ED25519,
    _key_line("ecdsa-sha2-nistp256", b"nistp256", _POINT),
    _key_line("ssh-rsa", b"\x01\x00\x01", _MODULUS),
    _key_line("sk-ssh-ed25519@openssh.com", b"\x59" * 32, b"ssh:"),
    _key_line("sk-ecdsa-sha2-nistp256@openssh.com", b"nistp256", _POINT, b"ssh:"),
)


def _certificate() -> bytes:
    """By itself of no authority, and so refused at the last step only."""
    key = b"\x59" * 32
    kind = b"ssh-ed25519-cert-v01@openssh.com"
    authority = string(b"ssh-ed25519") + string(b"\x58" * 32)
    signature = string(string(b"ssh-ed25519") + string(bytes(64)))
    body = string(kind) + string(bytes(32)) + string(key) + bytes(8) + b"\0\0\0\1"
    body += string(b"id") + string(string(b"ann")) + bytes(8) + b"\xff" * 8
    body += string(string(b"source-address") + string(string(b"10.0.0.0/8")))
    body += string(b"") + string(b"") + string(authority) + signature
    return kind + b" " + base64.b64encode(body)


KEY_LINES = (*(line.encode() for line in KEYS), _certificate())
AUTHORIZED_KEYS = (
    "\n".join(KEYS).encode(),
    f'from="10.0.0.0/8,!10.0.0.1",claudehub="projects=a,b;read-only" {_ED25519}\n'.encode(),
    f'expiry-time="202712312359Z" {_ED25519}\n# x\n\nno-pty {_ED25519}'.encode(),
    f'cert-authority,principals="ann,bob" {_ED25519}\r\n'.encode(),
)


HOSTS = (b"hub.example.org.:8080", b"[fe80::1%eth0]:443", b"[::ffff:10.0.0.1]:80", b"10.0.0.1:1")
URLS = (
    b"wss://Hub.example/x?y=z",
    b"ws://a:b@[2001:db8::1]:80",
    "ws://b\u00fccher.example".encode(),
)


def _signature(kind: bytes, key: bytes, body: bytes) -> bytes:
    blob = b"SSHSIG" + (1).to_bytes(4, "big") + string(key) + string(b"claudehub") + string(b"")
    blob += string(b"sha512") + string(string(kind) + body)
    text = base64.b64encode(blob)
    return b"-----BEGIN SSH SIGNATURE-----\n" + text + b"\n-----END SSH SIGNATURE-----"


_R_AND_S = string(b"\x01" * 32) + string(b"\x02" * 32)
_BODIES = (
    string(bytes(64)),
    string(_R_AND_S),
    string(bytes(256)),
    string(bytes(64)) + b"\x01\0\0\0\5",
    string(_R_AND_S) + b"\x01\0\0\0\5",
)
SIGNATURES = tuple(
    _signature(
        b"rsa-sha2-512" if line.startswith("ssh-rsa") else line.split()[0].encode(),
        base64.b64decode(line.split()[1]),
        body,
    )
    for line, body in zip(KEYS, _BODIES, strict=True)
)

AGENT_LINES = tuple(
    json.dumps(line).encode()
    for line in (
        {"type": "system", "subtype": "init", "session_id": "s", "model": "m", "uuid": "u"},
        {
            "type": "result",
            "subtype": "success",
            "is_error": False,
            "result": "x",
            "total_cost_usd": 0.5,
            "session_id": "s",
        },
        {
            "type": "control_request",
            "request_id": "1",
            "request": {
                "subtype": "can_use_tool",
                "tool_name": "Bash",
                "input": {"command": "ls"},
                "permission_suggestions": [{"type": "setMode", "mode": "acceptEdits"}],
            },
        },
        {"type": "control_response", "response": {"subtype": "success", "request_id": "1"}},
        {"type": "control_cancel_request", "request_id": "1"},
        {"type": "stream_event", "event": {"type": "message_start"}, "session_id": "s"},
        {"type": "system", "subtype": "task_started", "task_id": "t"},
        {"type": "assistant", "message": {"content": [{"type": "text", "text": "\u2028"}]}},
        [1, 2.5e300, None, "text"],
    )
)

(_BODY,) = codec.update_bodies("p", [("claude", b'{"t":1}', None)])
RECORDS = 5
_LINES = [record.encode(seq, STAMP.encode(), _BODY) for seq in range(1, RECORDS + 1)]
SEGMENTS = (
    b"".join(_LINES),
    b"".join(_LINES[:2]) + _LINES[2][:40],
    _LINES[0] + bytes(512) + _LINES[1],
    _LINES[0] + b"noise\n" + _LINES[4],
)
METADATA = (
    json.dumps(
        {
            "version": 1,
            "project_id": "p",
            "name": "P",
            "path": "/home/x/p",
            "created_at": STAMP,
            "last_active": STAMP,
            "session_id": "s",
            "log": {"log_id": "8ba16a0d1768055b", "boot_id": "boot", "checkpoint": None},
        }
    ).encode(),
)
CONFIGURATIONS = (
    b'ws_port = 8080\nheartbeat = "30s"\nallowed_origins = "https://a,https://b"\n',
    b'agent_limits = "nofile=4096 nproc=512 as=8GiB cpu=1h"\nlog_sync = "interval"\n',
    b'max_message_bytes = "64KiB"\ncompression = false\nbind = "::1"\n',
    b"claude_cmd = sh -c 'a b' \"c\"",
    b"exec_timeout = 1h30m",
)
