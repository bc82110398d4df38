"""Systems where something is not as usual: no /proc, a umask that takes every right or none."""

import os
import signal
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from storage import disk
from storage.layout import DataLayout
from tests.harness import TIMEOUT_S, HubProcess
from tests.processes import wait_until
from tests.test_audit import NOW, line

# A user whom modes bind: root without the rights to pass over them.
BOUND = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]


def modes(root: Path) -> dict[str, str]:
    """Return the modes below a folder, by name; a socket's too."""
    return {
        str(path.relative_to(root)): stat.filemode(path.lstat().st_mode)
        for path in [root, *root.rglob("*")]
    }


def accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


@pytest.mark.parametrize("way", ["empty", "of other processes"])
def test_a_server_without_proc_says_what_is_missing(scratch: Path, way: str) -> None:
    hub = HubProcess(scratch)
    script = 'mount -t tmpfs none /proc; exec "$@"'
    if way != "empty":  # as where the /proc of one namespace is seen in another
        script = 'exec unshare --pid --fork "$@"'
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh", *hub.command()]
    ended = subprocess.run(
        command, env=hub.environment(), capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1 and ended.stdout == ""
    assert "Traceback" not in ended.stderr
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("claudehub: /proc does not show") and "mount -t proc" in last


@pytest.mark.parametrize("umask", [0o777, 0o000, 0o022])
def test_modes_do_not_depend_on_the_umask(scratch: Path, umask: int) -> None:
    hub = HubProcess(scratch)
    data, path = hub.data, scratch / "s"
    environment = hub.environment(
        SOCKET=str(path), WS_PORT="off", LOG_COMPRESS="gzip", MSG_ROTATE_SIZE="1048576"
    )
    # The umask is the agent's as well. What that makes is its own affair, but it must work.
    agent = environment["CLAUDE_CMD"]
    environment["CLAUDE_CMD"] = f"sh -c 'umask 022; exec \"$@\"' sh {agent}"
    folders = [hub.folder("p"), hub.folder("other")]
    for number in range(2):  # the second time it finds what the first has made
        process = subprocess.Popen(
            [*BOUND, *hub.command()],
            env=environment,
            umask=umask,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_until(lambda: accepts(path))
            hub.url = f"unix:{path}"
            with hub.client() as client:
                if number == 0:
                    client.request("project_create", path=folders[0], project_id="p")
                client.request("project_create", path=folders[1], project_id="other")
                client.request("project_join", project_id="p")
                assert client.run("p", "x", key=f"k{number}")["outcome"] == "success"
                client.request("project_delete", project_id="other", keep_history=True)
                assert stat.filemode(path.lstat().st_mode) == "srw-------"
            process.send_signal(signal.SIGTERM)
            assert process.wait(TIMEOUT_S) == 0
        finally:
            process.kill()
            process.wait()
    found = modes(data)
    assert {"projects/p/meta.json", "projects/p/keys.jsonl", "audit.jsonl", "lock"} <= found.keys()
    assert any(name.endswith(".jsonl") and "/log/" in name for name in found)
    assert set(found.values()) == {"drwx------", "-rw-------"}, found


@pytest.mark.parametrize("umask", [0o777, 0o000])
def test_modes_of_what_a_running_server_makes(tmp_path: Path, umask: int) -> None:
    """Files that a short session does not make: a rolled audit log, a carried segment."""
    from storage.active_segment import ActiveSegment
    from storage.audit import AuditLog

    before = os.umask(umask)
    try:
        layout = DataLayout(tmp_path / "data")
        layout.create()
        layout.lock.acquire()
        (layout.root / "lock").unlink()
        assert layout.lock.look() is None
        log = AuditLog(layout.root, 1)
        for _ in range(3):
            log.append(line(), NOW)
        log.close()
        ActiveSegment.create(layout.root / "carried", 1, b"x").close()
        disk.replace_file(layout.id_file, b"x", keep_as=layout.root / "old")
        layout.lock.release()
    finally:
        os.umask(before)
    assert set(modes(layout.root).values()) == {"drwx------", "-rw-------"}
