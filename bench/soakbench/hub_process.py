"""The hub under test: its process, its restarts, its disk, and what it says."""

import asyncio
import errno
import json
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import psutil

from tests.harness import ROOT, HubProcess
from tests.processes import is_cli, marked

DISK_BYTES = 512 * 1024 * 1024
BALLAST_STEPS_BYTES = (1024 * 1024, 4096)
INJECTED = "the soak has made a"
RESTART_PAUSE_S = 0.5
LINE_MAX = 600  # characters of a log line that are shown


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Disk:
    """The data folder's disk, which can be filled. As root it is a small tmpfs. Else the server's
    RLIMIT_FSIZE goes to 0 for a while: the kernel then refuses each write that makes a file
    longer."""

    def __init__(self, data: Path) -> None:
        self._data = data
        data.mkdir(exist_ok=True)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0700", "tmpfs", str(data)]
        try:
            done = subprocess.run(mount, capture_output=True, check=False)
            self.is_mounted = done.returncode == 0
        except FileNotFoundError:
            self.is_mounted = False
        self.kind = (
            f"a tmpfs of {DISK_BYTES // 1024 // 1024} MiB that is filled"
            if self.is_mounted
            else "RLIMIT_FSIZE of the server set to 0 (a tmpfs cannot be mounted here)"
        )
        self._ballast = data / "soak-ballast"
        self._limit: tuple[int, int] | None = None

    def fill(self, pid: int) -> None:
        """Leave no byte free."""
        if not self.is_mounted:
            self._limit = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, self._limit[1]))
            return
        with open(self._ballast, "wb", buffering=0) as file:
            for size in BALLAST_STEPS_BYTES:
                try:
                    while True:
                        file.write(bytes(size))
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise

    def free(self, pid: int) -> None:
        """Give the space back."""
        if self.is_mounted:
            self._ballast.unlink(missing_ok=True)
        elif self._limit is not None:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, self._limit)

    def close(self) -> None:
        if self.is_mounted:
            subprocess.run(["umount", "-l", str(self._data)], check=True)


class SoakedHub(HubProcess):
    """A hub behind launcher.py, always on the same port."""

    wait_s = 90.0  # on a machine that does other things, with the logs of an hour

    def __init__(self, scratch: Path, **settings: str) -> None:
        super().__init__(scratch, WS_PORT=str(free_port()), **settings)
        self.disk = Disk(self.data)
        self._seams = scratch / "seams"
        self.lives = 0
        self.is_ending = False

    def command(self) -> list[str]:
        launcher = str(ROOT / "bench" / "soakbench" / "launcher.py")
        return [sys.executable, launcher, str(self._seams), "serve"]

    async def begin(self) -> None:
        """Start a life of the server. Raises AssertionError when it does not come up."""
        await asyncio.to_thread(self.start)
        self.lives += 1

    async def kill_and_begin(self) -> None:
        self.is_ending = True
        try:
            await asyncio.to_thread(self.stop, signal.SIGKILL)
            await asyncio.sleep(RESTART_PAUSE_S)
            await self.begin()
        finally:
            self.is_ending = False

    def tell(self, command: str) -> None:
        """Give launcher.py a command."""
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(str(self._seams))
            peer.sendall(f"{command}\n".encode())

    def agents(self) -> list[psutil.Process]:
        """Return the CLI processes."""
        found = []
        for process in psutil.Process(self.pid).children(recursive=True):
            try:
                if is_cli(process):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def left(self) -> list[int]:
        """Return the processes that still carry the hub's mark."""
        return marked(self.data)

    def said(self) -> list[str]:
        """Return what the server logged that it should not have."""
        with open(self.errors, errors="replace") as lines:
            return faults_of(lines)


def faults_of(lines: Iterable[str]) -> list[str]:
    """Return the bugs that a log in JSON tells of, and the exceptions that nobody has injected."""
    found = []
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:  # the stacks of SIGUSR1, and what is said before the log is set up
            if "Traceback" in line:
                found.append(line.strip())
            continue
        exception = str(event.get("exception", ""))
        if "bug:" in str(event.get("event")) or (exception and INJECTED not in exception):
            found.append(line.strip()[-LINE_MAX:])
    return found
