"""Where clients come in: ports, the socket's folder, the certificate and the names."""

import os
import stat
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from cryptography import x509

from actors.config.settings import Config
from actors.doctor import own_hub
from actors.doctor.finding import Finding, Setup, fault, of_line, ok, warning
from actors.frontend.certificates import EXPIRY_WARNING_DAYS, CertificateError, Certificates
from actors.frontend.port_probe import Taken, try_port
from actors.frontend.unix_listener import PATH_BYTES_MAX
from actors.server.monitoring import LOOPBACK
from protocol.host import PORT_MAX, is_loopback, is_named

_FREE_PORTS = {"WS_PORT": 8080, "METRICS_PORT": 9464}
_DAY_S = 86_400


def ports(setup: Setup) -> Iterator[Finding]:
    config = setup.config
    if config.ws_port is None:
        yield ok("WS_PORT is off: clients come in by SOCKET")
    else:
        yield _port(setup, "WS_PORT", config.bind, config.ws_port)
    if config.metrics_port:
        host = LOOPBACK if config.ws_port is None else config.bind
        yield _port(setup, "METRICS_PORT", host, config.metrics_port)


def _port(setup: Setup, name: str, bind: str, port: int) -> Finding:
    place = f"{name}: {bind}:{port}"
    if port == 0:
        return ok(f"{name} is 0: the hub takes a free one")
    taken = try_port(bind, port)
    if taken is None:
        return ok(f"{place} is free")
    if taken is Taken.IN_USE and own_hub.has_port(setup, port):
        return ok(f"{place} is in use by the hub that runs")
    if taken is Taken.IN_USE:
        return _used(setup, name, place, port)
    if taken is Taken.FORBIDDEN:
        return fault(
            f"{place} is not allowed to this user",
            f"set a port above 1023, such as {name}={_FREE_PORTS[name]}, behind a proxy",
        )
    return fault(
        f"{place} is no address of this machine",
        "set BIND to one of this machine (`ip -br address` shows them), such as BIND=127.0.0.1",
    )


def _used(setup: Setup, name: str, place: str, port: int) -> Finding:
    hub = setup.hub
    is_hub = name == "WS_PORT" and hub is not None and hub.is_hub and _names(hub.url, port)
    who = "a hub with another data folder" if is_hub else "another program"
    other = port + 1 if port < PORT_MAX else port - 1
    return fault(
        f"{place} is in use by {who}",
        f"stop it (`ss -ltnp 'sport = :{port}'` shows which), or set another port, such as "
        f"{name}={other}",
    )


def _names(url: str, port: int) -> bool:
    return url.endswith(f":{port}")


def socket_path(setup: Setup) -> Iterator[Finding]:
    if setup.config.socket is None:
        yield ok("none (SOCKET is not set)")
        return
    path = Path(setup.config.socket)
    if len(os.fsencode(path)) > PATH_BYTES_MAX:
        yield fault(
            f"{path} has more than {PATH_BYTES_MAX} bytes",
            "set a shorter path, such as SOCKET=/run/claudehub/hub.sock",
        )
        return
    folder = path.parent
    try:
        mode = folder.stat().st_mode
    except OSError as error:
        yield fault(f"{folder}: {error.strerror}", f"install -d -m 700 {folder}")
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        yield fault(f"{folder} cannot be written", f"chown $(id -un) {folder}, or another SOCKET")
    elif mode & (stat.S_IWGRP | stat.S_IWOTH) and not mode & stat.S_ISVTX:
        yield warning(
            f"others can write in {folder}, and put a socket of theirs there",
            f"chmod go-w {folder}",
        )
    elif os.path.lexists(path) and not stat.S_ISSOCK(path.lstat().st_mode):
        yield fault(f"{path} is there, and is not a socket", f"mv {path} {path}.old")
    else:
        yield ok(str(path))


def certificate(setup: Setup) -> Iterator[Finding]:
    config = setup.config
    if config.tls_cert is None or config.tls_key is None:
        yield from _without_tls(config)
        return
    try:
        Certificates(Path(config.tls_cert), Path(config.tls_key))
        found = x509.load_pem_x509_certificates(Path(config.tls_cert).read_bytes())
    except CertificateError as error:
        yield of_line(str(error))
        return
    except (OSError, ValueError) as error:
        yield fault(
            f"{config.tls_cert} cannot be read: {error}",
            "set TLS_CERT to a file with certificates in PEM only",
        )
        return
    now = setup.clock.now()
    for number, each in enumerate(found):
        whose = config.tls_cert if number == 0 else f"{config.tls_cert}, number {number + 1} in it,"
        yield _validity(str(whose), each, now)
    if (key_mode := stat.S_IMODE(os.stat(config.tls_key).st_mode)) & 0o007:
        yield warning(
            f"{config.tls_key} has mode {key_mode:04o}: everybody can read the key",
            f"chmod 600 {config.tls_key}",
        )


def _validity(whose: str, found: x509.Certificate, now: datetime) -> Finding:
    begins, ends = found.not_valid_before_utc, found.not_valid_after_utc
    left_days = (ends - now).total_seconds() / _DAY_S
    if left_days <= 0:
        return fault(f"{whose} expired on {ends:%Y-%m-%d}", "renew it; the hub reads it again")
    if begins > now:
        return fault(
            f"{whose} is valid only from {begins:%Y-%m-%d %H:%M} UTC",
            "wait until then; if the clock is wrong: timedatectl set-ntp true",
        )
    if left_days < EXPIRY_WARNING_DAYS:
        return warning(
            f"{whose} expires in {_days(left_days)}, on {ends:%Y-%m-%d}",
            "renew it (certbot renew, tailscale cert); the hub reads it again",
        )
    return ok(f"{whose} is valid until {ends:%Y-%m-%d}, for {_days(left_days)}")


def _days(days: float) -> str:
    count = int(days)
    if count == 0:
        return "less than a day"
    return f"{count} day{'s' * (count != 1)}"


def _without_tls(config: Config) -> Iterator[Finding]:
    if config.ws_port is None or is_loopback(config.bind):
        yield ok("none, and none is needed on loopback")
    else:
        yield warning(
            f"without TLS everything on the way to {config.bind} can be read",
            "TLS_CERT and TLS_KEY, or BIND=127.0.0.1 behind a proxy (docs/how-to/reverse-proxy.md)",
        )


def names(setup: Setup) -> Iterator[Finding]:
    """Compare PUBLIC_NAMES with the certificate's."""
    config = setup.config
    if not config.public_names:
        yield ok("PUBLIC_NAMES is not set: the names of the certificate and of the machine count")
        return
    if config.tls_cert is None or config.tls_key is None:
        yield ok(", ".join(config.public_names))
        return
    try:
        certified = Certificates(Path(config.tls_cert), Path(config.tls_key)).names()
    except CertificateError:
        return  # the check of the certificate says it
    missing = [name for name in config.public_names if not _covers(certified, name)]
    for name in missing:
        has = ", ".join(certified) or "no name"
        yield warning(
            f"{name} is one of PUBLIC_NAMES, and the certificate has {has}",
            f"get a certificate that has {name}, or take the name out of PUBLIC_NAMES; leave both "
            "if a proxy in front has a certificate of its own",
        )
    if not missing:
        yield ok(f"the certificate has {', '.join(config.public_names)}")


def _covers(certified: Sequence[str], name: str) -> bool:
    if name.startswith("*."):
        return name in certified
    return any(is_named(name, own) for own in certified)
