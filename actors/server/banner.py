"""What an operator wants to know of a server: in the log at its start, and as `serve --check`."""

import os
import platform
import shutil
import stat
import threading
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from actors.access.keyring import read_keys
from actors.config.precedence import FileSource
from actors.config.secrets import without_secrets
from actors.config.settings import Config
from actors.config.written import text_of
from actors.executor import walls
from actors.executor.cli_probe import CliProbe
from actors.executor.environment import home_problem, worth_saying
from actors.executor.sign_in import sign_in
from actors.frontend.certificates import Certificates
from actors.frontend.port_probe import try_port
from actors.runtime.clock import Clock
from actors.runtime.logger import get_logger
from actors.server import system_limits
from actors.server.agent_setup import AS_ROOT, AgentFacts, agents_environment
from actors.server.errors import FAILED
from actors.server.monitoring import LOOPBACK
from actors.watch.stamps import ReloadFailed
from protocol import VERSION
from protocol.ssh import parse_authorized_keys
from storage.build import commit
from storage.data_version import check_version
from storage.errors import StorageError
from storage.lock import holder
from storage.sizes import in_words
from storage.usable import check_usable

logger = get_logger("claudehub.main")

# A data folder is measured for that long; a larger one is "at least" what was seen.
SIZE_S = 1.0
JOIN_S = 1.5


def say_version() -> None:
    """Log which program starts, before anything can fail."""
    logger.info(
        "claudehub starts", version=VERSION, commit=commit(), python=platform.python_version()
    )


class Banner:
    """What an operator reads of a server that has started, in one line each for clients, the data
    folder and the agents. What takes time holds up neither the start nor the stop.

    With all the warnings of a usual start these are at most eight lines, so what is new goes
    into one of them.
    """

    def __init__(self, config: Config, agents: AgentFacts, clock: Clock) -> None:
        self._config = config
        self._agents = agents
        self._clock = clock
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._say, name="banner", daemon=True)
        self._projects = 0
        self._traces: dict[str, str] = {}

    def begin(
        self,
        *,
        addresses: Sequence[str],
        signed_names: str | None,
        projects: int,
        traces: str | None,
    ) -> None:
        """Say the lines. `signed_names`: what clients with keys sign. `traces`: where the spans of
        executions go."""
        self._projects = projects
        self._traces = {} if traces is None else {"traces": traces}
        how = who_may_come_in(self._config)
        names = {} if signed_names is None else {"names": signed_names}
        logger.info("clients may come in", at=addresses, how=how, **names)
        self._thread.start()

    def end(self) -> None:
        self._is_over.set()
        self._thread.join(JOIN_S)

    def _say(self) -> None:
        folder, agents = Path(self._config.data_dir), self._agents
        size = size_of(folder, self._clock)
        logger.info("data folder", path=str(folder), size=size, projects=self._projects)
        agents.cli.knows_snapshots()  # it waits, for a bounded time, until the CLI has answered
        if not self._is_over.is_set():
            logger.info(
                "agents",
                cli=self._config.claude_cmd[0],
                version=agents.cli.version,
                sign_in=str(agents.signed_in),
                variables=worth_saying(agents.environment),
                **self._traces,
            )


def who_may_come_in(config: Config) -> str:
    """Return who can connect, in one sentence."""
    if config.authorized_keys is not None:
        who = f"who has one of {_keys_in(Path(config.authorized_keys))} keys of "
        who += config.authorized_keys
    elif config.allow_unauthenticated:
        who = "ANYBODY who reaches the port (ALLOW_UNAUTHENTICATED)"
    else:
        who = "every user of this machine, without a key"
    doors = [] if config.ws_port is None else [who]
    doors += [] if config.socket is None else [f"the server's own user, through {config.socket}"]
    return "; ".join([*doors, *_older_clients(config)])


def _older_clients(config: Config) -> list[str]:
    """Return who can connect with PROTOCOL_V0."""
    if not config.protocol_v0:
        return []
    if config.authorized_keys is None:
        return ["clients of version 0 too, on /ws"]
    if config.socket is not None:
        return ["clients of version 0 only through the socket, since they cannot use keys"]
    return ["NO client of version 0 (PROTOCOL_V0), since none can use keys"]


def _keys_in(file: Path) -> int:
    """Return how many keys a file has; none if it cannot be read, as the hub takes it."""
    try:
        _, text = read_keys(file)
    except ReloadFailed:
        return 0
    return len(parse_authorized_keys(text).keys)


def size_of(folder: Path, clock: Clock) -> str:
    """Return the size of a folder's files; it looks for SIZE_S at most."""
    deadline_s = clock.monotonic() + SIZE_S
    total_bytes, waiting = 0, [folder]
    while waiting and clock.monotonic() < deadline_s:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    found = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(found.st_mode):
                        waiting.append(Path(entry.path))
                    else:
                        total_bytes += found.st_size
        except OSError:  # it has just gone, or is not ours
            continue
    return f"{'at least ' if waiting else ''}{in_words(total_bytes)}"


# -- serve --check ---------------------------------------------------------------------------------


def what_would_start(config: Config, clock: Clock) -> tuple[list[str], int]:
    """Return the lines of `serve --check`, and the exit code. It changes nothing on the disk. The
    configuration has no fault."""
    lines = [f"claudehub {VERSION} would start", *_facts(config, clock)]
    if (problem := _obstacle(config)) is None:
        return lines, 0
    lines[0] = f"claudehub {VERSION} would not start: {problem}"
    return lines, FAILED


def _facts(config: Config, clock: Clock) -> Iterator[str]:
    port = "off" if config.ws_port is None else f"{config.bind}:{config.ws_port}"
    yield f"address: {port}" + ("" if config.socket is None else f", unix:{config.socket}")
    yield f"clients: {who_may_come_in(config)}"
    if config.tls_cert is not None and config.tls_key is not None:
        files = Path(config.tls_cert), Path(config.tls_key)
        yield f"TLS: {_certificate(*files, clock.now())}"
    folder = Path(config.data_dir)
    size = size_of(folder, clock) if os.path.exists(folder) else "it is made at the start"
    yield f"data folder: {folder} ({size})"
    around = walls.raised_by(config.agent_limits, config.agent_user)
    environment = around.environment(agents_environment(config))
    cli = CliProbe(config.claude_cmd, environment, around).ask()
    version = "version not known" if cli.version is None else cli.version
    signed_in = sign_in(config.claude_cmd, environment, clock.now())
    yield f"CLI: {shutil.which(config.claude_cmd[0])}, {version}, {signed_in}"
    defaults = Config.read({}, FileSource(Config, None), has_environment=False)
    for name in Config.model_fields:
        value = getattr(config, name)
        if value != getattr(defaults, name):
            yield f"set: {name.upper()}={without_secrets(text_of(name, value))}"

    found = [cli.failure, home_problem(environment, around.uid)]
    found += [AS_ROOT] if around.uid == 0 else []
    system_limits.raise_descriptors()  # as a start does
    found += system_limits.warnings(config.max_conn)
    found += _warnings_of_keys(config)
    yield from (f"warning: {problem}" for problem in found if problem is not None)


def _warnings_of_keys(config: Config) -> list[str]:
    """Return what a start warns of in AUTHORIZED_KEYS."""
    if config.authorized_keys is None:
        return []
    file = config.authorized_keys
    try:
        parsed = parse_authorized_keys(read_keys(Path(file))[1])
    except ReloadFailed as error:  # it could be read a moment ago
        return [str(error)]
    found = [f"{file}: {problem}" for problem in parsed.warnings]
    return found if parsed.keys else [*found, f"{file}: no usable key: nobody can authenticate"]


def _certificate(certificate: Path, key: Path, now: datetime) -> str:
    try:
        found = Certificates(certificate, key)
    except ReloadFailed as error:
        return str(error)
    names = ", ".join(found.names()) or "no names"
    return f"{names}, {found.validity(now)}"


def _obstacle(config: Config) -> str | None:
    """Return what keeps the server from starting now, although its configuration is right."""
    folder = Path(config.data_dir)
    if (pid := holder(str(folder / "lock"))) is not None:
        return f"another server (pid {pid}) uses {folder}"
    try:
        check_version(folder)
        check_usable(folder)
    except StorageError as error:
        return str(error)
    except OSError as error:
        return f"DATA_DIR {folder} cannot be used: {error}"
    return system_limits.too_low() or next(_taken_ports(config), None)


def _taken_ports(config: Config) -> Iterator[str]:
    """Yield why the server cannot listen at one of its ports."""
    metrics_host = LOOPBACK if config.ws_port is None else config.bind
    for host, port in ((config.bind, config.ws_port), (metrics_host, config.metrics_port)):
        if port and (taken := try_port(host, port)) is not None:
            yield f"cannot listen on {host}:{port}: {taken}"
