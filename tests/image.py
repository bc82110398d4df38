"""The image of deploy/Dockerfile without Docker: each of its steps, carried out in a fresh Debian
root; and a container of it, with namespaces of its own. Linux only, and as root.

The networks of the machine are shared: no step and no test needs another one.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.harness import ROOT, TIMEOUT_S
from tests.processes import wait_until

DOCKERFILE = ROOT / "deploy" / "Dockerfile"
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
STEP_TIMEOUT_S = 900.0
SUITE = "bookworm"
MIRROR = "http://deb.debian.org/debian"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")


@dataclass(frozen=True, slots=True)
class Instruction:
    """A line of the Dockerfile, with the lines that continue it."""

    word: str
    rest: str


def instructions() -> Iterator[Instruction]:
    text = re.sub(r"(?m)^\s*#.*\n", "", DOCKERFILE.read_text()).replace("\\\n", " ")
    for line in filter(None, map(str.strip, text.splitlines())):
        word, _, rest = line.partition(" ")
        yield Instruction(word, rest.strip())


@dataclass(slots=True)
class Stage:
    """A root folder, and what the instructions so far have set."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, str] = field(default_factory=dict)
    user: str = "root"
    folder: str = "/"
    entry: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)


def make_debian(root: Path, *packages: str) -> None:
    """Bring a fresh Debian into the folder, with these packages too."""
    more = [f"--include={','.join(packages)}"] if packages else []
    done = subprocess.run(
        ["debootstrap", "--variant=minbase", *more, SUITE, str(root), MIRROR],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=STEP_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]


class ImageBuilder:
    """Carries the instructions out. Raises AssertionError for one that it does not know."""

    def __init__(self, debian: Path, scratch: Path, arguments: Mapping[str, str]) -> None:
        self._debian = debian
        self._scratch = scratch
        self._arguments = arguments
        self._stages: dict[str, Stage] = {}
        self._stage = Stage(debian)

    def build(self) -> Stage:
        for instruction in instructions():
            print(f"# {instruction.word} {instruction.rest}"[:150], file=sys.stderr, flush=True)
            getattr(self, f"_on_{instruction.word.lower()}")(instruction.rest)
        return self._stage

    def _on_from(self, rest: str) -> None:
        image, _, name = rest.partition(" AS ")
        assert image == f"debian:{SUITE}-slim", image
        root = self._scratch / f"stage{len(self._stages)}"
        subprocess.run(["cp", "-a", str(self._debian), str(root)], check=True)
        self._stage = Stage(root)
        self._stages[name or "final"] = self._stage

    def _on_arg(self, rest: str) -> None:
        name, _, default = rest.partition("=")
        self._stage.arguments[name] = self._arguments.get(name, default)

    def _on_env(self, rest: str) -> None:
        self._stage.environment |= dict(word.split("=", 1) for word in shlex.split(rest))

    def _on_workdir(self, rest: str) -> None:
        self._stage.folder = rest
        (self._stage.root / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)

    def _on_user(self, rest: str) -> None:
        self._stage.user = rest

    def _on_volume(self, rest: str) -> None:
        self._stage.volumes.append(rest)

    def _on_expose(self, rest: str) -> None:
        assert rest == "8080"

    def _on_entrypoint(self, rest: str) -> None:
        self._stage.entry = json.loads(rest)  # the exec form: a shell would keep signals to itself

    def _on_cmd(self, rest: str) -> None:
        self._stage.command = json.loads(rest)

    def _on_healthcheck(self, rest: str) -> None:
        self._stage.health = json.loads(rest.partition(" CMD ")[2])

    def _on_copy(self, rest: str) -> None:
        words = shlex.split(rest)
        stage = self._stage
        if words[0].startswith("--from="):
            source, target = words[1:]
            root = self._stages[words[0].partition("=")[2]].root
            place = stage.root / target.lstrip("/")
            shutil.copytree(root / source.lstrip("/"), place, symlinks=True, dirs_exist_ok=True)
            return
        assert words == [".", "."]
        copy_source(stage.root / stage.folder.lstrip("/"))

    def _on_run(self, rest: str) -> None:
        stage = self._stage
        carry_out(stage.root, rest, stage.environment | stage.arguments, stage.folder)


def carry_out(
    root: Path, command: str, environment: Mapping[str, str] | None = None, folder: str = "/"
) -> None:
    """Run a shell command in a root, as RUN does. Raises AssertionError if it fails."""
    certificates = "/tmp/certificates"
    shutil.copy("/etc/resolv.conf", root / "etc" / "resolv.conf")
    variables = {"PATH": SYSTEM_PATH, "HOME": "/root", "DEBIAN_FRONTEND": "noninteractive"}
    if CERTIFICATES.exists():  # those that lead out of this machine, as a builder has them
        shutil.copy(CERTIFICATES, f"{root}{certificates}")
        variables |= {"PIP_CERT": certificates, "NODE_EXTRA_CA_CERTS": certificates}
    variables |= environment or {}
    script = (
        'mount --make-rprivate / && mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && '
        'exec chroot "$0" env -i "$@"'
    )
    done = subprocess.run(
        [
            *("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script),
            *(str(root), *(f"{name}={value}" for name, value in variables.items())),
            *("/bin/sh", "-c", f"cd {shlex.quote(folder)} && {command}"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=STEP_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}"
    Path(f"{root}{certificates}").unlink(missing_ok=True)


def copy_source(folder: Path) -> None:
    """Copy the source as it is in a checkout, with what is not committed yet."""
    listed = ["git", "ls-files", "-zco", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)


# Mounts as compose.yaml asks for: a read-only root, /tmp in memory, a volume, folders from outside.
_INSIDE = """
set -e
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 dev "$root/dev"
for device in $devices; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/shm"
mount -t tmpfs shm "$root/dev/shm"
ln -s /proc/self/fd "$root/dev/fd"
mount -t tmpfs -o mode=1777 tmp "$root/tmp"
while read -r from to; do
    mount --bind "$from" "$root$to"
done <"$binds"
mount -o remount,bind,ro "$root"
exec chroot "$root" setpriv --reuid "$user" --regid "$user" --init-groups --no-new-privs \\
    --bounding-set=-all --inh-caps=-all sh -c 'cd "$0" && exec "$@"' "$folder" \\
    env -i "$@"
"""


class Container:
    """A container of an image: process 1 is the image's own command. Use it in `with`."""

    def __init__(
        self, image: Stage, scratch: Path, binds: Mapping[Path, str], **settings: str
    ) -> None:
        self._image = image
        self._errors = scratch / "container.log"
        self._binds = scratch / "binds"
        self._environment = {**image.environment, **settings}
        for target in binds.values():
            (image.root / target.lstrip("/")).mkdir(parents=True, exist_ok=True)
        self._binds.write_text("".join(f"{a} {b}\n" for a, b in binds.items()))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Container":
        image = self._image
        variables = {
            "root": str(image.root),
            "devices": " ".join(DEVICES),
            "binds": str(self._binds),
            "user": image.user,
            "folder": image.folder,
        }
        words = [*self._assigned(), *image.entry, *image.command]
        with open(self._errors, "wb") as errors:
            self._process = subprocess.Popen(
                [
                    "unshare",
                    "--mount",
                    "--pid",
                    "--ipc",
                    "--uts",
                    "--fork",
                    "--kill-child",
                    "sh",
                    "-c",
                    _INSIDE,
                    "container",
                    *words,
                ],
                env={**os.environ, **variables},
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
            )
        wait_until(self._has_begun)
        return self

    def _has_begun(self) -> bool:
        assert self._process is not None
        return self._process.poll() is not None or bool(
            psutil.Process(self._process.pid).children()
        )

    def _assigned(self) -> list[str]:
        return [f"{name}={value}" for name, value in self._environment.items()]

    def said(self) -> str:
        return self._errors.read_text()

    @property
    def first(self) -> psutil.Process:
        """Return process 1, as this machine sees it."""
        assert self._process is not None
        (child,) = psutil.Process(self._process.pid).children()
        return child

    def wait_until_healthy(self) -> None:
        def is_healthy() -> bool:
            assert self._process is not None and self._process.poll() is None, self.said()
            return self.run(*self._image.health).returncode == 0

        wait_until(is_healthy)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the container, as `docker exec` does."""
        user = self._image.user
        drop = f"setpriv --reuid {user} --regid {user} --init-groups --no-new-privs"
        enter = ["nsenter", "-t", str(self.first.pid), "--mount", "--pid", "--ipc", "--uts"]
        return subprocess.run(
            [
                *enter,
                "chroot",
                str(self._image.root),
                *drop.split(),
                "env",
                "-i",
                *self._assigned(),
                *words,
            ],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal to process 1, as `docker stop` does; return the exit code."""
        self.first.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        assert self._process is not None
        return self._process.wait(TIMEOUT_S)

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.kill()  # and with it all of the container: --kill-child
        self._process.wait()
