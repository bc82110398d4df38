"""Where clients connect: a TCP port, with or without TLS, and a Unix socket."""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from actors.access.hub_names import HubNames
from actors.access.keyring import Keyring, read_keys
from actors.audit.trail import AuditTrail
from actors.config.settings import Config
from actors.frontend.certificates import Certificates
from actors.frontend.connection import ConnectionContext
from actors.frontend.listener import Listener, listen
from actors.frontend.machine_names import MachineNames
from actors.frontend.unix_listener import PATH_BYTES_MAX, UnixListener
from actors.limits.connections import PendingConnections
from actors.runtime.clock import Clock, Timers
from actors.runtime.problems import Problems
from actors.runtime.refs import Ref
from actors.server import system_limits
from actors.server.errors import StartFailed
from actors.server.system_limits import without_descriptors
from actors.server.wiring import FrontEnd
from actors.watch.places import Place
from actors.watch.reloader import FileReloader
from actors.watch.stamps import ReloadFailed

ACCEPT_STOP_S = 2.0


def faults(config: Config) -> list[str]:
    """Return what only the files can tell, in one line for each fault."""
    found = []
    try:
        _certificates(config)
    except ReloadFailed as error:
        found.append(str(error))
    try:
        if config.authorized_keys is not None:
            read_keys(Path(config.authorized_keys))
    except ReloadFailed as error:
        found.append(str(error))
    if config.socket is not None and len(os.fsencode(config.socket)) > PATH_BYTES_MAX:
        found.append(
            f"SOCKET: {config.socket!r}: a socket's path has at most {PATH_BYTES_MAX} bytes; "
            "example: SOCKET=/run/claudehub/hub.sock"
        )
    return found


class Doors:
    """The constructor binds, before anything is opened, so that a taken port costs nothing. Clients
    can connect from `open` on."""

    def __init__(self, config: Config, stack: contextlib.ExitStack) -> None:
        """Bind. Raises StartFailed."""
        self.reloaders: list[Ref] = []
        self._config = config
        self._tcp = [] if config.ws_port is None else _listen(config, config.ws_port, stack)
        self._unix = None if config.socket is None else _listen_locally(config.socket, stack)
        try:
            self._certificates = _certificates(config)
            self._keyring = _keyring(config)
        except ReloadFailed as error:  # it was valid a moment ago
            raise StartFailed(str(error)) from None
        self._machine = MachineNames()
        self._ask_for_names()

    def _ask_for_names(self) -> None:
        if self._keyring is not None and not self._config.public_names:
            self._machine.ask()

    @property
    def keyring(self) -> Keyring | None:
        return self._keyring

    def certificate_expires_s(self) -> float | None:
        """Return when the certificate in use expires, in Unix time; None without TLS."""
        return None if self._certificates is None else self._certificates.expires_s

    @property
    def places(self) -> list[Place]:
        """Return the files that the doors need."""
        return [] if self._unix is None else [self._unix]

    @property
    def addresses(self) -> list[str]:
        """Return where clients connect, the first door first."""
        tcp = [self._url(listener.port) for listener in self._tcp[:1]]
        return tcp + ([] if self._unix is None else [f"unix:{self._unix.path}"])

    @property
    def signed_names(self) -> str | None:
        """Return the names of the hub that clients with keys sign; None without keys."""
        return None if self._keyring is None or not self._tcp else str(self._names())

    def has_name(self, name: str) -> bool:
        """Return True for a name of the hub, without a port and in lower case."""
        return self._names().have(name)

    def announce(self, say: Callable[[str], None]) -> None:
        """Say one line, for the first door."""
        say(f"listening on {self.addresses[0]}")

    def open(
        self,
        front: FrontEnd,
        hub: Ref,
        timers: Timers,
        died: Callable[[str], None],
        problems: Problems,
        stack: contextlib.ExitStack,
    ) -> None:
        """Accept clients from now on; the stack closes the doors again."""
        self.reloaders = list(
            self.start_reloaders(hub, front.clock, timers, front.trail, died, problems)
        )
        for reloader in self.reloaders:
            stack.callback(reloader.stop, block=False)
        if self._tcp:
            locked = self._locked(front)
            pending = PendingConnections(locked.clock, limit=system_limits.handshakes_max())
            for listener in self._tcp:
                _open(listener, locked, stack, pending)
        if self._unix is not None:
            _open(self._unix, front.context(None, self._names()), stack)

    def _locked(self, front: FrontEnd) -> ConnectionContext:
        """Return the context of connections that need a key, if there are keys."""
        tls = None if self._certificates is None else self._certificates.context
        return replace(front.context(self._keyring, self._names()), tls=tls)

    def change(self, config: Config, front: FrontEnd) -> None:
        """Use changed settings for the connections that come from now on."""
        self._config = config
        self._ask_for_names()
        front.change(config)
        for listener in self._tcp:
            listener.context = self._locked(front)
        if self._unix is not None:
            self._unix.context = front.context(None, self._names())

    def start_reloaders(
        self,
        hub: Ref,
        clock: Clock,
        timers: Timers,
        trail: AuditTrail,
        died: Callable[[str], None],
        problems: Problems,
    ) -> Iterator[Ref]:
        """Start the reloaders. Without the reloader of the certificate the old one stays. Without
        the reloader of the keys a removed key would stay valid, so the server stops."""
        start = partial(
            FileReloader.start, hub=hub, clock=clock, timers=timers, trail=trail, problems=problems
        )
        if self._certificates is not None:
            yield start(subject=self._certificates, died=partial(problems.note, "certificate"))
        if self._keyring is not None:
            yield start(subject=self._keyring, tells_hub=True, died=died)

    def _names(self) -> HubNames:
        certificates, machine = self._certificates, self._machine
        return HubNames(
            self._config.public_names,
            certificate=tuple if certificates is None else certificates.names,
            machine=lambda: machine.names,
        )

    def _url(self, port: int) -> str:
        config = self._config
        scheme = "ws" if config.tls_cert is None else "wss"
        host = f"[{config.bind}]" if ":" in config.bind else config.bind
        return f"{scheme}://{host}:{port}"


def _open(
    listener: Listener,
    context: ConnectionContext,
    stack: contextlib.ExitStack,
    pending: PendingConnections | None = None,
) -> None:
    listener.start(context, pending)
    stack.callback(listener.stop_accepting, ACCEPT_STOP_S)


def _certificates(config: Config) -> Certificates | None:
    """Return the certificate, None without TLS. Raises CertificateError."""
    if config.tls_cert is None or config.tls_key is None:
        return None
    return Certificates(Path(config.tls_cert), Path(config.tls_key))


def _keyring(config: Config) -> Keyring | None:
    """Return the keyring, None without keys. Raises ReloadFailed."""
    return None if config.authorized_keys is None else Keyring(Path(config.authorized_keys))


def _listen(config: Config, port: int, stack: contextlib.ExitStack) -> list[Listener]:
    try:
        listeners = listen(config.bind, port)
    except OSError as error:
        remedy = "choose another WS_PORT (0 takes a free one)"
        reason = without_descriptors(error) or f"{error.strerror}; {remedy}"
        raise StartFailed(f"cannot listen on {config.bind}:{port}: {reason}") from None
    for listener in listeners:
        stack.callback(listener.socket.close)
    return listeners


def _listen_locally(path: str, stack: contextlib.ExitStack) -> UnixListener:
    try:
        listener = UnixListener(Path(path))
    except OSError as error:
        reason = without_descriptors(error) or error.strerror or str(error)
        raise StartFailed(f"cannot listen on SOCKET {path}: {reason}") from None
    stack.callback(listener.close)
    return listener
