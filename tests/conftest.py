"""Frozen time that pykka and subprocess do not see, shared hubs, and a check that nothing is left
behind."""

import os
import secrets
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import freezegun
import psutil
import pykka
import pytest
import trustme

from tests.harness import HubProcess, SharedHubs, TlsFiles

# pytest's own clock is left alone as well, so that `--durations` prints true times.
freezegun.configure(
    extend_ignore_list=["pykka", "subprocess", "websockets", "threading", "_pytest.timing"]
)

LEFTOVER_WAIT_S = 5.0
# Carried by every process that a test's agents start, and by their children.
RUN_MARK = "CLAUDE_TEST_RUN"


def pytest_configure(config: pytest.Config) -> None:
    os.environ.setdefault(RUN_MARK, secrets.token_hex(8))  # the workers have their parent's
    keep_bytecode(config)


def keep_bytecode(config: pytest.Config) -> None:
    """Keep bytecode in pytest's cache if the environment forbids it beside the sources. Otherwise
    each hub compiles the whole project at its start, which takes half of the start."""
    cache: pytest.Cache | None = getattr(config, "cache", None)
    if cache is not None and os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
        os.environ["PYTHONPYCACHEPREFIX"] = str(cache.mkdir("bytecode"))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Check after the whole suite and all its workers that no agent and no process of an agent is
    left."""
    if hasattr(session.config, "workerinput"):
        return
    left = []
    for process in psutil.process_iter(["pid", "cmdline", "status"]):
        try:
            seen = process.environ()
        except (psutil.Error, OSError):
            continue
        is_agents = seen.get(RUN_MARK) == os.environ[RUN_MARK] and "CLAUDEHUB_PROCESS_ID" in seen
        if is_agents and process.info["status"] != psutil.STATUS_ZOMBIE:
            left.append((process.info["pid"], process.info["cmdline"]))
    if left:
        # Not raised: that would hide which test has failed.
        print(f"\nERROR: processes of agents are left: {left}", file=sys.stderr)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    report = yield
    if report.failed:
        SharedHubs.doubt_all()
    return report


def of_shared_hubs() -> set[psutil.Process]:
    """Return the processes of shared hubs; the module's end checks those."""
    found: set[psutil.Process] = set()
    for hub in HubProcess.running:
        if hub.is_shared and hub.is_running():
            process = psutil.Process(hub.pid)
            found |= {process, *process.children(recursive=True)}
    return found


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Fail a test that leaves a thread, an actor or a child process."""
    before = set(threading.enumerate())
    shared = set(psutil.Process().children(recursive=True))  # a hub that a module's tests share
    shared_hubs = set(HubProcess.running)
    yield
    # The hub of a test that failed halfway ends cleanly too, or its agents would make others fail.
    forgotten = {hub for hub in HubProcess.running - shared_hubs if not hub.is_shared}
    for hub in forgotten:
        hub.stop()
    assert not forgotten, "a hub was not stopped"
    for actor in pykka.ActorRegistry.get_all():  # one that was told to stop may be at it
        actor.actor_stopped.wait(LEFTOVER_WAIT_S)
    assert not pykka.ActorRegistry.get_all()
    for thread in set(threading.enumerate()) - before:
        thread.join(LEFTOVER_WAIT_S)
        assert not thread.is_alive(), f"{thread} is left"
    children = set(psutil.Process().children(recursive=True)) - shared - of_shared_hubs()
    _, alive = psutil.wait_procs(children, timeout=LEFTOVER_WAIT_S)
    assert not alive, f"{alive} are left"


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    return tmp_path.resolve()


@pytest.fixture(scope="session")
def tls_files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    folder = tmp_path_factory.mktemp("tls")
    return make_tls_files(folder)


def make_tls_files(folder: Path, not_after: datetime | None = None) -> TlsFiles:
    """Make a new authority and a certificate of it, which may have an end."""
    authority = trustme.CA()
    begins = None if not_after is None else not_after - timedelta(days=365)
    certificate = authority.issue_cert(
        "localhost", "127.0.0.1", not_before=begins, not_after=not_after
    )
    files = TlsFiles(folder / "hub.pem", folder / "hub.key", folder / "authority.pem")
    files.certificate.write_bytes(b"".join(p.bytes() for p in certificate.cert_chain_pems))
    certificate.private_key_pem.write_to_path(str(files.key))
    authority.cert_pem.write_to_path(str(files.authority))
    return files


@pytest.fixture
def tls(request: pytest.FixtureRequest) -> TlsFiles | None:
    """Make TLS files for a test with the parameter "wss"; return None for "ws"."""
    if getattr(request, "param", "ws") == "ws":
        return None
    return request.getfixturevalue("tls_files")


@pytest.fixture(scope="module")
def shared_hubs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedHubs]:
    hubs = SharedHubs(lambda: tmp_path_factory.mktemp("hub").resolve())
    yield hubs
    hubs.close()


@pytest.fixture
def share_hub(shared_hubs: SharedHubs, tls: TlsFiles | None) -> Iterator[Any]:
    """Return the module's hub with these settings. A test that uses it must leave it running, and
    give its projects names that are unique in the module."""
    used: list[HubProcess] = []

    def share(**settings: str) -> HubProcess:
        hub = shared_hubs.get(tls, **settings)
        used.append(hub)
        return hub

    yield share
    assert all(hub.is_running() for hub in used), "the test has ended a hub that others use"


@pytest.fixture
def hub(share_hub: Any) -> HubProcess:
    """Return the module's hub with default settings."""
    shared: HubProcess = share_hub()
    return shared


@pytest.fixture
def start_hub(scratch: Path, tls: TlsFiles | None) -> Iterator[Any]:
    """Start a hub for this test alone: for a test that ends or restarts it, or needs settings that
    no other test has. Unless the test ends it, it must stop cleanly."""
    started: list[HubProcess] = []

    def start(**settings: str) -> HubProcess:
        process = HubProcess(scratch, tls, **settings).start()
        started.append(process)
        return process

    yield start
    assert [process.stop() for process in started] == [0] * len(started)
