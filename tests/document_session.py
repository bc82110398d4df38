"""A scratch home with a hub and the mock CLI, in which the commands of one page run in their order.

The commands run in one bash, so that `cd`, variables and functions hold from block to block. It
finds `claudehub` and `claude` on the PATH, and `bin/`, `examples/`, `deploy/` and a folder with
certificates where it starts. A page that does not begin with a hub of its own finds one that runs,
with the project `site` of ~/src/site. The ports 8080 and 9000 of the page become a free one.
"""

import base64
import json
import os
import re
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.background import Background
from tests.harness import MOCK, ROOT

_PORTS = re.compile(r"\b(8080|9000)\b")
COMMAND_S = 30.0
# What a page's reader does with the service manager, or Ctrl-C; for a mark `before`.
STOP = "stop the hub"
# These run until somebody ends them. The session leaves a hub running, until the next one or the
# end of the page; it ends the others after their first line.
_SERVES = re.compile(r"\bclaudehub serve\b")
_FOLLOWS = re.compile(r"\btail -[fF]|--follow\b|examples/(watch|answer_bot)\.py")
_WRAPPER = """#!/bin/sh
if [ -z "$SOCKET" ] && [ -z "$CLAUDEHUB_URL" ] && [ "$1" != hub ]; then
    export CLAUDEHUB_URL=ws://127.0.0.1:{port}
fi
exec {python} {program} "$@"
"""
_PYTHON = """#!/bin/sh
export CLAUDEHUB_URL="${{CLAUDEHUB_URL-ws://127.0.0.1:{port}}}"
exec {python} -u "$@"
"""


def mock_calls(tool: str, **tool_input: object) -> str:
    """Return the mock's directive for a call of a tool."""
    calls = json.dumps([[tool, tool_input]])
    return f"[[calls:{base64.b64encode(calls.encode()).decode()}]]"


# What the mock does for a prompt of a page that has these words.
_COLOURS = [{"label": "Blue", "description": "calm"}, {"label": "Red", "description": "loud"}]
_COLOUR = {"question": "Which colour?", "header": "Colour", "options": _COLOURS}
PHRASES = {
    "which colour": mock_calls("AskUserQuestion", questions=[{**_COLOUR, "multiSelect": False}]),
    "git status": "[[tool:Bash:git status --short]]",
    "build folder": "[[tool:Bash:rm -rf build]]",
    "a long poem": "[[slow:300:0.1]]",
}
_CLAUDE = '#!/bin/sh\nexec {python} {mock} "$@"\n'
_RUN = (
    'eval "$(printf %s {text} | base64 -d)" </dev/null 2>&1; status=$?; echo; echo {mark} $status'
)
_BEGIN = '(eval "$(printf %s {text} | base64 -d)") </dev/null >{output} 2>&1 & echo; echo {mark} $!'


class CommandFailed(AssertionError):
    """A command of a page did not do what the page says."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def commands(text: str) -> Iterator[str]:
    """Yield the commands of a block: lines, joined until bash takes them as complete."""
    waiting: list[str] = []
    for line in text.splitlines():
        waiting.append(line)
        command = "\n".join(waiting)
        if is_complete(command):
            waiting = []
            if re.sub(r"(?m)^\s*#.*$", "", command).strip():
                yield command
    assert not waiting, f"not complete: {waiting}"


def is_complete(command: str) -> bool:
    if command.rstrip().endswith(("\\", "|", "&&")):
        return False
    checked = subprocess.run(
        ["bash", "-n"], input=command, capture_output=True, text=True, check=False
    )
    return checked.returncode == 0 and not checked.stderr


class DocumentSession:
    """The shell of one page; close it at the end."""

    def __init__(self, *, with_hub: bool) -> None:
        # Short, because the path of a Unix socket has at most 107 bytes.
        self._scratch = Path(tempfile.mkdtemp(prefix="chd-"))
        self.home = self._scratch / "home"
        self.port = free_port()
        self.printed = ""
        self._hub: Background | None = None
        self._going_on: dict[str, Background] = {}
        self._make_home()
        self._shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=self.home / "claudehub",
            env=self._environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.run("set -m")  # each command in the background gets a process group of its own
        if with_hub:
            self.run("claudehub serve")
            self.run("claudehub projects create ~/src/site && claudehub run site 'Say hello'")

    def close(self) -> None:
        for running in self._going_on.values():  # of a test that has failed
            self._end(running)
        self._end_hub()
        self._shell.communicate("exit\n", timeout=COMMAND_S)
        shutil.rmtree(self._scratch)

    # -- commands

    def run(self, command: str, *, fails: bool = False) -> str:
        """Run one command and return what it prints. Raises CommandFailed."""
        command = self.with_own_port(command)
        if command == STOP:
            self._end_hub()
            return ""
        if _SERVES.search(command):
            self._end_hub()
            self._hub, self.printed = self._begin(command, lambda said: "listening on " in said)
            return self.printed
        if _FOLLOWS.search(command):
            return self._run_until(command, lambda said: "\n" in said)
        output, status = self._send(_RUN, command)
        self.printed = output
        if (status != 0) is not fails:
            raise CommandFailed(f"$ {command}\n{output}(exit code {status})")
        return output

    def run_python(self, program: str, until: str | None = None) -> str:
        """Run a program. With `until` it is ended when it prints that."""
        path = self._scratch / "program.py"
        path.write_text(self.with_own_port(program))
        command = f"~/claudehub/.venv/bin/python {path}"
        if until is None:
            return self.run(command)
        return self._run_until(command, lambda said: until in said)

    def begin(self, name: str, command: str, holds: Callable[[str], bool]) -> str:
        """Start a command that goes on while others run. Return what it prints until `holds` is
        true of that."""
        self._going_on[name], output = self._begin(self.with_own_port(command), holds)
        return output

    def wait_until(self, name: str, holds: Callable[[str], bool]) -> None:
        """Wait until `holds` is true of what such a command has printed."""
        self._going_on[name].wait_for(holds, COMMAND_S)

    def end_of(self, name: str) -> str:
        """Wait for the end of such a command; return all that it has printed."""
        return self._going_on.pop(name).wait(COMMAND_S)

    def with_own_port(self, text: str) -> str:
        return _PORTS.sub(str(self.port), text)

    def _send(self, form: str, command: str, **more: str) -> tuple[str, int]:
        """Return what the shell prints, and the number behind the mark."""
        mark = f"mark-{secrets.token_hex(8)}"
        text = base64.b64encode(command.encode()).decode()
        assert self._shell.stdin is not None and self._shell.stdout is not None
        self._shell.stdin.write(form.format(text=text, mark=mark, **more) + "\n")
        self._shell.stdin.flush()
        guard = threading.Timer(COMMAND_S, self._shell.kill)
        guard.start()
        output = ""
        try:
            for line in self._shell.stdout:
                if line.startswith(mark):
                    return output.removesuffix("\n"), int(line.split()[1])
                output += line
        finally:
            guard.cancel()
        raise CommandFailed(f"$ {command}\n{output}(no end within {COMMAND_S:.0f} s)")

    def _begin(self, command: str, holds: Callable[[str], bool]) -> tuple[Background, str]:
        """Start a command in the background; return it, and what it prints until `holds` is true of
        that."""
        pipe = self._scratch / f"pipe-{secrets.token_hex(4)}"
        os.mkfifo(pipe)
        _, group = self._send(_BEGIN, command, output=str(pipe))
        running = Background(pipe, group)
        try:
            return running, running.wait_for(holds, COMMAND_S)
        except AssertionError as error:
            raise CommandFailed(f"$ {command}\n{error}(this was not all)") from None

    def _run_until(self, command: str, holds: Callable[[str], bool]) -> str:
        running, self.printed = self._begin(command, holds)
        self._end(running)
        return self.printed

    def _end_hub(self) -> None:
        hub, self._hub = self._hub, None
        if hub is not None:
            self._end(hub)

    def _end(self, running: Background) -> None:
        """End a command in the background as a service manager does, and wait for it. Its shell
        ends before it; the command has ended when nobody can print any more."""
        self._send(_RUN, f"kill -TERM -- -{running.group}; wait {running.group}")
        running.wait(COMMAND_S)

    # -- the scratch home

    def _make_home(self) -> None:
        checkout = self.home / "claudehub"
        for folder in (
            "src/site",
            ".ssh",
            ".local/bin",
            "run",
            "backup",
            "claudehub/bin",
            "claudehub/.venv/bin",
        ):
            (self.home / folder).mkdir(parents=True)
        (self.home / ".ssh").chmod(0o700)
        (self.home / "src" / "site" / "README.md").write_text("# A site\n")
        facts = {
            "python": shlex.quote(sys.executable),
            "program": shlex.quote(str(ROOT / "claudehub" / "__main__.py")),
            "mock": shlex.quote(str(MOCK)),
            "port": self.port,
        }
        for path, text in (
            (self.home / ".local" / "bin" / "claudehub", _WRAPPER),
            (checkout / "bin" / "claudehub", _WRAPPER),
            (self.home / ".local" / "bin" / "claude", _CLAUDE),
            (checkout / ".venv" / "bin" / "python", _PYTHON),
        ):
            path.write_text(text.format(**facts))
            path.chmod(0o755)
        for folder in ("examples", "deploy", "docs", "bench"):
            (checkout / folder).symlink_to(ROOT / folder)
        (self._scratch / "phrases.json").write_text(json.dumps(PHRASES))
        key = self.home / ".ssh" / "id_ed25519"
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ann@laptop", "-f", key]
        subprocess.run(command, check=True)
        (self.home / ".ssh" / "authorized_keys").write_text(key.with_suffix(".pub").read_text())

    def _environment(self) -> dict[str, str]:
        here = str(Path(sys.executable).parent)
        kept = ("LANG", "CLAUDE_TEST_RUN", "PYTHONPYCACHEPREFIX")
        return {
            **{name: os.environ[name] for name in kept if name in os.environ},
            "HOME": str(self.home),
            "USER": "ann",
            "PATH": f"{self.home}/.local/bin:{here}:{os.environ['PATH']}",
            "XDG_RUNTIME_DIR": str(self.home / "run"),
            "PYTHONPATH": str(ROOT),
            "WS_PORT": str(self.port),
            "MIN_FREE_BYTES": "0",
            "KILL_GRACE": "1s",
            "CLAUDE_MOCK_SESSIONS": str(self._scratch / "sessions"),
            "CLAUDE_MOCK_PHRASES": str(self._scratch / "phrases.json"),
            "TERM": "dumb",
        }
