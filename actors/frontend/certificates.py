"""The server's certificate: loaded, checked, and loaded again when its files change."""

import ipaddress
import os
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote

from cryptography import x509

from actors.runtime.logger import get_logger
from actors.watch.stamps import ReloadFailed, Stamp, stamp_of
from protocol.host import own_name
from storage.named_file import read_bytes

logger = get_logger("claudehub.frontend")

FILE_BYTES_MAX = 4 * 1024 * 1024

# A certificate that expires so soon is in the log, once a day. deploy/alerts.yml has it too.
EXPIRY_WARNING_DAYS = 14
_DAY_S = 86_400


class CertificateError(ReloadFailed):
    """The certificate cannot be used; the text begins with the variable to correct."""


class Certificates:
    """`context` is for the handshake of one connection; `reload` replaces it and never changes
    it. `names` are those of the present certificate, which may begin with `*.`. `expires_s` is when
    it expires, in Unix time; None: nobody knows."""

    name = "certificate"
    failure = "the old one stays"

    def __init__(self, certificate: Path, key: Path) -> None:
        """Load both files. Raises CertificateError."""
        self._certificate = certificate
        self._key = key
        self._stamps: list[Stamp] = []
        self._names: tuple[str, ...] = ()
        self.expires_s: float | None = None
        self._warned_of: tuple[float, int] | None = None
        self._context = self._load()

    @property
    def files(self) -> tuple[Path, Path]:
        return self._certificate, self._key

    def context(self) -> ssl.SSLContext:
        return self._context

    def names(self) -> tuple[str, ...]:
        return self._names

    def reload(self) -> bool:
        """Load the files again if they have changed; return True if they had. Raises
        CertificateError, and then the old certificate stays."""
        if self._look() == self._stamps:
            return False
        try:
            self._context = self._load()
        except CertificateError:
            self._stamps = []  # the next look tries again: the cause may lie outside the files
            raise
        return True

    def problem(self, now: datetime) -> str | None:
        """Return that the certificate has expired, or None. Log each day once that it expires
        soon."""
        if self.expires_s is None:
            return None
        left_days = self._left_days(self.expires_s, now)
        if left_days < 0:
            return f"{self._certificate} {self.validity(now)}: clients refuse it"
        if left_days < EXPIRY_WARNING_DAYS and self._warned_of != (self.expires_s, left_days):
            self._warned_of = (self.expires_s, left_days)
            logger.warning(
                "the certificate expires soon",
                file=self._certificate,
                expires=_date(self.expires_s),
                days=left_days,
                remedy="renew it (certbot renew, tailscale cert); the hub reads it again",
            )
        return None

    def validity(self, now: datetime) -> str:
        """Return in words until when it is valid."""
        if self.expires_s is None:
            return "with an unknown end"
        left_days, date = self._left_days(self.expires_s, now), _date(self.expires_s)
        if left_days < 0:
            return f"has expired on {date}"
        if left_days < EXPIRY_WARNING_DAYS:
            return f"until {date}, which is in {left_days} days"
        return f"until {date}"

    @staticmethod
    def _left_days(expires_s: float, now: datetime) -> int:
        """Return how many whole days are left; negative if it has expired."""
        return int((expires_s - now.timestamp()) // _DAY_S)

    def _look(self) -> list[Stamp]:
        return [_stamp(path) for path in self.files]

    def _load(self) -> ssl.SSLContext:
        # Before the files are read, so that a change during the reading is seen later.
        self._stamps = self._look()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        # No session tickets: connections are long, and records without data make clients hang that
        # wait with select and read with another thread (the blocking client of `websockets`: 4 of
        # 1,800 connects).
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
        for variable, path in (("TLS_CERT", self._certificate), ("TLS_KEY", self._key)):
            _check_readable(variable, path)
        try:
            context.load_cert_chain(self._certificate, self._key, password=_no_password)
        except _KeyIsEncrypted:
            raise CertificateError(
                f"TLS_KEY: {str(self._key)!r}: is encrypted, and nobody is there to type the "
                "password; set TLS_KEY to a copy without one; example: openssl pkey -in "
                f"{quote(str(self._key))} -out hub.key"
            ) from None
        except (ssl.SSLError, OSError) as error:
            raise CertificateError(self._explain(error)) from None
        self._take_facts()
        return context

    def _take_facts(self) -> None:
        """Read the names and the end of the first certificate in the file, which is the server's.
        OpenSSL has read the file; one that cryptography does not read has no names here."""
        self._names, self.expires_s = (), None
        try:
            content = read_bytes(self._certificate, FILE_BYTES_MAX)
            found = x509.load_pem_x509_certificates(content)[0]
        except (OSError, ValueError, IndexError) as error:
            logger.warning("a certificate cannot be read", file=self._certificate, error=error)
            return
        self._names = tuple(_names(found, self._certificate))
        self.expires_s = found.not_valid_after_utc.timestamp()

    def _explain(self, error: OSError) -> str:
        reason = getattr(error, "reason", None) or str(error)
        if reason == "KEY_VALUES_MISMATCH":
            return (
                f"TLS_KEY: {str(self._key)!r}: does not belong to the certificate in "
                f"{str(self._certificate)!r}; set TLS_KEY to the key that this certificate was "
                "requested with, or TLS_CERT to a file that begins with a certificate of this key; "
                "example: TLS_KEY=/etc/ssl/private/hub.key"
            )
        if _has_certificate(self._certificate):
            return (
                f"TLS_KEY: {str(self._key)!r}: is no private key in PEM ({reason}); "
                "example: TLS_KEY=/etc/ssl/private/hub.key"
            )
        return (
            f"TLS_CERT: {str(self._certificate)!r}: is no certificate in PEM ({reason}); "
            "example: TLS_CERT=/etc/ssl/certs/hub.pem"
        )


def _names(certificate: x509.Certificate, file: Path) -> Iterator[str]:
    """Yield the names (subjectAltName, RFC 6125) of the server's certificate, which a file has."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (ValueError, x509.ExtensionNotFound) as error:
        logger.warning("a certificate names no host", file=file, error=error)
        return
    names = found.value
    for address in names.get_values_for_type(x509.IPAddress):
        if isinstance(address, ipaddress.IPv4Address | ipaddress.IPv6Address):
            yield own_name(str(address))
    for name in names.get_values_for_type(x509.DNSName):
        try:
            yield own_name(name)
        except ValueError as error:
            logger.warning("a name of a certificate is not used", file=file, error=error)


def _date(time_s: float) -> str:
    return f"{datetime.fromtimestamp(time_s, UTC):%Y-%m-%d}"


class _KeyIsEncrypted(Exception):
    pass


def _no_password() -> str:
    # Without a callback OpenSSL asks on the terminal, and the start hangs.
    raise _KeyIsEncrypted


def _has_certificate(path: Path) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except OSError:
        return False
    return True


def _check_readable(variable: str, path: Path) -> None:
    """Raise CertificateError. OpenSSL would wait for ever for what a pipe brings."""
    try:
        read_bytes(path, FILE_BYTES_MAX)
    except OSError as error:
        problem = f"{variable}: {str(path)!r}: cannot be read ({error.strerror})"
        if isinstance(error, PermissionError):
            raise CertificateError(
                f"{problem}; let uid {os.geteuid()} read it and enter its folders; "
                f"example: chown {os.geteuid()} {quote(str(path))}"
            ) from None
        place = "/etc/ssl/hub.pem" if variable == "TLS_CERT" else "/etc/ssl/private/hub.key"
        raise CertificateError(
            f"{problem}; name a file in PEM that is there; example: {variable}={place}"
        ) from None


def _stamp(path: Path) -> Stamp:
    try:
        return stamp_of(os.stat(path))
    except OSError:
        return (0, 0, 0, 0)
