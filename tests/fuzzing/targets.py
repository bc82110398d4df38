"""The targets: what is read, the inputs that a mutation begins with, and what must hold."""

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN

from actors.access.hub_names import HubNames
from actors.config.faults import ConfigurationError
from actors.config.sources import load
from actors.frontend.handshake import HandshakeRules, RequestReader, new_protocol
from actors.frontend.wire import Assembler, FrameLimits, MessageRefused
from actors.limits.peer import Peer
from actors.runtime.clock import SystemClock
from protocol import claude, codec, host
from protocol.dialect import VERSION_1
from protocol.ssh import (
    SshError,
    is_certificate,
    parse_authorized_keys,
    parse_certificate,
    parse_public_key,
    verify,
)
from storage import record
from storage.errors import StorageError
from storage.layout import DataLayout
from storage.log_state import SyncPolicy
from storage.message_log import LogSettings, open_log
from storage.projects import ProjectMeta, ProjectStore, Unreadable
from tests.fuzzing import seeds
from tests.reading import read_after

LINE_BYTES_MAX = 4096
_LIMITS = FrameLimits(message_bytes=4096)
_RULES = HandshakeRules(allowed_origins=("https://good",), limits=_LIMITS, compression=True)
_LOG = LogSettings(rotate_bytes=600, sync=SyncPolicy.NEVER, boot_id="boot")
# One folder for all inputs of a run: a new one for each would be most of its time.
_scratch = tempfile.TemporaryDirectory(prefix="claudehub-fuzzing-")


@dataclass(frozen=True, slots=True)
class Target:
    """`weight`: its share of the inputs of a whole run; those on files are slow."""

    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...]
    weight: int = 10


def handshake(data: bytes) -> None:
    """In two pieces, so that every border is met."""
    protocol = new_protocol(_RULES, SystemClock())
    opening = RequestReader(protocol, _RULES, lambda: True)
    cut = data[0] if data else 0
    for piece in (data[1 : 1 + cut], data[1 + cut :]):
        answer = opening.feed(piece) if piece else None
        if answer is not None:
            assert answer.startswith(b"HTTP/1.1 ")
            assert (protocol.state is OPEN) == answer.startswith(b"HTTP/1.1 101 ")
            return


def frames(data: bytes) -> None:
    """What a peer sends once it is in, compressed or not, as Connection reads it."""
    protocol = new_protocol(_RULES, SystemClock())
    opening = RequestReader(protocol, _RULES, lambda: True)
    opening.feed(seeds.HANDSHAKE_DEFLATE if data[:1] < b"\x80" else seeds.HANDSHAKE)
    assembler = Assembler(_LIMITS)
    protocol.receive_data(data[1:])
    for event in protocol.events_received():
        assert isinstance(event, Frame)
        if event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            try:
                message = assembler.add(event)
            except MessageRefused as refused:
                protocol.fail(refused.code, refused.reason)
                break
            assert message is None or len(message) <= _LIMITS.message_bytes
    protocol.data_to_send()


def requests(data: bytes) -> None:
    """Every message has one answer, which can be written."""
    text = data.decode("utf-8", errors="replace")
    try:
        request = codec.decode(text)
        assert data not in seeds.REQUESTS or request.id == "7"
    except codec.Undecodable as refusal:
        (answer,) = VERSION_1.error(refusal, refusal.error)
        assert json.loads(answer)["type"] == "error"
        return
    (result,) = VERSION_1.result(request, {}, now="", beside={})
    json.loads(result)


def authorized_keys(data: bytes) -> None:
    """And what its lines say of an address and a time."""
    now = SystemClock().now()
    parsed = parse_authorized_keys(data.decode("utf-8", errors="replace"))
    for entry in parsed.keys:
        for peer in (Peer("10.0.0.1"), Peer("fe80::1%eth0"), Peer("::ffff:10.0.0.1"), Peer(uid=0)):
            entry.options.admits(peer.address)
        entry.options.has_expired(now)


def hosts(data: bytes) -> None:
    """What is taken is one line, and its name means the same when it is read again."""
    text = data.decode("utf-8", errors="replace")
    for read in (host.host_name, lambda url: host.host_name(host.dialled(url)), host.own_name):
        try:
            name = read(text)
        except ValueError:
            assert data not in seeds.HOSTS or read is not host.host_name
            continue
        assert name == host.own_name(name)
        if read is host.host_name:
            assert text.isascii() and host.signed_text("x", text).count(b"\n") == 3
            HubNames(("*.a.example",)).are_dialled_by(Peer("192.0.2.7"), text)


def keys(data: bytes) -> None:
    """A key, or a certificate, in one line."""
    text = data.decode("utf-8", errors="replace")
    try:
        if is_certificate(text):
            parse_certificate(text).problem(frozenset(("ann",)), "10.0.0.1", SystemClock().now())
        else:
            parse_public_key(text)[0].verify(data[-80:], b"x")
    except SshError:
        return


def signatures(data: bytes) -> None:
    """For each kind of key. None of them was made by it."""
    armored = data.decode("utf-8", errors="replace")
    for line in seeds.KEYS:
        key, _ = parse_public_key(line)
        try:
            verify(key, armored, b"a message that nobody has signed")
        except SshError:
            continue
        raise AssertionError("a forged signature was taken")


def agent_lines(data: bytes) -> None:
    """What is passed on is JSON in UTF-8, of a bounded size."""
    for raw in data.split(b"\n"):
        line = claude.parse_line(raw, LINE_BYTES_MAX)
        if line is None or line.update_type is None:
            continue
        json.loads(line.data.decode("utf-8"))
        stored = codec.update_bodies("p", [(line.update_type, line.data, "e1")])[0]
        assert len(stored) < claude.STORED_GROWTH_MAX * LINE_BYTES_MAX + 4096


def log_files(data: bytes) -> None:
    """A segment with anything in it: what is read back was written so, and one can go on."""
    folder = Path(_scratch.name) / "log"
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    (folder / seeds.SEGMENT_NAME).write_bytes(data)
    try:
        log = open_log(folder, _LOG, None)
    except StorageError:
        return
    page = read_after(log, 0)
    for item in page.items:
        # A checksum that fits is believed: whoever can forge one can write a record, too.
        assert not isinstance(item, bytes) or record.is_sound(item)
    if data == seeds.SEGMENTS[0]:
        assert len(page.items) == seeds.RECORDS
    before = log.bounds().last_seq
    log.append_many([b'"project_id":"p","update_type":"claude","data":{}}'], seeds.STAMP)
    assert log.bounds().last_seq == before + 1
    log.close(seeds.STAMP)


def metadata(data: bytes) -> None:
    """A project with anything as its metadata is listed, good or not."""
    layout = DataLayout(Path(_scratch.name) / "data")
    layout.create()
    folder = layout.project("p")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "meta.json").write_bytes(data)
    (found,) = ProjectStore(layout).load_all()
    assert isinstance(found, ProjectMeta | Unreadable) and found.project_id == "p"
    assert data not in seeds.METADATA or isinstance(found, ProjectMeta)


def configuration(data: bytes) -> None:
    """A file, and each of its lines as a flag: a value, or a fault that is named."""
    file = Path(_scratch.name) / "config.toml"
    file.write_bytes(data)
    name, _, value = data.decode("utf-8", errors="replace").partition("=")
    flags = {name.strip().lower(): value.strip()} if name.strip().isidentifier() else {}
    try:
        load(flags, file)
    except ConfigurationError as error:
        assert error.faults and all(error.faults)


TARGETS: dict[str, Target] = {
    "handshake": Target(handshake, seeds.HANDSHAKES),
    "frames": Target(frames, seeds.FRAMES, 16),
    "requests": Target(requests, seeds.REQUESTS, 16),
    "authorized_keys": Target(authorized_keys, seeds.AUTHORIZED_KEYS),
    "hosts": Target(hosts, (*seeds.HOSTS, *seeds.URLS)),
    "keys": Target(keys, seeds.KEY_LINES),
    "signatures": Target(signatures, seeds.SIGNATURES),
    "agent_lines": Target(agent_lines, seeds.AGENT_LINES, 16),
    "log_files": Target(log_files, seeds.SEGMENTS, 4),
    "metadata": Target(metadata, seeds.METADATA, 4),
    "configuration": Target(configuration, seeds.CONFIGURATIONS, 4),
}
