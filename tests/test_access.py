"""Keys, rights and the Unix socket over real sockets, and the tools that use them."""

import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.frames import CloseCode

from actors import messages
from actors.access.keyring import Keyring
from actors.audit.trail import AuditTrail
from actors.config.sources import load
from actors.frontend.conversation import LOCKED_MESSAGES_MAX
from actors.frontend.unix_listener import UnixListener
from actors.limits.peer import Peer
from actors.runtime.problems import Problems
from actors.server.doors import Doors
from actors.watch.reloader import FileReloader
from claudehub import connect
from claudehub.cli.main import main
from claudehub.client.address import DEFAULT_URL, usual_url
from claudehub.client.identity import Identity, SigningFailed
from claudehub.client.streams import Stream
from tests.fakes import FrozenClock, ManualTimers, Probe
from tests.harness import HubProcess, WireClient
from tests.processes import wait_until
from tests.sockets import close_of as close_frame
from tests.sockets import frame, read_all, upgraded
from tests.test_ssh import keygen, proof, public

OFFER = {"method": "ssh", "version": 2, "challenge": "claudehub x", "namespace": "claudehub"}


class Keys:
    """A hub's authorized_keys, and the keys in it."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.file = scratch / "keys" / "authorized_keys"
        self.file.parent.mkdir()
        self.key = keygen(scratch)
        self.write(public(self.key))

    def write(self, text: str) -> None:
        """By renaming, as careful programs do."""
        new = self.file.with_name("new")
        new.write_text(text)
        os.replace(new, self.file)


@pytest.fixture
def keys(scratch: Path) -> Keys:
    return Keys(scratch)


@pytest.fixture(scope="module")
def shared_keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """Of the hub that tests share which change no keys. ann may everything, guest may be in b."""
    made = Keys(tmp_path_factory.mktemp("keys").resolve())
    guest = keygen(made.scratch, name="guest")
    made.write(public(made.key) + 'claudehub="projects=b" ' + public(guest))
    return made


@pytest.fixture
def locked_hub(shared_keys: Keys, share_hub: Any) -> HubProcess:
    hub: HubProcess = share_hub(AUTHORIZED_KEYS=str(shared_keys.file), AUTH_TIMEOUT="1h")
    return hub


def enter(client: WireClient, key: Path) -> str:
    return str(client.request("authenticate", **proof_for(client, key))["user"])


def proof_for(client: WireClient, key: Path, **options: Any) -> dict[str, str]:
    """What opens the hub for that key."""
    return proof(key, client.welcome["auth"]["challenge"], client.host, **options)


def close_of(client: WireClient) -> tuple[int, str]:
    with pytest.raises(ConnectionClosedError) as closed:
        while True:
            client.receive()
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code, closed.value.rcvd.reason


def test_a_key_opens_and_its_user_is_in_the_log(locked_hub: HubProcess, shared_keys: Keys) -> None:
    with locked_hub.client() as client:
        assert client.refused("ping")["code"] == "unauthenticated"
        assert enter(client, shared_keys.key) == "ann@laptop"
        path = locked_hub.folder("entered")
        client.request("project_create", path=path)
        client.run_after_join("entered", "x")
        prompts = [u for u in client.take() if u["update_type"] == "prompt"]
        assert [u["data"]["user"] for u in prompts] == ["ann@laptop"]


def test_the_hub_reports_each_fault_of_the_keys_file_once(keys: Keys, start_hub: Any) -> None:
    keys.write(public(keys.key) + "no-pty ssh-ed25519 AAAA broken\n")
    hub = start_hub(AUTHORIZED_KEYS=str(keys.file))
    assert hub.errors.read_text().count("line 2: ") == 1


def test_the_hub_closes_a_connection_that_does_not_authenticate(
    start_hub: Any, shared_keys: Keys
) -> None:
    hub = start_hub(AUTHORIZED_KEYS=str(shared_keys.file), AUTH_TIMEOUT="500ms")
    with hub.client() as client:
        assert close_of(client) == (CloseCode.POLICY_VIOLATION, "not authenticated in time")


def test_a_stranger_has_small_limits(locked_hub: HubProcess) -> None:
    with locked_hub.client() as client:
        client.send("x" * 70_000)
        assert close_of(client)[0] == CloseCode.MESSAGE_TOO_BIG
    with locked_hub.client() as client:
        refused = client.refused("authenticate", public_key="x" * 20_000, signature="", host="x:1")
        assert refused["code"] == "unauthenticated"


def test_an_authenticated_client_has_the_full_limits(
    locked_hub: HubProcess, shared_keys: Keys
) -> None:
    with locked_hub.client() as client:
        enter(client, shared_keys.key)
        assert len(client.request("ping", text="x" * 500_000)["text"]) == 500_000


def by_renaming(keys: Keys) -> None:
    keys.write("# nobody\n")


def in_place(keys: Keys) -> None:
    keys.file.write_text("")


def by_removing(keys: Keys) -> None:
    keys.file.unlink()


def by_link(keys: Keys) -> None:
    """The folder is a link, and becomes another."""
    empty = keys.scratch / "empty"
    empty.mkdir()
    (empty / "authorized_keys").write_text("# nobody\n")
    link = keys.scratch / "new link"
    link.symlink_to(empty)
    os.replace(link, keys.scratch / "link")


@pytest.mark.parametrize("change", [by_renaming, in_place, by_removing, by_link])
def test_removing_a_key_closes_its_connections(
    keys: Keys, start_hub: Any, scratch: Path, change: Any
) -> None:
    (scratch / "link").symlink_to(keys.file.parent)
    hub = start_hub(AUTHORIZED_KEYS=str(scratch / "link" / "authorized_keys"))
    with hub.client() as client:
        enter(client, keys.key)
        change(keys)
        code, reason = close_of(client)
        assert code == CloseCode.POLICY_VIOLATION and "not in AUTHORIZED_KEYS" in reason
    with hub.client() as client, pytest.raises(AssertionError, match="not in AUTHORIZED_KEYS"):
        enter(client, keys.key)


def test_a_new_key_works_at_once(start_hub: Any, keys: Keys) -> None:
    hub = start_hub(AUTHORIZED_KEYS=str(keys.file))
    other = keygen(keys.scratch, name="other")
    with hub.client() as first:
        enter(first, keys.key)
        keys.write(public(keys.key) + public(other))

        def opens() -> bool:
            with hub.client() as client:
                return bool(
                    client.ask("authenticate", **proof_for(client, other))["type"] == "result"
                )

        wait_until(opens)
        assert first.request("ping") == {}


def test_a_key_for_one_project_sees_that_project_only(
    locked_hub: HubProcess, shared_keys: Keys
) -> None:
    hub = locked_hub
    with hub.client() as owner, hub.client() as guest:
        enter(owner, shared_keys.key)
        enter(guest, shared_keys.scratch / "guest")
        for name in "ab":
            owner.request("project_create", path=hub.folder(name))
        listed = guest.request("project_list")["projects"]
        assert [project["project_id"] for project in listed] == ["b"]
        assert guest.refused("project_join", project_id="a")["code"] == "forbidden"
        assert guest.run_after_join("b", "x")["outcome"] == "success"
        owner.request("project_join", project_id="b")
        guest.request("project_delete", project_id="b")
        assert owner.wait_for("project_deleted")["data"]["by"] == "ann@laptop"


# -- the socket ------------------------------------------------------------------------------


@pytest.fixture
def local_hub(scratch: Path, start_hub: Any) -> HubProcess:
    hub: HubProcess = start_hub(SOCKET=str(scratch / "s"), WS_PORT="off")
    return hub


def test_a_hub_without_a_port_listens_on_its_socket(local_hub: HubProcess, scratch: Path) -> None:
    assert local_hub.line == f"listening on unix:{scratch}/s"
    assert stat.S_IMODE(os.stat(scratch / "s").st_mode) == 0o600
    with local_hub.client() as client:
        assert client.welcome["auth"] is None
        client.request("project_create", path=local_hub.folder("p"))
        assert client.run_after_join("p", "x")["outcome"] == "success"
    local_hub.stop()
    assert not (scratch / "s").exists()


def test_a_socket_path_may_hold_a_colon(scratch: Path, start_hub: Any) -> None:
    hub = start_hub(SOCKET=f"{scratch}/a:b", WS_PORT="off")
    with hub.client() as client:
        assert client.request("ping") == {}


def test_the_socket_needs_no_key_where_the_port_does(
    keys: Keys, start_hub: Any, scratch: Path
) -> None:
    hub = start_hub(AUTHORIZED_KEYS=str(keys.file), SOCKET=str(scratch / "s"))
    assert hub.url.startswith("ws://")
    with WireClient(f"unix:{scratch}/s") as near, hub.client() as far:
        assert near.request("ping") == {}
        assert near.refused("authenticate", public_key="x", signature="x", host="x:1")["code"] == (
            "invalid_message"
        )
        assert far.refused("ping")["code"] == "unauthenticated"


def test_a_start_removes_the_socket_of_a_killed_server(
    local_hub: HubProcess, scratch: Path
) -> None:
    local_hub.stop(signal.SIGKILL)
    assert (scratch / "s").exists()
    local_hub.start()
    with local_hub.client() as client:
        assert client.request("ping") == {}


def refused_start(scratch: Path, **settings: str) -> tuple[int, str]:
    hub = HubProcess(scratch, **settings)
    done = subprocess.run(
        hub.command(), env=hub.environment(), capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr.strip().splitlines()[-1]


def test_a_start_leaves_a_socket_in_use_and_other_files_alone(
    local_hub: HubProcess, scratch: Path
) -> None:
    (scratch / "two").mkdir()
    code, line = refused_start(scratch / "two", SOCKET=str(scratch / "s"))
    assert code == 1 and "another server listens" in line
    (scratch / "file").write_text("mine")
    code, line = refused_start(scratch / "two", SOCKET=str(scratch / "file"))
    assert code == 1 and "no socket" in line
    assert (scratch / "file").read_text() == "mine"
    code, line = refused_start(scratch / "two", SOCKET=str(scratch / "no" / "s"))
    assert code == 1 and "No such file" in line
    with local_hub.client() as client:
        assert client.request("ping") == {}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"SOCKET": "relative"}, "SOCKET: 'relative': must be an absolute path"),
        ({"SOCKET": "/" + "x" * 200}, "at most 103 bytes"),
        ({"WS_PORT": "off"}, "WS_PORT: off leaves no way in"),
        ({"WS_PORT": "none"}, "is no port (0 to 65535), and not off"),
        ({"AUTHORIZED_KEYS": "/no/such/file"}, "AUTHORIZED_KEYS: '/no/such/file': cannot be read"),
        ({"BIND": "0.0.0.0"}, "AUTHORIZED_KEYS="),
    ],
)
def test_a_start_names_a_faulty_setting_of_the_doors(
    scratch: Path, settings: dict[str, str], said: str
) -> None:
    line = HubProcess(scratch, **settings).refusal().strip().splitlines()[-1]
    assert said in line and "example: " in line


def test_with_keys_the_hub_may_listen_on_all_addresses(keys: Keys, start_hub: Any) -> None:
    hub = start_hub(AUTHORIZED_KEYS=str(keys.file), BIND="0.0.0.0")
    url = hub.url.replace("0.0.0.0", "127.0.0.1")
    with WireClient(url) as client:
        assert enter(client, keys.key) == "ann@laptop"


def test_a_hub_that_cannot_notice_revoked_keys_stops(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    died: list[str] = []
    monkeypatch.setattr(FileReloader, "start", FileReloader)
    with contextlib.ExitStack() as stack:
        config = load({"ws_port": "0", "authorized_keys": str(keys.file), "claude_cmd": "sh"})
        doors, trail = Doors(config, stack), AuditTrail(FrozenClock())
        (reloader,) = doors.start_reloaders(
            Probe().actor_ref, FrozenClock(), ManualTimers(), trail, died.append, Problems()
        )
        reloader.on_failure(ValueError, ValueError("bug"), None)  # type: ignore[attr-defined]
    assert len(died) == 1


def test_a_file_that_lets_nobody_in_is_a_problem(
    keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    keyring, now = Keyring(keys.file), datetime(2026, 11, 29, tzinfo=UTC)
    problems = Problems()
    reloader = FileReloader(
        hub=Probe().actor_ref,
        subject=keyring,
        clock=FrozenClock(),
        timers=ManualTimers(),
        trail=AuditTrail(FrozenClock()),
        problems=problems,
    )
    reloader.on_start()
    try:
        assert problems.now() == []
        keys.write("# nobody\n")
        for _ in range(2):
            reloader.on_receive(messages._FileLookDue(again=True))
        (problem,) = problems.now()
        assert problem == (
            f"AUTHORIZED_KEYS: {keys.file} has no usable key: no client can authenticate"
        )
        assert caplog.text.count("no usable key") == 1
        keys.write('expiry-time="20270101Z" ' + public(keys.key))
        reloader.on_receive(messages._FileLookDue(again=True))
        assert problems.now() == []
        assert keyring.problem(now) is None
        assert "has expired" in str(keyring.problem(datetime(2027, 1, 2, tzinfo=UTC)))
    finally:
        reloader.on_stop()


@pytest.fixture
def listener(scratch: Path) -> Iterator[UnixListener]:
    made = UnixListener(scratch / "s")
    yield made
    made.close()


def test_the_socket_refuses_another_user(
    listener: UnixListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mode of the socket is open here, so only the kernel's word about the peer protects it."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(listener.path))
        request, uid = listener.get_request()
        refused: list[Any] = []
        told = SimpleNamespace(refused=lambda *of: refused.append(of))
        listener.context = told  # type: ignore[assignment]
        assert uid == os.geteuid() and listener.peer_of(request, uid) == Peer(uid=uid)
        assert listener.verify_request(request, uid) and listener.verify_request(request, 0)
        assert not listener.verify_request(request, os.geteuid() + 1)
        assert peer.recv(1000).startswith(b"HTTP/1.1 403 ")
        assert refused == [(Peer(uid=os.geteuid() + 1), 403)]
        request.close()


def test_a_stop_leaves_a_path_that_another_program_has_taken(scratch: Path) -> None:
    first = UnixListener(scratch / "s")
    os.unlink(scratch / "s")
    second = UnixListener(scratch / "s")
    first.close()
    assert (scratch / "s").exists()
    second.close()
    assert not (scratch / "s").exists()


# -- our own tools ---------------------------------------------------------------------------


def claudehub(home: Path, *arguments: str, **environment: str) -> Result:
    """In this process, which takes no second; test_command_line.py starts one."""
    nothing: dict[str, str | None] = dict.fromkeys(os.environ)
    given = {**nothing, "PATH": os.environ["PATH"], "HOME": str(home), **environment}
    return CliRunner().invoke(main, arguments, env=given)


def test_the_commands_find_the_socket_by_themselves(local_hub: HubProcess, scratch: Path) -> None:
    where = {"SOCKET": str(scratch / "s")}
    made = claudehub(scratch, "projects", "create", local_hub.folder("p"), **where)
    assert (made.stdout, made.stderr) == ("p\n", "")
    folder = scratch / ".config" / "claudehub"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(f'socket = "{scratch}/s"\n')
    assert claudehub(scratch, "run", "p", "x").exit_code == 0
    assert claudehub(scratch, "--help").exit_code == 0


def test_the_commands_sign_with_a_key(
    locked_hub: HubProcess, shared_keys: Keys, scratch: Path
) -> None:
    keys = shared_keys
    with locked_hub.client() as client:
        enter(client, keys.key)
        client.request("project_create", path=locked_hub.folder("signed"))
    listing = ("projects", "list", "--url", locked_hub.url)
    done = claudehub(scratch, *listing, "--key", str(keys.key))
    assert done.exit_code == 0 and "signed" in done.stdout
    done = claudehub(scratch, *listing)
    assert done.exit_code == 7 and "--key FILE" in done.stderr
    stranger = keygen(scratch, name="stranger")
    done = claudehub(scratch, *listing, CLAUDEHUB_KEY=str(stranger))
    assert done.exit_code == 7 and "does not take this key" in done.stderr
    done = claudehub(scratch, *listing, "--key", str(scratch / "none"))
    assert done.exit_code == 7 and "there is no key" in done.stderr
    # One after the other: the first of the usual names is not among the hub's keys.
    (scratch / ".ssh").mkdir(mode=0o700)
    for source, name in ((stranger, "id_rsa"), (keys.key, "id_ed25519")):
        for end in ("", ".pub"):
            shutil.copy(f"{source}{end}", scratch / ".ssh" / f"{name}{end}")
    assert claudehub(scratch, *listing).exit_code == 0


def test_the_client_signs_no_challenge_of_another_kind(keys: Keys) -> None:
    """A false server must not get a signature that it can use elsewhere."""
    with pytest.raises(SigningFailed, match="no challenge"):
        list(Identity(keys.key).proofs({**OFFER, "challenge": "delete everything"}, "x:1"))
    for challenge in (None, "claudehub x\nhub:80\n", "claudehub \u2028", "claudehub " + "x" * 2000):
        with pytest.raises(SigningFailed, match="no challenge"):
            list(Identity(keys.key).proofs({**OFFER, "challenge": challenge}, "x:1"))
    for version in (None, 1, 3, "2"):
        with pytest.raises(SigningFailed, match="needs an update"):
            list(Identity(keys.key).proofs({**OFFER, "version": version}, "x:1"))
    assert len(list(Identity(keys.key).proofs(OFFER, "x:1"))) == 1


def test_a_client_answers_pings_while_nobody_reads_its_updates(hub: HubProcess) -> None:
    """`claudehub run` must answer pings while it asks its user something."""
    with connect(hub.url) as quiet, hub.client() as other:
        updates = quiet.project(hub.folder("quiet")).follow()
        for _ in range(10):
            other.run_after_join("quiet", "x")
        # It reads on, and so answers pings, though nobody takes what has come.
        waiting = updates._reader
        assert isinstance(waiting, Stream)
        wait_until(lambda: len(waiting._buffer) >= 40)


def test_the_hub_refuses_a_web_page_that_rebinds_its_name(hub: HubProcess) -> None:
    """DNS rebinding: the page's name now leads to loopback, and its Origin shows it."""
    page = "http://evil.example"
    with pytest.raises(InvalidStatus) as refused:
        hub.client(origin=page, additional_headers={"Host": "evil.example"})
    assert refused.value.response.status_code == 403


def test_a_clients_address_is_checked_and_logged(scratch: Path, start_hub: Any) -> None:
    keys = Keys(scratch)
    keys.write(f'from="127.0.0.2" {public(keys.key)}')
    hub = start_hub(AUTHORIZED_KEYS=str(keys.file))
    with hub.client() as here:
        refusal = here.refused("authenticate", **proof_for(here, keys.key))
        assert "may not be used from 127.0.0.1" in refusal["message"]
    with hub.client(source_address=("127.0.0.2", 0)) as there:
        assert enter(there, keys.key) == "ann@laptop"
    assert hub.stop() == 0
    text = (hub.data / "audit.jsonl").read_text()
    outcomes = [(e["address"], e["ok"]) for e in map(json.loads, text.splitlines()) if e["key"]]
    assert outcomes == [("127.0.0.1", False), ("127.0.0.2", True)]


def test_the_client_skips_a_key_that_cannot_sign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    good = keygen(tmp_path / ".ssh", name="id_ed25519")
    (tmp_path / ".ssh" / "id_rsa.pub").write_text("ssh-rsa AAAA without its other half")
    (made,) = Identity().proofs(OFFER, "hub:80")
    assert made.public_key == public(good).strip()
    good.unlink()
    with pytest.raises(SigningFailed, match="id_rsa"):
        list(Identity().proofs(OFFER, "hub:80"))


def test_a_closed_stranger_that_sends_on_is_cut_off_in_time(locked_hub: HubProcess) -> None:
    """The stranger does not answer the close and keeps sending."""
    with upgraded(locked_hub) as sock:
        sock.sendall(frame(1, b'{"type":"ping"}') * (LOCKED_MESSAGES_MAX + 1))
        ended = threading.Event()

        def go_on() -> None:
            with contextlib.suppress(OSError):
                while not ended.wait(0.1):
                    sock.sendall(frame(10, b""))

        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            assert close_frame(read_all(sock))[0] == 1008
        finally:
            ended.set()
            thread.join()


def test_the_commands_find_a_socket_in_the_usual_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOCKET", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert usual_url() == DEFAULT_URL
    path = tmp_path / "claudehub.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        assert usual_url() == DEFAULT_URL  # of a server that is gone
        listening.listen()
        assert usual_url() == f"unix:{path}"
        monkeypatch.setattr(os, "geteuid", lambda: 4242)
        assert usual_url() == DEFAULT_URL  # somebody else's
