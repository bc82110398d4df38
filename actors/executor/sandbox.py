"""deploy/agent-in-bwrap: is it what runs agents, and can it run here?"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from actors.executor.short_output import end_of, read_short_output
from actors.executor.walls import Walls
from actors.process_tree import children, prctl

WRAPPER = "agent-in-bwrap"
TRY_MAX_S = 5.0
INSTALL = "install bubblewrap (apt install bubblewrap, dnf install bubblewrap)"
# The namespaces and mounts of the wrapper, with nothing in them but the programs of the system.
_TRIED = (
    *("--unshare-all", "--share-net", "--die-with-parent", "--ro-bind", "/usr", "/usr"),
    *("--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib"),
    *("--symlink", "usr/lib64", "/lib64", "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"),
    *("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--", "/usr/bin/true"),  # noqa: S108  # nosec B108
)
# As the server does at its start (no_new_privileges.py): a bwrap that is setuid has no more rights
# than that.
_UNPRIVILEGED = (
    f"import ctypes, os, sys; ctypes.CDLL(None).prctl({prctl.NO_NEW_PRIVILEGES}, 1, 0, 0, 0); "
    "os.execvp(sys.argv[1], sys.argv[1:])"
)
_PROC = Path("/proc/sys")
# What forbids namespaces: a file of the kernel, the value that forbids them, and what to type.
_FORBIDDING = (
    ("kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"),
    ("user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=15000"),
    (
        "kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    ),
)
_ELSEWHERE = (
    "allow user namespaces where the hub runs (Docker: --security-opt seccomp=unconfined "
    "--security-opt apparmor=unconfined; systemd: RestrictNamespaces=no), or run agents without "
    "the sandbox: CLAUDE_CMD=claude"
)


def uses_sandbox(command: Sequence[str]) -> bool:
    """Return True if a command line runs agents in deploy/agent-in-bwrap, or in bwrap itself."""
    return any(os.path.basename(word) in (WRAPPER, "bwrap") for word in command)


def problem(environment: Mapping[str, str], walls: Walls) -> tuple[str, str] | None:
    """Start /usr/bin/true in the sandbox, with an agent's environment, user and limits. Return why
    that fails, and what helps; None if it works."""
    path = environment.get("PATH")
    if shutil.which("bwrap", path=path) is None:
        return f"bwrap was not found in {path}", INSTALL
    try:
        with children.start(
            [sys.executable, "-I", "-S", "-c", _UNPRIVILEGED, *walls.command(["bwrap", *_TRIED])],
            cwd="/",
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as process:
            try:
                _, errors = read_short_output(process, TRY_MAX_S)
            finally:
                process.kill()
    except (OSError, subprocess.SubprocessError) as error:
        return f"bwrap does not run: {error}", INSTALL
    if process.returncode == 0:
        return None
    reason = end_of(errors) or f"exit code {process.returncode}"
    return f"bwrap cannot run here: {reason}", _remedy()


def _remedy() -> str:
    """Return what helps where namespaces are forbidden."""
    for name, value, command in _FORBIDDING:
        try:
            if (_PROC / name).read_text().strip() == value:
                return command
        except OSError:
            continue  # this system has no such switch
    return _ELSEWHERE
