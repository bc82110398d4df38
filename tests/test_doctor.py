"""The checks of `claudehub doctor`: each when all is well, and when something is wrong."""

import contextlib
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
import trustme

from actors.access.gate import server_name
from actors.config.precedence import FileSource
from actors.config.settings import Config
from actors.doctor import (
    agents,
    clock_state,
    doors,
    examination,
    folders,
    keys,
    own_hub,
    program,
    storage_speed,
    system,
)
from actors.doctor.finding import Finding, Level, RunningHub, Setup, of_line, ok
from actors.executor import sandbox
from actors.executor.cli_probe import CliProbe, Found
from actors.process_tree import strangers
from actors.server import system_limits
from claudehub.cli.doctor_client import client_key
from protocol import VERSION
from storage import disk, lock, mounts, sync_timing
from storage.data_version import take_over
from storage.layout import DataLayout
from storage.mounts import Mount
from tests.test_ssh import keygen

Check = Callable[[Setup], Iterator[Finding]]
NOW = datetime.now(UTC).replace(microsecond=0)
OK, WARNING, FAULT = Level.OK, Level.WARNING, Level.FAULT


class Clock:
    """A clock whose seconds pass `step_s` at a look."""

    def __init__(self, now: datetime = NOW, step_s: float = 0.0) -> None:
        self._now = now
        self._step_s = step_s
        self._at_s = 0.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        self._at_s += self._step_s
        return self._at_s


@pytest.fixture
def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Setup]:
    """Make a setup of a home of its own, with these settings."""
    for name in Config.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))

    def make(hub: RunningHub | None = None, clock: Clock | None = None, **given: Any) -> Setup:
        usual = {"data_dir": str(tmp_path / "data"), "project_roots": str(home), "ws_port": "0"}
        config = Config.read({**usual, **given}, FileSource(Config, None))
        return Setup(config, {"PATH": os.environ["PATH"]}, clock or Clock(), hub)

    return make


def the(check: Check, setup: Setup) -> Finding:
    """Return the only finding."""
    (finding,) = check(setup)
    assert (finding.remedy is None) is (finding.level is OK)
    return finding


def levels(check: Check, setup: Setup) -> list[Level]:
    return [finding.level for finding in check(setup)]


Make = Callable[..., Setup]


# -- the program


def test_the_python_is_named(setup: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    assert VERSION in the(program.python, setup()).text
    monkeypatch.setattr(sys, "platform", "darwin")
    assert levels(program.python, setup()) == [OK, WARNING]
    monkeypatch.setattr(sys, "platform", "win32")
    assert levels(program.python, setup()) == [OK, FAULT]
    monkeypatch.setattr(program, "PYTHON_MIN", (99, 0))
    assert levels(program.python, setup()) == [FAULT, FAULT]


@pytest.mark.parametrize(
    ("name", "meant"),
    [("MAX_CONNS", "MAX_CONN"), ("CLAUDEHUB_WS_PORT", "WS_PORT"), ("LOG_LEVELS", "LOG_LEVEL")],
)
def test_a_variable_that_nothing_reads_is_named(setup: Make, name: str, meant: str) -> None:
    right = {"MAX_CONN": "5", "CLAUDE_CODE_MAX_CONN": "1", "SSH_AUTH_SOCK": "x", "LC_ALL": "C"}
    assert the(program.variables, replace(setup(), environment=right)).level is OK
    wrong = replace(setup(), environment={**right, name: "x"})
    finding = the(program.variables, wrong)
    assert finding.level is WARNING and name in finding.text and meant in str(finding.remedy)


@pytest.fixture
def just_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process of these tests holds the lock, and may have run for longer than a start takes."""
    monkeypatch.setattr(strangers, "age_s", lambda *_: 60.0)


@pytest.mark.usefixtures("just_started")
def test_the_hub_that_runs_is_looked_at(setup: Make, tmp_path: Path) -> None:
    assert "no hub runs" in the(program.running_hub, setup()).text
    well = RunningHub("ws://h:1", is_hub=True, version=VERSION, uptime_s=0.0)
    with locked(tmp_path / "data"):
        assert lock.holder(str(tmp_path / "data" / "lock")) == os.getpid()
        silent = the(program.running_hub, setup(RunningHub("ws://h:1", problem="refused")))
        assert silent.level is WARNING and f"process {os.getpid()}" in silent.text
        assert "refused" in silent.text
        assert "has no problems" in the(program.running_hub, setup(well)).text
        keyed = the(program.running_hub, setup(replace(well, uptime_s=None)))
        assert keyed.level is OK and "with your key" in keyed.text
        older = list(program.running_hub(setup(replace(well, version="0.0.9"))))
        assert [f.level for f in older] == [WARNING, OK] and "0.0.9" in older[0].text
        mute = the(program.running_hub, setup(replace(well, problem="no answer")))
        assert mute.level is WARNING and "cannot be asked" in mute.text
    assert lock.holder(str(tmp_path / "data" / "lock")) is None
    sick = list(program.running_hub(setup(replace(well, problems=("storage: full",)))))
    assert [f.level for f in sick] == [WARNING, WARNING]
    assert "another data folder" in sick[0].text and "storage: full" in sick[1].text


def test_a_lock_without_a_table_of_locks_is_judged_by_its_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_LOCKS", tmp_path / "none")
    file = tmp_path / "lock"
    file.write_text(f"{os.getpid()}\n")
    assert lock.holder(str(file)) == os.getpid()
    file.write_text(f"{2**22 + 1}\n")  # above the largest pid
    assert lock.holder(str(file)) is None
    file.write_text("")
    assert lock.holder(str(file)) is None
    file.unlink()
    os.mkfifo(file)  # opening it would wait for a writer
    assert lock.holder(str(file)) is None


# -- folders


def test_a_data_folder(setup: Make, tmp_path: Path) -> None:
    assert "the hub makes it" in the(folders.data_folder, setup()).text
    folder = tmp_path / "data"
    disk.make_folder(folder)
    assert "0700" in the(folders.data_folder, setup()).text
    folder.chmod(0o755)
    finding = the(folders.data_folder, setup())
    assert finding.level is WARNING and finding.remedy == f"chmod 700 {folder}"
    folder.rmdir()
    folder.write_text("")
    assert "not a folder" in the(folders.data_folder, setup()).text


def test_a_data_folder_of_somebody_else(
    setup: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.make_folder(tmp_path / "data")
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    finding = the(folders.data_folder, setup())
    assert finding.level is FAULT and "uid 4711" in finding.text


def test_a_data_folder_that_cannot_be_made(setup: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    finding = the(folders.data_folder, setup())
    assert finding.level is FAULT and "install -d -m 700" in str(finding.remedy)


@pytest.mark.parametrize(
    ("mount", "level", "text"),
    [
        (Mount("/", "ext4", is_read_only=False), OK, "ext4"),
        (Mount("/mnt", "nfs4", is_read_only=False), WARNING, "nfs4"),
        (Mount("/tmp", "tmpfs", is_read_only=False), WARNING, "gone after a boot"),
        (Mount("/", "ext4", is_read_only=True), FAULT, "read-only"),
    ],
)
def test_what_the_data_folder_lies_on(
    setup: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mount: Mount,
    level: Level,
    text: str,
) -> None:
    disk.make_folder(tmp_path / "data")
    monkeypatch.setattr(mounts, "mount_of", lambda _: mount)
    finding = the(folders.data_folder, setup())
    assert finding.level is level and text in finding.text


def test_the_mount_of_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "mounts"
    table.write_text(
        "/dev/a / ext4 rw 0 0\n"
        f"srv {tmp_path}/a\\040b nfs rw 0 0\n"
        f"none {tmp_path}/a\\040b/c tmpfs ro,nosuid 0 0\n"
        f"none {tmp_path}/a cifs rw 0 0\n"
    )
    monkeypatch.setattr(mounts, "_MOUNTS", table)
    assert mounts.mount_of(tmp_path / "x") == Mount("/", "ext4", is_read_only=False)
    assert mounts.mount_of(tmp_path / "a b" / "x") == Mount(f"{tmp_path}/a b", "nfs", False)
    assert mounts.mount_of(tmp_path / "a b" / "c") == Mount(f"{tmp_path}/a b/c", "tmpfs", True)
    monkeypatch.setattr(mounts, "_MOUNTS", tmp_path / "none")
    assert mounts.mount_of(tmp_path) is None


def test_the_version_of_the_data(setup: Make, tmp_path: Path) -> None:
    assert "first start" in the(folders.data_version, setup()).text
    layout = DataLayout(tmp_path / "data")
    layout.create()
    layout.data_id()
    old = the(folders.data_version, setup())
    assert old.level is WARNING and "has version 1" in old.text and "cp -a" in str(old.remedy)
    take_over(layout.root)
    assert the(folders.data_version, setup()).level is OK
    layout.id_file.write_text("xyz")
    assert levels(folders.data_version, setup()) == [OK, FAULT]
    version = layout.root / "version"
    version.write_text('{"version": 99}')
    newer = the(folders.data_version, setup())
    assert newer.level is FAULT and "99" in newer.text and "newer version" in str(newer.remedy)
    version.write_text("torn")
    assert "damaged" in the(folders.data_version, setup()).text


def test_project_roots(setup: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    assert the(folders.project_roots, setup()).level is OK
    assert the(folders.project_roots, setup(project_roots="/")).level is WARNING
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "cannot be read" in the(folders.project_roots, setup()).text


@pytest.mark.parametrize(("free", "level"), [(10, FAULT), (150, WARNING), (201, OK)])
def test_free_space(setup: Make, monkeypatch: pytest.MonkeyPatch, free: int, level: Level) -> None:
    monkeypatch.setattr(disk, "free_bytes", lambda _: free)
    finding = the(folders.space, setup(min_free_bytes="100"))
    assert finding.level is level
    if level is not OK:
        assert "no prompt is taken" in finding.text and "LOG_RETAIN_DAYS" in str(finding.remedy)


def test_a_folder_that_cannot_be_looked_at_is_a_finding(setup: Make, tmp_path: Path) -> None:
    """As root nothing is forbidden; a name that is too long cannot be looked at, either."""
    lost = setup(data_dir=f"{tmp_path}/{'x' * 300}/data")
    assert folders.nearest(Path(lost.config.data_dir)) == tmp_path
    assert "cannot be looked at" in the(folders.data_folder, lost).text
    assert the(folders.data_version, lost).remedy == "run this as the hub's user"
    assert the(folders.space, lost).level is OK


# -- the time of a flush


@pytest.mark.parametrize(
    ("step_s", "sync", "level"),
    [(0.001, "always", OK), (0.2, "always", WARNING), (0.2, "interval", OK)],
)
def test_the_time_of_a_flush(
    setup: Make, tmp_path: Path, step_s: float, sync: str, level: Level
) -> None:
    disk.make_folder(tmp_path / "data")
    finding = the(storage_speed.sync_time, setup(clock=Clock(step_s=step_s), log_sync=sync))
    assert finding.level is level and f"{1000 * step_s:.2f} ms" in finding.text
    assert os.listdir(tmp_path / "data") == []


def test_a_slow_disk_is_not_measured_for_long(tmp_path: Path) -> None:
    quick = sync_timing.sync_times(tmp_path, Clock(step_s=0.001).monotonic, limit_s=3.0)
    slow = sync_timing.sync_times(tmp_path, Clock(step_s=2.0).monotonic, limit_s=3.0)
    assert (len(quick), len(slow)) == (sync_timing.ROUNDS_MAX, 1)


def test_no_flush_is_timed_where_nothing_may_be_written(
    setup: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "not measured" in the(storage_speed.sync_time, setup()).text


# -- doors


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a data folder, as the hub of this process."""
    layout = DataLayout(folder)
    layout.create()
    layout.lock.acquire()
    try:
        yield
    finally:
        layout.lock.release()


@pytest.mark.parametrize(
    ("server", "uptime_s", "is_own"),
    [
        ("own", None, True),
        ("other", None, False),
        (None, None, True),
        (None, 0.0, True),
        (None, 1e9, False),
    ],
)
@pytest.mark.usefixtures("just_started")
def test_a_hub_is_known_by_its_name_or_its_age(
    setup: Make, tmp_path: Path, server: str | None, uptime_s: float | None, is_own: bool
) -> None:
    """So it is where the descriptors of the hub cannot be looked at."""
    with locked(tmp_path / "data"):
        name = server_name(DataLayout(tmp_path / "data").data_id())
        server = name if server == "own" else server
        hub = RunningHub("ws://127.0.0.1:1", is_hub=True, server=server, uptime_s=uptime_s)
        assert own_hub.answers(setup(hub)) is is_own
    assert not own_hub.answers(setup(hub))


def test_a_process_that_listens_is_known_by_its_descriptors(setup: Make, tmp_path: Path) -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as own:
        port = own.getsockname()[1]
        with locked(tmp_path / "data"):
            assert own_hub.has_port(setup(), port)
    with locked(tmp_path / "data"):
        assert not own_hub.has_port(setup(), port)
    gone = 2**22 + 1  # above the largest pid
    now = setup().clock.now()
    assert strangers.listens(gone, port) is None and strangers.age_s(gone, now) is None
    began = datetime.fromtimestamp(psutil.Process().create_time(), UTC)
    assert strangers.age_s(os.getpid(), began + timedelta(seconds=5)) == pytest.approx(5)


def test_a_port(setup: Make, tmp_path: Path) -> None:
    assert "free one" in the(doors.ports, setup()).text
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        taken = the(doors.ports, setup(ws_port=str(port)))
        assert taken.level is FAULT and f":{port}" in str(taken.remedy)
        assert the(doors.ports, setup(ws_port=str(port), bind="localhost")).level is FAULT
        hub = RunningHub(f"ws://127.0.0.1:{port}", is_hub=True)
        strange = the(doors.ports, setup(hub, ws_port=str(port)))
        assert strange.level is FAULT and "hub with another data folder" in strange.text
        assert f"WS_PORT={port + 1}" in str(strange.remedy)
        with locked(tmp_path / "data"):
            assert the(doors.ports, setup(hub, ws_port=str(port))).level is OK
    assert "is free" in the(doors.ports, setup(ws_port=str(port))).text
    assert levels(doors.ports, setup(metrics_port=str(port))) == [OK, OK]
    absent = the(doors.ports, setup(ws_port=str(port), bind="203.0.113.7", authorized_keys="/k"))
    assert absent.level is FAULT and "no address of this machine" in absent.text
    assert the(doors.ports, setup(ws_port="off", socket="/run/hub.sock")).level is OK


def test_a_port_that_this_user_may_not_have(setup: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    assert "not allowed" in the(doors.ports, setup(ws_port="80")).text


def test_the_folder_of_the_socket(
    setup: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    path = str(folder / "hub.sock")
    assert the(doors.socket_path, setup()).level is OK
    assert the(doors.socket_path, setup(socket=path)).level is FAULT
    folder.mkdir(mode=0o700)
    assert the(doors.socket_path, setup(socket=path)).level is OK
    folder.chmod(0o777)
    assert the(doors.socket_path, setup(socket=path)).level is WARNING
    folder.chmod(0o700)
    Path(path).write_text("")
    assert "not a socket" in the(doors.socket_path, setup(socket=path)).text
    assert the(doors.socket_path, setup(socket="/x" * 100)).level is FAULT
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "cannot be written" in the(doors.socket_path, setup(socket=path)).text


@pytest.fixture
def certified(tmp_path: Path) -> Callable[..., dict[str, str]]:
    def make(*names: str, until: datetime = NOW + timedelta(days=90)) -> dict[str, str]:
        made = trustme.CA().issue_cert(*names, not_before=NOW - timedelta(days=9), not_after=until)
        certificate, key = tmp_path / "hub.pem", tmp_path / "hub.key"
        certificate.write_bytes(made.cert_chain_pems[0].bytes())
        key.write_bytes(made.private_key_pem.bytes())
        key.chmod(0o600)
        return {"tls_cert": str(certificate), "tls_key": str(key)}

    return make


def test_a_certificate(setup: Make, certified: Callable[..., dict[str, str]]) -> None:
    files = certified("hub.example.org")
    good = the(doors.certificate, setup(**files))
    assert good.level is OK and "for 90 days" in good.text
    soon = the(doors.certificate, setup(clock=Clock(NOW + timedelta(days=80)), **files))
    assert soon.level is WARNING and "expires in 10 days" in soon.text
    last = the(doors.certificate, setup(clock=Clock(NOW + timedelta(days=88, hours=20)), **files))
    assert "expires in 1 day, on" in last.text
    late = the(doors.certificate, setup(clock=Clock(NOW + timedelta(days=91)), **files))
    assert late.level is FAULT and "expired on" in late.text
    early = the(doors.certificate, setup(clock=Clock(NOW - timedelta(days=10)), **files))
    assert early.level is FAULT and "valid only from" in early.text
    Path(files["tls_key"]).chmod(0o644)
    assert levels(doors.certificate, setup(**files)) == [OK, WARNING]
    Path(files["tls_key"]).write_bytes(trustme.CA().private_key_pem.bytes())
    wrong = the(doors.certificate, setup(**files))
    assert wrong.level is FAULT and "does not belong" in wrong.text
    assert str(wrong.remedy).startswith("set TLS_KEY to the key that this certificate was")


def test_no_certificate(setup: Make) -> None:
    assert the(doors.certificate, setup()).level is OK
    open_door = setup(bind="0.0.0.0", authorized_keys="/keys")
    assert the(doors.certificate, open_door).level is WARNING


def test_names(setup: Make, certified: Callable[..., dict[str, str]]) -> None:
    files = certified("hub.example.org", "*.example.net")
    assert the(doors.names, setup()).level is OK
    assert the(doors.names, setup(public_names="hub.example.org")).level is OK
    good = "hub.example.org,a.example.net,*.example.net"
    assert the(doors.names, setup(public_names=good, **files)).level is OK
    both = setup(public_names=f"{good},other.org,*.other.org", **files)
    assert levels(doors.names, both) == [WARNING, WARNING]
    bad = setup(public_names="other.org", **files)
    assert "the certificate has" in the(doors.names, bad).text


# -- keys


def authorized(folder: Path, *lines: str) -> str:
    file = folder / "authorized_keys"
    file.write_text("".join(f"{line}\n" for line in lines))
    file.chmod(0o600)
    return str(file)


def mended_by(finding: Finding, is_mended: Callable[[], bool]) -> None:
    """Type the command of the remedy, and look again."""
    assert not is_mended()
    command = str(finding.remedy).removeprefix("make it with a key in it: ")
    subprocess.run(["/bin/sh", "-c", command], check=True)
    assert is_mended()


@pytest.mark.parametrize(
    ("line", "text", "remedy"),
    [
        (
            "MAX_CONN: 'x': must be a whole number; example: MAX_CONN=100",
            "MAX_CONN: 'x': must be a whole number",
            "set it right, such as MAX_CONN=100",
        ),
        ("A: is open; example: chmod go-w /k", "A: is open", "chmod go-w /k"),
        ("A: is lone; set both; example: A=1", "A: is lone", "set both: A=1"),
        (
            'CLAUDE_CMD: "a; \'b": cannot be split; example: CLAUDE_CMD=claude',
            'CLAUDE_CMD: "a; \'b": cannot be split',
            "set it right, such as CLAUDE_CMD=claude",
        ),
        ("A: is gone; install it", "A: is gone", "install it"),
    ],
)
def test_a_line_of_a_start_says_what_to_do(line: str, text: str, remedy: str) -> None:
    assert of_line(line) == Finding(FAULT, text, remedy)


def test_authorized_keys(setup: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    public = keygen(tmp_path).with_suffix(".pub").read_text().strip()
    assert the(keys.authorized_keys, setup()).level is OK
    open_door = setup(bind="0.0.0.0", allow_unauthenticated="yes")
    assert "anyone who reaches" in the(keys.authorized_keys, open_door).text
    good = setup(authorized_keys=authorized(tmp_path, public))
    assert "1 usable key" in the(keys.authorized_keys, good).text
    found = list(keys.authorized_keys(setup(authorized_keys=authorized(tmp_path, public, "no"))))
    assert [f.level for f in found] == [WARNING, OK] and "line 2" in found[0].text
    expired = f'expiry-time="20200101Z" {public}'
    found = list(keys.authorized_keys(setup(authorized_keys=authorized(tmp_path, expired))))
    assert [f.level for f in found] == [WARNING, FAULT] and "has expired" in found[0].text
    Path(good.config.authorized_keys or "").chmod(0o666)
    finding = the(keys.authorized_keys, good)
    assert finding.level is FAULT and "writable" in finding.text
    mended_by(finding, lambda: finding not in keys.authorized_keys(good))
    Path(good.config.authorized_keys or "").unlink()
    missing = the(keys.authorized_keys, setup(authorized_keys=str(tmp_path / "new" / "my keys")))
    assert missing.level is FAULT and f"'{tmp_path}/new/my keys'" in str(missing.remedy)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_ed25519.pub").write_text(public)
    again = setup(authorized_keys=str(tmp_path / "new" / "my keys"))
    mended_by(missing, lambda: "1 usable key" in the(keys.authorized_keys, again).text)


def test_the_key_of_whoever_asks(setup: Make, tmp_path: Path) -> None:
    public = keygen(tmp_path).with_suffix(".pub").read_text().strip()
    assert "not needed" in the(client_key, setup()).text
    wanted = {"authorized_keys": authorized(tmp_path, public)}
    assert "not needed" in the(client_key, setup(socket="/run/hub.sock", **wanted)).text
    assert "no SSH key" in the(client_key, setup(**wanted)).text
    mine = replace(setup(**wanted), environment={**os.environ, "CLAUDEHUB_KEY": f"{tmp_path}/key"})
    assert "comes in" in the(client_key, mine).text
    other = keygen(tmp_path, name="other").with_suffix(".pub").read_text().strip()
    refused = replace(mine, config=setup(authorized_keys=authorized(tmp_path, other)).config)
    assert "none of this user's keys" in the(client_key, refused).text
    bare = replace(mine, environment={"PATH": str(tmp_path)})
    assert "ssh-keygen was not found" in the(client_key, bare).text


# -- agents


@pytest.mark.parametrize(
    ("found", "level"),
    [
        (Found("2.1.331", has_snapshots=True), OK),
        (Found(), WARNING),
        (Found(failure="CLAUDE_CMD ends with 5 at --version: no such thing"), FAULT),
    ],
)
def test_the_cli(setup: Make, monkeypatch: pytest.MonkeyPatch, found: Found, level: Level) -> None:
    monkeypatch.setattr(CliProbe, "ask", lambda _: found)
    assert the(agents.cli, setup(claude_cmd="sh")).level is level
    missing = the(agents.cli, setup(claude_cmd="no-such-program"))
    assert missing.level is FAULT and "npm install" in str(missing.remedy)


def test_the_sign_in(setup: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    out = the(agents.signed_in, setup())
    assert out.level is WARNING and "claude auth login" in str(out.remedy)
    walled = the(agents.signed_in, setup(claude_cmd="agent-in-bwrap claude"))
    assert walled.text == "not signed in: the sandbox does not show the user's sign-in"
    assert "auth login" not in str(walled.remedy) and "ANTHROPIC_API_KEY" in str(walled.remedy)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "made-up")
    signed = the(agents.signed_in, setup())
    assert signed.level is OK and "made-up" not in signed.text
    monkeypatch.delenv("HOME")
    assert levels(agents.signed_in, setup()) == [OK, WARNING]


def test_the_user_of_agents(setup: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    assert the(agents.user, setup()).level is OK
    assert the(agents.user, setup(agent_user="nobody")).level is FAULT
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert the(agents.user, setup()).level is WARNING
    assert the(agents.user, setup(agent_user="nobody")).level is OK
    assert "is no user" in the(agents.user, setup(agent_user="no-such-user")).text


def test_the_sandbox(setup: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    used = {"claude_cmd": "/opt/deploy/agent-in-bwrap -- claude"}
    monkeypatch.setattr(sandbox, "problem", lambda *_: None)
    assert the(agents.sandboxed, setup()).level is OK
    assert "agents run in it" in the(agents.sandboxed, setup(**used)).text
    monkeypatch.setattr(sandbox, "problem", lambda *_: ("no namespaces", "sysctl"))
    assert the(agents.sandboxed, setup()).level is OK
    assert list(agents.cli(setup(claude_cmd="sh agent-in-bwrap"))) == []  # one fault is enough
    broken = the(agents.sandboxed, setup(**used))
    assert (broken.level, broken.remedy) == (FAULT, "sysctl")


def test_the_guardian(setup: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    assert the(agents.guarded, setup()).level is OK

    def refuse(_: str) -> None:
        raise OSError("no processes are left")

    monkeypatch.setattr(agents, "Guardian", refuse)
    assert "no processes are left" in the(agents.guarded, setup()).text


# -- the system


def test_limits(setup: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
    monkeypatch.setattr(system_limits, "warnings", lambda *_, pid: [])
    assert the(system.limits, setup()).level is OK
    line = "MAX_CONN=9 needs about 9 threads, and 1 are allowed: ulimit -u 9 (docs/tuning.md)"
    monkeypatch.setattr(system_limits, "warnings", lambda *_, pid: [line] if pid else [])
    with locked(tmp_path / "data"):
        hub = the(system.limits, setup())
    assert f"in process {os.getpid()}, the hub" in hub.text
    assert str(hub.remedy).endswith("and start the hub again")
    monkeypatch.setattr(system_limits, "warnings", lambda *_, pid: [line])
    low = the(system.limits, setup())
    assert low.level is WARNING and low.remedy == "ulimit -u 9 (docs/tuning.md)"


def test_inotify(setup: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "_INOTIFY", tmp_path)
    assert the(system.inotify, setup()).level is OK  # nothing is said about limits
    (tmp_path / "max_user_instances").write_text("128\n")
    (tmp_path / "max_user_watches").write_text("8192\n")
    assert the(system.inotify, setup(max_projects="10")).level is OK
    few = the(system.inotify, setup(max_projects="100"))
    assert few.level is WARNING and few.remedy == "sysctl -w fs.inotify.max_user_watches=50000"
    assert levels(system.inotify, setup(max_projects="1000")) == [WARNING, WARNING]


def test_the_clock(setup: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.now(UTC) + timedelta(minutes=2)
    for state, level in ((True, OK), (None, OK), (False, WARNING)):
        monkeypatch.setattr(clock_state, "is_synchronised", lambda state=state: state)
        assert the(clock_state.clock, setup(clock=Clock(now))).level is level
    old = the(clock_state.clock, setup(clock=Clock(datetime(2001, 1, 1, tzinfo=UTC))))
    assert old.level is FAULT and "2001-01-01" in old.text


def test_the_kernel_says_if_its_clock_is_kept_right(monkeypatch: pytest.MonkeyPatch) -> None:
    assert clock_state.is_synchronised() in (True, False, None)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert clock_state.is_synchronised() is None


# -- all together


def test_a_check_that_fails_is_a_finding_and_the_others_go_on(setup: Make) -> None:
    def broken(_: Setup) -> Iterator[Finding]:
        yield ok("begun")
        raise KeyError("no such thing")

    reports = examination.examine(setup(), {"a": broken, "b": lambda _: [ok("fine")]})
    assert [report.check for report in reports] == ["a", "b"]
    (failed,), (fine,) = (report.findings for report in reports)
    assert failed.level is FAULT and "KeyError: 'no such thing'" in failed.text
    assert fine == ok("fine")


def test_a_check_that_hangs_is_a_finding(setup: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examination, "CHECK_MAX_S", 0.1)
    reading, writing = os.pipe()

    def hangs(_: Setup) -> Iterator[Finding]:
        os.read(reading, 1)
        yield ok("late")

    try:
        (report,) = examination.examine(setup(), {"slow": hangs})
        assert report.findings[0].level is FAULT and "no answer within" in report.findings[0].text
    finally:
        os.write(writing, b"x")
        os.close(writing)
    os.close(reading)


def test_every_check_has_a_test() -> None:
    text = Path(__file__).read_text()
    checks = examination.CHECKS.values()
    named = {f"{check.__module__.rpartition('.')[2]}.{check.__name__}" for check in checks}
    assert {name for name in named if name not in text} == set()
