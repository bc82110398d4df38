"""Open a connection to a hub, and say in words why it failed."""

import errno
import select
import socket
import ssl
from collections.abc import Callable

from claudehub.client.address import Address
from claudehub.client.errors import ConnectFailed, Failure
from claudehub.client.session import OPEN_TIMEOUT_S

_UNREACHABLE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT, errno.ENETDOWN}


def connect_failed(address: Address, error: Exception) -> ConnectFailed:
    """Return what a failure means. Nothing is guessed: each has its own words."""
    url = address.url
    match error:
        case ssl.SSLCertVerificationError():
            return ConnectFailed(
                Failure.CERTIFICATE,
                f"the certificate of {url} is not trusted ({error.verify_message}); "
                "SSL_CERT_FILE=FILE names one to trust",
            )
        case ssl.SSLError():
            plain = url.replace("wss://", "ws://", 1)
            return ConnectFailed(
                Failure.TLS_NOT_SPOKEN, f"{url} does not speak TLS ({error.reason}); try {plain}"
            )
        case socket.gaierror():
            return ConnectFailed(
                Failure.NAME, f"no machine is named {address.uri.host} ({error.strerror})"
            )
        case ConnectionRefusedError() | FileNotFoundError():
            return ConnectFailed(Failure.NOTHING_LISTENS, f"nothing listens at {url}")
        case PermissionError():
            return ConnectFailed(Failure.REFUSED, f"you may not use {url}")
        case TimeoutError():
            return ConnectFailed(
                Failure.UNREACHABLE, f"{url} does not answer within {OPEN_TIMEOUT_S:.0f} s"
            )
        case OSError() if error.errno in _UNREACHABLE:
            return ConnectFailed(Failure.UNREACHABLE, f"{url} cannot be reached: {error.strerror}")
        case _:
            return ConnectFailed(Failure.UNREACHABLE, f"{url} cannot be reached: {error}")


def dial(address: Address, wait: Callable[[socket.socket, int], None]) -> socket.socket:
    """Return a connected socket that does not block. `wait(socket, event)` returns when the socket
    is ready for `select.POLLIN` or `POLLOUT`, or raises TimeoutError. Raises OSError."""
    if address.socket_path is not None:
        return _connected(socket.AF_UNIX, address.socket_path, wait)
    found = socket.getaddrinfo(address.uri.host, address.uri.port, type=socket.SOCK_STREAM)
    failures: list[OSError] = []
    for family, _, _, _, where in found:
        try:
            connection = _connected(family, where, wait)
        except OSError as error:
            failures.append(error)
            continue
        return _secured(connection, address, wait) if address.uri.secure else connection
    raise failures[0]


def _connected(
    family: int, where: object, wait: Callable[[socket.socket, int], None]
) -> socket.socket:
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        code = connection.connect_ex(where)  # type: ignore[arg-type]  # a path, or an address
        if code == errno.EINPROGRESS:
            wait(connection, select.POLLOUT)
            code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, errno.errorcode.get(code, str(code)))
        if family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        connection.close()
        raise
    return connection


def _secured(
    connection: socket.socket, address: Address, wait: Callable[[socket.socket, int], None]
) -> ssl.SSLSocket:
    try:
        secure = ssl.create_default_context().wrap_socket(
            connection, server_hostname=address.uri.host, do_handshake_on_connect=False
        )
    except BaseException:
        connection.close()
        raise
    try:
        while True:
            try:
                secure.do_handshake()
                return secure
            except ssl.SSLWantReadError:
                wait(secure, select.POLLIN)
            except ssl.SSLWantWriteError:
                wait(secure, select.POLLOUT)
    except BaseException:
        secure.close()
        raise
