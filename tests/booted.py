"""A Debian with systemd as process 1 of namespaces of its own, and without a kernel of its own.

What systemd would change of the machine is masked: the kernel's settings, its modules, its devices.
"""

import os
import secrets
import shutil
import signal
import subprocess
from pathlib import Path

import psutil

from tests.image import DEVICES
from tests.processes import wait_until

# Longer than systemd takes to start and stop a unit on a machine that is busy.
COMMAND_TIMEOUT_S = 120.0
CGROUPS = Path("/sys/fs/cgroup")
MASKED = (
    "dev-hugepages.mount",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-binfmt.service",
    "systemd-modules-load.service",
    "systemd-remount-fs.service",
    "systemd-sysctl.service",
    "systemd-udevd.service",
)

_BOOT = """
set -e
for group in $groups; do
    mkdir "$group"
    echo $$ >"$group/cgroup.procs"
done
exec unshare --pid --fork --kill-child --mount --cgroup --uts --ipc sh -c '
    set -e
    mount --make-rprivate /
    mount --bind "$root" "$root"
    mount -t proc proc "$root/proc"
    mount -t sysfs -o ro sysfs "$root/sys"
    if [ "$unified" = yes ]; then
        mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
    else
        mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
        mkdir "$root/sys/fs/cgroup/systemd" "$root/sys/fs/cgroup/unified"
        mount -t cgroup -o none,name=systemd cgroup "$root/sys/fs/cgroup/systemd"
        mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup/unified"
    fi
    mount -t tmpfs -o mode=755 tmpfs "$root/dev"
    for device in $devices; do
        touch "$root/dev/$device"
        mount --bind "/dev/$device" "$root/dev/$device"
    done
    mkdir "$root/dev/shm" "$root/dev/pts"
    mount -t tmpfs tmpfs "$root/dev/shm"
    mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
    ln -s pts/ptmx "$root/dev/ptmx"
    ln -s /proc/self/fd "$root/dev/fd"
    mount -t tmpfs -o mode=755 tmpfs "$root/run"
    mount -t tmpfs tmpfs "$root/tmp"
    cd "$root"
    pivot_root . mnt
    umount -l /mnt
    exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin \\
        /lib/systemd/systemd --unit=basic.target --log-target=journal --show-status=0
'
"""


class Booted:
    """The running system. Use it in `with`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._process: subprocess.Popen[bytes] | None = None
        self._unified = (CGROUPS / "cgroup.controllers").exists()
        name = f"claudehub-test-{secrets.token_hex(4)}"
        kinds = [""] if self._unified else ["systemd", "unified"]
        self._groups = [CGROUPS / kind / name for kind in kinds]
        for unit in MASKED:
            link = root / "etc" / "systemd" / "system" / unit
            link.unlink(missing_ok=True)
            link.symlink_to("/dev/null")

    def __enter__(self) -> "Booted":
        variables = {
            "root": str(self.root),
            "devices": " ".join(DEVICES),
            "groups": " ".join(map(str, self._groups)),
            "unified": "yes" if self._unified else "no",
        }
        with open(self.root.parent / "boot.log", "wb") as log:
            self._process = subprocess.Popen(
                ["sh", "-c", _BOOT],
                env={**os.environ, **variables},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_until(lambda: self.run("systemctl", "is-system-running") == (0, "running\n"))
        return self

    def run(self, *words: str) -> tuple[int, str]:
        """Run a command in the system; return its exit code and its output."""
        assert self._process is not None and self._process.poll() is None, self._said()
        children = psutil.Process(self._process.pid).children()
        if not children:
            return (1, "not yet")
        done = subprocess.run(
            ["nsenter", "-t", str(children[0].pid), "--all", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
        return done.returncode, done.stdout

    def must(self, *words: str) -> str:
        """Run a command; return its output. Raises AssertionError if it fails."""
        code, said = self.run(*words)
        assert code == 0, f"{words}: {said}\n{self.run('journalctl', '--no-pager', '-n', '40')[1]}"
        return said

    def _said(self) -> str:
        return (self.root.parent / "boot.log").read_text()

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)  # --kill-child: and with it all the rest
        self._process.wait()
        for group in self._groups:
            wait_until(lambda group=group: self._removed(group))

    @staticmethod
    def _removed(group: Path) -> bool:
        """Remove the control groups that systemd has made, once their processes are gone."""
        for folder, _, _ in os.walk(group, topdown=False):
            try:
                os.rmdir(folder)
            except OSError:
                return False
        return not group.exists()


def put(root: Path, source: Path, target: str) -> None:
    """Copy a file into the system."""
    place = root / target.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, place)
