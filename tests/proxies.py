"""nginx, Caddy and HAProxy with the very configuration of docs/deploy.md, on loopback.

Only what is the machine's own is replaced: ports, files of certificates and, so that a test takes
seconds, times. Each replaced text must be in the page.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import trustme

from tests.document_session import free_port
from tests.fences import Fence, fences
from tests.harness import ROOT, TIMEOUT_S
from tests.processes import wait_until

PAGE = ROOT / "docs" / "deploy.md"
NAME = "hub.example.org"
KINDS = ("nginx", "caddy", "haproxy")
# The page's 90 s, which fit a HEARTBEAT of 30 s, by thirty.
TIMEOUT = "3s"
HEARTBEAT = "1s"
# How long an old process may keep its connections after a reload; the page says 1m.
OLD_PROCESS = "1s"
CHECK_EVERY = "200ms"


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the proxy listens, and where the hub does: for clients, and for health checks."""

    proxy: int
    hub: int
    health: int


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate for NAME, and who signed it. `both` has the certificate and its key."""

    authority: Path
    chain: Path
    key: Path
    both: Path


def make_certificate(folder: Path) -> Certificate:
    authority = trustme.CA()
    made = authority.issue_cert(NAME)
    files = Certificate(*(folder / n for n in ("ca.pem", "hub.pem", "hub.key", "both.pem")))
    authority.cert_pem.write_to_path(str(files.authority))
    files.chain.write_bytes(b"".join(part.bytes() for part in made.cert_chain_pems))
    made.private_key_pem.write_to_path(str(files.key))
    made.private_key_and_cert_chain_pem.write_to_path(str(files.both))
    return files


def block(kind: str) -> str:
    """Return the block of the page for a proxy."""
    section = re.compile(rf"(?mi)^### {kind}$")
    line = PAGE.read_text()[: section.search(PAGE.read_text()).start()].count("\n")  # type: ignore[union-attr]
    mine: list[Fence] = [fence for fence in fences(PAGE) if fence.line > line]
    return mine[0].text


def below_a_path(kind: str) -> tuple[str, str]:
    """Return the line to replace for a hub below a path, and the one to write, from the table."""
    row = re.search(rf"(?mi)^\| {kind} \| `(.+)` \| `(.+)` \|$", PAGE.read_text())
    assert row is not None
    return row[1], row[2]


def replaced(text: str, changes: Mapping[str, str]) -> str:
    for old, new in changes.items():
        assert old in text, f"{PAGE.name} has no {old!r}"
        text = text.replace(old, new)
    return text


class Proxy:
    """A proxy in front of the hub at `ports.hub`. Use it in `with`."""

    def __init__(self, kind: str, folder: Path, ports: Ports, certificate: Certificate) -> None:
        self.kind = kind
        self.ports = ports
        self._folder = folder
        self._certificate = certificate
        self._admin = free_port() if kind == "caddy" else 0
        self._errors = folder / "proxy.log"
        self._process: subprocess.Popen[bytes] | None = None

    def configure(self, *, timeout: str = TIMEOUT, below: bool = False) -> "Proxy":
        """Write the configuration of the page. With `below`, that of a hub below a path."""
        text = block(self.kind)
        if below:
            text = replaced(text, dict([below_a_path(self.kind)]))
        maker = {"nginx": self._nginx, "caddy": self._caddy, "haproxy": self._haproxy}[self.kind]
        self._file.write_text(maker(text, timeout))
        return self

    @property
    def _file(self) -> Path:
        return self._folder / "configuration"

    def _nginx(self, text: str, timeout: str) -> str:
        changes = {
            "listen 443 ssl": f"listen 127.0.0.1:{self.ports.proxy} ssl",
            "/etc/ssl/hub.pem": str(self._certificate.chain),
            "/etc/ssl/private/hub.key": str(self._certificate.key),
            "127.0.0.1:8080": f"127.0.0.1:{self.ports.hub}",
            "127.0.0.1:9464": f"127.0.0.1:{self.ports.health}",
            "90s": timeout,
        }
        assert "worker_shutdown_timeout 1m;" in PAGE.read_text()
        folders = "\n".join(
            f"{kind}_temp_path {self._folder / kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root;\n" if os.getuid() == 0 else ""
        return (
            f"{user}daemon off;\npid {self._folder / 'pid'};\nerror_log stderr;\n"
            f"worker_shutdown_timeout {OLD_PROCESS};\nevents {{}}\n"
            f"http {{\naccess_log off;\n{folders}\n{replaced(text, changes)}\n}}\n"
        )

    def _caddy(self, text: str, timeout: str) -> str:
        tls = f"tls {self._certificate.chain} {self._certificate.key}"
        changes = {
            f"{NAME} {{": f"{NAME}:{self.ports.proxy} {{\n    bind 127.0.0.1\n    {tls}",
            "127.0.0.1:8080": f"127.0.0.1:{self.ports.hub}",
            "health_port 9464": f"health_port {self.ports.health}",
            "health_interval 10s": f"health_interval {CHECK_EVERY}",
        }
        own = f"{{\n    admin 127.0.0.1:{self._admin}\n    auto_https disable_redirects\n}}\n"
        return own + replaced(text, changes) + "\n"

    def _haproxy(self, text: str, timeout: str) -> str:
        changes = {
            "bind :443": f"bind 127.0.0.1:{self.ports.proxy}",
            "/etc/haproxy/hub.pem": str(self._certificate.both),
            "127.0.0.1:8080": f"127.0.0.1:{self.ports.hub}",
            "port 9464": f"port {self.ports.health}",
            "timeout tunnel 90s": f"timeout tunnel {timeout}",
            "inter 10s": f"inter {CHECK_EVERY}",
        }
        assert "`hard-stop-after 1m` in `global`" in PAGE.read_text()
        # The defaults are those of Debian's haproxy.cfg.
        return (
            f"global\n    hard-stop-after {OLD_PROCESS}\n"
            "defaults\n    log global\n    mode http\n    option dontlognull\n"
            "    timeout connect 5000\n    timeout client 50000\n    timeout server 50000\n"
            f"{replaced(text, changes)}\n"
        )

    def _command(self) -> list[str]:
        program = shutil.which(self.kind, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
        assert program is not None, f"{self.kind} is needed"
        arguments = {
            "nginx": ["-p", str(self._folder), "-c", str(self._file), "-e", "stderr"],
            "caddy": ["run", "--config", str(self._file), "--adapter", "caddyfile"],
            "haproxy": ["-W", "-f", str(self._file)],
        }[self.kind]
        return [program, *arguments]

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "HOME": str(self._folder)}

    def __enter__(self) -> "Proxy":
        with open(self._errors, "ab") as errors:
            self._process = subprocess.Popen(
                self._command(), stdout=errors, stderr=errors, env=self._environment()
            )
        wait_until(self._listens)
        return self

    def _listens(self) -> bool:
        assert self._process is not None and self._process.poll() is None, self.said()
        try:
            socket.create_connection(("127.0.0.1", self.ports.proxy), TIMEOUT_S).close()
        except ConnectionRefusedError:
            return False
        return True

    def said(self) -> str:
        return self._errors.read_text()

    def reload(self) -> None:
        """Reload, as the proxy's service does."""
        assert self._process is not None
        if self.kind == "caddy":
            # --force: it leaves everything as it is if the file is the same.
            words = ["caddy", "reload", "--force", "--config", str(self._file)]
            words += ["--adapter", "caddyfile", "--address", f"127.0.0.1:{self._admin}"]
            subprocess.run(words, check=True, capture_output=True, env=self._environment())
        else:
            self._process.send_signal(signal.SIGHUP if self.kind == "nginx" else signal.SIGUSR2)

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)  # nginx: at once
        try:
            self._process.wait(TIMEOUT_S)
        finally:
            self._process.kill()
            self._process.wait()
