"""Certificates of the server: a start names their faults, and a running server takes up new
ones."""

import errno
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from freezegun import freeze_time

from actors import messages
from actors.access.keyring import Keyring
from actors.audit.trail import AuditTrail
from actors.frontend.certificates import CertificateError, Certificates
from actors.runtime.problems import Problems
from actors.watch import reloader as reloader_module
from actors.watch.reloader import LOOK_S, FileReloader, _folders
from actors.watch.stamps import ReloadFailed
from tests.conftest import make_tls_files
from tests.fakes import FrozenClock, ManualTimers, Probe, inbox_of
from tests.harness import HubProcess, TlsFiles
from tests.sockets import port_of
from tests.test_project_files import end_thread

TRIES_MAX = 2000


@pytest.fixture
def files(tmp_path: Path) -> TlsFiles:
    return make_tls_files(tmp_path)


def fault(certificate: Path, key: Path) -> str:
    with pytest.raises(CertificateError) as refused:
        Certificates(certificate, key)
    return str(refused.value)


def test_a_certificate_fault_names_its_variable(files: TlsFiles, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    foreign = make_tls_files(other)
    assert fault(files.certificate, foreign.key).startswith("TLS_KEY: ")
    assert "does not belong" in fault(files.certificate, foreign.key)
    assert "cannot be read" in fault(tmp_path / "none.pem", files.key)
    assert fault(tmp_path / "none.pem", files.key).startswith("TLS_CERT: ")
    assert "no private key" in fault(files.certificate, files.certificate)
    assert "no certificate" in fault(files.key, files.key)
    assert all("example: " in fault(path, path) for path in (files.key, files.certificate))


def test_a_pipe_in_place_of_a_file_holds_nothing_up(files: TlsFiles, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for paths in ((files.certificate, tmp_path / "pipe"), (tmp_path / "pipe", files.key)):
        assert "cannot be read (is no regular file)" in fault(*paths)
    certificates = Certificates(files.certificate, files.key)
    files.certificate.unlink()
    os.mkfifo(files.certificate)
    with pytest.raises(CertificateError, match="is no regular file"):
        certificates.reload()


def test_an_encrypted_key_is_refused_without_a_prompt(files: TlsFiles, tmp_path: Path) -> None:
    encrypted = tmp_path / "encrypted.key"
    command = ["openssl", "pkey", "-in", str(files.key), "-out", str(encrypted)]
    subprocess.run([*command, "-aes256", "-passout", "pass:secret"], check=True)
    assert "is encrypted" in fault(files.certificate, encrypted)


def test_a_key_for_another_certificate_ends_the_start_with_one_line(
    files: TlsFiles, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    foreign = make_tls_files(other)
    hub = HubProcess(tmp_path, TlsFiles(files.certificate, foreign.key, files.authority))
    said = hub.refusal()
    assert said.count("\n") == 1 and "TLS_KEY: " in said


def test_only_changed_files_are_read_again(files: TlsFiles, tmp_path: Path) -> None:
    certificates = Certificates(files.certificate, files.key)
    first = certificates.context()
    assert first.minimum_version is ssl.TLSVersion.TLSv1_2
    assert not certificates.reload() and certificates.context() is first
    files.key.write_text("half a file")
    with pytest.raises(CertificateError):
        certificates.reload()
    assert certificates.context() is first
    with pytest.raises(CertificateError):
        certificates.reload()  # what was wrong might be over without a change of the files
    make_tls_files(tmp_path)
    assert certificates.reload() and certificates.context() is not first


def test_the_watcher_looks_soon_after_a_change_and_now_and_then(
    files: TlsFiles, tmp_path: Path
) -> None:
    certificates, timers, hub = Certificates(files.certificate, files.key), ManualTimers(), Probe()
    watcher = FileReloader(
        hub=hub.actor_ref,
        subject=certificates,
        clock=FrozenClock(),
        timers=timers,
        trail=AuditTrail(FrozenClock()),
        problems=Problems(),
    )
    watcher.on_start()
    try:
        first = certificates.context()
        assert [timer.delay_s for timer in timers.pending] == [LOOK_S]
        for _ in range(3):  # many events, one look
            watcher.on_receive(messages._FileTouched())
        assert len(timers.pending) == 2
        make_tls_files(tmp_path)
        timers.pending[1].receiver.tell(timers.pending[1].message)
        looks = [m for m in inbox_of(watcher) if isinstance(m, messages._FileLookDue)]
        watcher.on_receive(looks[0])
        assert certificates.context() is not first
        watcher.on_receive(messages._FileLookDue(again=True))
        assert timers.pending[-1].delay_s == LOOK_S
    finally:
        watcher.on_stop()


def test_a_change_before_the_watch_is_seen(files: TlsFiles, tmp_path: Path) -> None:
    certificates = Certificates(files.certificate, files.key)
    first = certificates.context()
    make_tls_files(tmp_path)
    watcher = FileReloader(
        hub=Probe().actor_ref,
        subject=certificates,
        clock=FrozenClock(),
        timers=ManualTimers(),
        trail=AuditTrail(FrozenClock()),
        problems=Problems(),
    )
    watcher.on_start()
    assert certificates.context() is not first
    watcher.on_stop()


@pytest.fixture
def reloader(files: TlsFiles) -> Iterator[FileReloader]:
    made = FileReloader(
        hub=Probe().actor_ref,
        subject=Certificates(files.certificate, files.key),
        clock=FrozenClock(),
        timers=ManualTimers(),
        trail=AuditTrail(FrozenClock()),
        problems=Problems(),
    )
    yield made
    made.on_stop()


def look(reloader: FileReloader) -> list[str]:
    reloader.on_receive(messages._FileLookDue(again=True))
    return reloader._problems.now()


def test_health_tells_that_files_cannot_be_read_until_they_can(
    reloader: FileReloader, files: TlsFiles, tmp_path: Path
) -> None:
    reloader.on_start()
    assert look(reloader) == []
    files.key.rename(tmp_path / "away")
    (problem,) = look(reloader)
    assert problem.startswith("certificate: the old one stays: TLS_KEY: ")
    (tmp_path / "away").rename(files.key)
    assert look(reloader) == []


def test_a_certificate_that_expires_is_logged_each_day_and_a_problem_in_the_end(
    reloader: FileReloader, files: TlsFiles, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ends = datetime(2026, 12, 24, 12, tzinfo=UTC)
    make_tls_files(tmp_path, not_after=ends)
    said = "the certificate expires soon"
    with freeze_time(ends - timedelta(days=14, seconds=-1)) as time:
        reloader.on_start()
        for days in (13, 12):
            for _ in range(3):
                assert look(reloader) == []
            assert f"expires=2026-12-24 days={days} " in caplog.messages[-1]
            time.tick(timedelta(days=1))
        assert caplog.text.count(said) == 2
        time.move_to(ends + timedelta(seconds=1))
        expired = f"certificate: {files.certificate} has expired on 2026-12-24: clients refuse it"
        assert look(reloader) == look(reloader) == [expired]
        assert caplog.text.count("part=certificate") == 1
        make_tls_files(tmp_path, not_after=ends + timedelta(days=90))
        assert look(reloader) == []
    assert caplog.text.count(said) == 2


def test_a_certificate_with_much_time_left_is_not_mentioned(
    files: TlsFiles, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ends = datetime(2026, 12, 24, 12, tzinfo=UTC)
    make_tls_files(tmp_path, not_after=ends)
    certificates = Certificates(files.certificate, files.key)
    assert certificates.problem(ends - timedelta(days=14)) is None
    assert certificates.validity(ends - timedelta(days=14)) == "until 2026-12-24"
    assert caplog.messages == []


@pytest.mark.parametrize("fault", [OSError(errno.EMFILE, "no"), RuntimeError("no thread")])
def test_files_are_watched_again_after_a_passing_failure(
    reloader: FileReloader,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fault: Exception,
) -> None:
    def fail(*_: Any) -> None:
        raise fault

    with monkeypatch.context() as patch:
        patch.setattr(reloader_module, "begun", fail)
        reloader.on_start()
        for _ in range(3):
            look(reloader)
    assert reloader._observer is None and caplog.text.count("changes are noticed late") == 1
    look(reloader)
    observer = reloader._observer
    assert observer is not None
    look(reloader)
    assert reloader._observer is observer  # one that works is left alone
    for emitter in observer.emitters:
        emitter.stop()
        emitter.join()
    look(reloader)
    assert reloader._observer is not observer and reloader._is_watching()


@pytest.mark.parametrize("method", ["dispatch_events", "read_events"])
def test_files_are_watched_again_whichever_thread_of_the_watch_has_failed(
    method: str, reloader: FileReloader, files: TlsFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    reloader.on_start()
    first = reloader._observer
    end_thread(first, method, files.key.parent / "touched", monkeypatch)
    look(reloader)
    assert reloader._observer not in (None, first) and reloader._is_watching()


def subject_of(hub: HubProcess, authority: Path) -> bool:
    """Return True if that authority has signed the server's certificate."""
    context = ssl.create_default_context(cafile=authority)
    with socket.create_connection(("127.0.0.1", port_of(hub)), timeout=10) as sock:
        try:
            context.wrap_socket(sock, server_hostname="localhost").close()
        except ssl.SSLCertVerificationError:
            return False
        return True


def in_place(old: Path, new: Path) -> None:
    for name in ("hub.key", "hub.pem"):
        shutil.copy(new / name, old / name)


def by_renaming(old: Path, new: Path) -> None:
    for name in ("hub.key", "hub.pem"):
        os.replace(new / name, old / name)


def by_folder(old: Path, new: Path) -> None:
    os.rename(old, old.with_name("away"))
    shutil.copytree(new, old)


def by_link(old: Path, new: Path) -> None:
    """As certificates are mounted into containers."""
    link = old.with_name("new link")
    link.symlink_to(new)
    os.replace(link, old)


@pytest.mark.parametrize("replace", [in_place, by_renaming, by_folder, by_link])
def test_a_new_certificate_is_used_within_seconds(
    scratch: Path, replace: Callable[[Path, Path], None], request: pytest.FixtureRequest
) -> None:
    folder, new, other = scratch / "tls", scratch / "second", scratch / "first"
    for path in (new, other):
        path.mkdir()
    first, second = make_tls_files(other), make_tls_files(new)
    if replace is by_link:
        folder.symlink_to(other)
    else:
        shutil.copytree(other, folder)
    used = TlsFiles(folder / "hub.pem", folder / "hub.key", first.authority)
    hub = HubProcess(scratch, used).start()
    request.addfinalizer(hub.stop)
    authority = shutil.copy(second.authority, scratch / "authority")
    with hub.client() as client:
        assert not subject_of(hub, authority)
        replace(folder, new)
        tries = 0
        while not subject_of(hub, authority) and tries < TRIES_MAX:
            tries += 1
        assert tries < TRIES_MAX
        assert client.request("ping") == {}  # with the old one, still
        in_place(folder, other)  # what came instead is watched as well
        tries = 0
        while subject_of(hub, authority) and tries < TRIES_MAX:
            tries += 1
        assert tries < TRIES_MAX
    assert hub.stop() == 0


def test_the_server_stops_without_the_reloader_of_keys(
    files: TlsFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the reloader a removed key would stay good."""
    died: list[str] = []

    def new() -> FileReloader:
        return FileReloader(
            hub=Probe().actor_ref,
            subject=Certificates(files.certificate, files.key),
            clock=FrozenClock(),
            timers=ManualTimers(),
            trail=AuditTrail(FrozenClock()),
            problems=Problems(),
            died=died.append,
        )

    new().on_failure(ValueError, ValueError("bug"), None)
    assert died == ["reloader of certificate failed: ValueError: bug"]
    monkeypatch.setattr(FileReloader, "started", lambda _: 1 / 0)
    new().on_start()  # also where it never began
    assert died[1:] == ["reloader of certificate failed: ZeroDivisionError: division by zero"]


def test_every_link_on_the_way_is_watched(tmp_path: Path) -> None:
    real = tmp_path / "real" / "v1"
    real.mkdir(parents=True)
    (real / "file").write_text("")
    (tmp_path / "mid" / "x").mkdir(parents=True)
    (tmp_path / "mid" / "x" / "link").symlink_to("../../real/v1")
    (tmp_path / "names").mkdir()
    (tmp_path / "names" / "file").symlink_to(tmp_path / "mid" / "x" / "link" / "file")

    class Subject:
        files = (tmp_path / "names" / "file",)

    watched = _folders(Subject())  # type: ignore[arg-type]
    wanted = {tmp_path / "names", tmp_path / "mid" / "x", tmp_path / "real", real}
    assert wanted <= watched


def test_a_loop_of_links_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")

    class Subject:
        files = (tmp_path / "a", tmp_path / "none" / "x")

    assert tmp_path in _folders(Subject())  # type: ignore[arg-type]
    with pytest.raises(ReloadFailed):
        Keyring(tmp_path / "a")
