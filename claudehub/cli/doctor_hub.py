"""Ask the hub that runs with a configuration how it is, without a key: doctor must not wait for a
passphrase."""

import contextlib
import os
import socket
import ssl
import stat
import struct
from typing import Any
from urllib.parse import urlsplit

import simplejson
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect, unix_connect

from actors.config.settings import Config
from actors.doctor.finding import RunningHub
from claudehub.client.address import tcp_url

ANSWER_MAX_S = 3.0
_WELCOME_BYTES_MAX = 1 << 20
_NAME = "claudehub/"


def running_hub(config: Config) -> RunningHub | None:
    """Connect to the hub of this configuration. Return None if its port is any free one."""
    url = _url(config)
    if url is None:
        return None
    try:
        with _connected(url) as connection:
            return _asked(url, connection)
    except (OSError, WebSocketException, TimeoutError, ValueError) as error:
        return RunningHub(url, problem=str(error) or type(error).__name__)


def _url(config: Config) -> str | None:
    if config.socket is not None and _is_socket(config.socket):
        return f"unix:{config.socket}"
    if not config.ws_port:
        return None
    return tcp_url(config.bind, config.ws_port, is_secure=config.tls_cert is not None)


def _is_socket(path: str) -> bool:
    """Return True if there is a socket that this user may look at."""
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


def _connected(url: str) -> ClientConnection:
    options: dict[str, Any] = {
        "open_timeout": ANSWER_MAX_S,
        "close_timeout": ANSWER_MAX_S,
        "max_size": _WELCOME_BYTES_MAX,
    }
    if url.startswith("unix:"):
        connection: ClientConnection = unix_connect(url.removeprefix("unix:"), **options)
        return connection
    if url.startswith("wss:"):
        # Its certificate has a check of its own, and nothing secret is sent.
        trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trusting.check_hostname = False
        trusting.verify_mode = ssl.CERT_NONE
        options["ssl"] = trusting
    connection = connect(url, sock=_link(url), proxy=None, **options)
    return connection


def _link(url: str) -> socket.socket:
    """Return a connection on which no read takes more than ANSWER_MAX_S. Raises OSError.

    The reading thread of websockets waits for a readable socket. With TLS 1.3 that can be session
    tickets alone, and then its read blocks; closing waits for that thread, beyond every timeout.
    """
    address = urlsplit(url)
    link = socket.create_connection((address.hostname, address.port), ANSWER_MAX_S)
    limit = struct.pack("ll", int(ANSWER_MAX_S), 0)  # struct timeval
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
    return link


def _asked(url: str, connection: ClientConnection) -> RunningHub:
    """Return what the hub says about itself. Raises ValueError if it is no hub."""
    welcome = _payload(connection, "welcome")
    server = str(welcome.get("server"))
    if not server.startswith(_NAME):
        raise ValueError(f"what answers is no claudehub, but {server!r}")
    version = server.removeprefix(_NAME)
    if (offer := welcome.get("auth")) is not None:
        return RunningHub(url, is_hub=True, version=version, server=_server(offer))
    connection.send('{"type": "health_check", "id": "doctor"}')
    health = _payload(connection, "result")
    return RunningHub(
        url,
        is_hub=True,
        version=version,
        uptime_s=float(health.get("uptime_seconds", 0)),
        problems=tuple(str(problem) for problem in health.get("problems", ())),
    )


def _server(offer: object) -> str | None:
    """Return the name of the server in a challenge, `claudehub SERVER CLIENT TIME NONCE`."""
    challenge = offer.get("challenge") if isinstance(offer, dict) else None
    words = challenge.split() if isinstance(challenge, str) else []
    return words[1] if len(words) > 1 else None


def _payload(connection: ClientConnection, kind: str) -> dict[str, Any]:
    """Return the next message of that type. Raises ValueError for anything else."""
    with contextlib.suppress(KeyError, TypeError, RecursionError):
        message = simplejson.loads(connection.recv(ANSWER_MAX_S))
        payload = message["payload"]
        if message["type"] == kind and isinstance(payload, dict):
            return payload
    raise ValueError(f"what answers is no claudehub: it has sent no {kind}")
