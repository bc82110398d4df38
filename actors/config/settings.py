"""The configuration: one frozen object. Names and defaults are those of docs/configuration.md.

Which value wins is in precedence.py; how the whole is read, and its faults, in sources.py.
"""

import ipaddress
import os
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ByteSize,
    Field,
    InstanceOf,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import NoDecode

from actors.config import values
from actors.config.precedence import LayeredSettings
from actors.config.values import Limits
from protocol.fields import PERMISSION_MODES
from protocol.host import PORT_MAX, is_loopback
from storage.log_state import SyncPolicy
from storage.segments import Compression


def _data_dir() -> str:
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return os.path.join(state, "claudehub")


Seconds = Annotated[float, BeforeValidator(values.seconds), Field(le=values.DURATION_MAX_S)]
# How long a thread waits for bytes: the system calls take no more than 24 days.
ShortSeconds = Annotated[float, BeforeValidator(values.seconds), Field(gt=0, le=values.DAY_S)]
FilePath = Annotated[str, AfterValidator(values.without_tilde)]
Names = Annotated[tuple[str, ...], NoDecode, values.separated(",")]


def _setting(default: Any, example: str, meaning: str, **limits: Any) -> Any:
    return Field(default=default, examples=[example], description=meaning, **limits)


# The settings that clients read, too.
_DATA_DIR = Field(
    default_factory=_data_dir,
    examples=["/var/lib/claudehub"],
    description="everything that the server keeps",
)
_SOCKET = _setting(
    None, "/run/user/1000/claudehub.sock", "a Unix socket to listen on too, mode 0600"
)


class Config(LayeredSettings):
    """The configuration. Durations are in seconds, sizes in bytes."""

    ws_port: Annotated[int | None, BeforeValidator(values.port)] = _setting(
        8080, "8080", "port; 0 takes a free one, off: none (with SOCKET)"
    )
    claude_cmd: Annotated[
        tuple[str, ...], NoDecode, BeforeValidator(values.words), Field(min_length=1)
    ] = _setting("claude", "claude", "the command of the Claude Code CLI")
    exec_timeout: Annotated[Seconds, Field(gt=0)] = _setting(
        "5m", "5m", "an execution's time limit"
    )
    heartbeat: ShortSeconds = _setting("30s", "30s", "between pings")
    max_conn: Annotated[int, Field(ge=1)] = _setting(100, "100", "connections")
    max_projects: Annotated[int, Field(ge=1)] = _setting(100, "100", "projects")
    msg_rotate_size: Annotated[ByteSize, Field(ge=1)] = _setting(
        1073741824, "1GiB", "a log segment's size"
    )
    msg_rotate_days: Annotated[int, Field(ge=1, le=36500)] = _setting(
        30, "30", "a log segment's age"
    )
    log_level: Annotated[str, Field(pattern="^(debug|info|warning|error)$")] = _setting(
        "info", "info", "debug, info, warning, error"
    )
    bind: str = _setting("127.0.0.1", "127.0.0.1", "address to listen on")
    allow_unauthenticated: bool = _setting(
        False, "yes", "yes: listen on other than loopback addresses without keys"
    )
    data_dir: Annotated[str, AfterValidator(values.absolute)] = _DATA_DIR
    project_roots: Annotated[
        tuple[str, ...],
        NoDecode,
        values.separated(":"),
        Field(min_length=1),
        AfterValidator(values.existing_folders),
    ] = Field(
        default_factory=lambda: (os.path.expanduser("~"),),
        examples=["/home/me/src:/srv/projects"],
        description="folders, separated by ':', in which projects may lie",
    )
    max_message_bytes: Annotated[ByteSize, Field(ge=1024)] = _setting(
        "1MiB", "1MiB", "a client's message"
    )
    max_queue: Annotated[int, Field(ge=0)] = _setting(16, "16", "prompts that wait in a project")
    max_line_bytes: Annotated[ByteSize, Field(ge=1024)] = _setting(
        "16MiB", "16MiB", "a line of the CLI"
    )
    slow_client_bytes: Annotated[ByteSize, Field(ge=1)] = _setting(
        "16MiB", "16MiB", "bytes that may wait for one client"
    )
    rate_limit: Annotated[float, Field(gt=0, allow_inf_nan=False)] = _setting(
        50, "50", "requests a second a connection, bursts of twice that"
    )
    log_sync: SyncPolicy = _setting(SyncPolicy.ALWAYS, "always", "always, interval, never")
    log_retain_days: Annotated[int, Field(ge=0, le=36500)] = _setting(
        0, "365", "days after which closed log segments are deleted; 0 keeps all"
    )
    log_retain_bytes: Annotated[ByteSize, Field(ge=0)] = _setting(
        0, "10GiB", "a project's log; beyond that its oldest segments are deleted; 0 keeps all"
    )
    log_compress: Compression = _setting(
        Compression.OFF, "zstd", "off, gzip, zstd: how closed log segments are kept"
    )
    min_free_bytes: Annotated[ByteSize, Field(ge=0)] = _setting(
        "1GiB", "1GiB", "below this much free space new prompts are refused"
    )
    socket: Annotated[str, AfterValidator(values.absolute)] | None = _SOCKET
    trust_projects: Annotated[str, Field(pattern="^(ask|all)$")] = _setting(
        "ask", "ask", "ask, or all: whether a project's own settings, hooks and servers take effect"
    )
    authorized_keys: FilePath | None = _setting(
        None,
        "/home/me/.ssh/authorized_keys",
        "OpenSSH's authorized_keys: every client must have one of these keys; read again on change",
    )
    revoke_kills: bool = _setting(
        False, "yes", "yes: what a key has begun is killed when the key is taken out"
    )
    public_names: Annotated[Names, AfterValidator(values.hub_names)] = _setting(
        "", "hub.example.org,*.tail1234.ts.net", "host names under which clients reach the hub"
    )
    path_prefix: Annotated[str, AfterValidator(values.path_prefix)] = _setting(
        "", "/hub", "a path at which the hub is reached too, behind a proxy that leaves it"
    )
    auth_timeout: ShortSeconds = _setting(
        "10s", "10s", "to authenticate, and to finish the handshake"
    )
    allowed_origins: Names = _setting("", "https://hub.example", "browser origins that may connect")
    protocol_v0: bool = _setting(
        False, "on", "on: /ws speaks the older server's protocol, for clients that need no key"
    )
    tls_cert: FilePath | None = _setting(
        None,
        "/etc/ssl/hub.pem",
        "PEM file: the certificate and its chain; read again on change",
    )
    tls_key: FilePath | None = _setting(
        None,
        "/etc/ssl/private/hub.key",
        "PEM file: the certificate's key; read again on change",
    )
    compression: bool = _setting(True, "on", "permessage-deflate, where the client offers it")
    permission_mode: str = _setting("ask", "ask", "ask, or a permission mode of the CLI")
    permission_timeout: Annotated[Seconds, Field(gt=0)] = _setting(
        "2m", "2m", "without an answer a tool is denied"
    )
    warm_sessions: Annotated[int, Field(ge=0)] = _setting(
        4, "4", "CLI processes kept between prompts, over all projects; 0 starts one per prompt"
    )
    warm_idle: Annotated[Seconds, Field(gt=0)] = _setting(
        "10m", "10m", "how long such a process may idle"
    )
    warm_ahead: bool = _setting(
        False, "on", "on: a process is started when a project is joined, before the first prompt"
    )
    agent_background: bool = _setting(
        False, "on", "on: background work of the CLI runs on, and may begin turns by itself"
    )
    delta_hold: Annotated[Seconds, Field(ge=0, le=60)] = _setting(
        "50ms", "50ms", "the CLI joins partial output over this time"
    )
    kill_grace: Annotated[Seconds, Field(gt=0)] = _setting(
        "5s", "5s", "between the rungs of ending an execution"
    )
    stop_grace: Annotated[Seconds, Field(ge=0)] = _setting(
        "0s", "2m", "at a stop, how long running executions may go on before they are ended"
    )
    claude_env: Annotated[Names, AfterValidator(values.variable_names)] = _setting(
        "", "AWS_REGION", "further variables that the CLI may see"
    )
    agent_user: str | None = _setting(
        None, "agent", "as root only: the user that agents run as; without it they run as root"
    )
    agent_limits: Annotated[Limits, NoDecode, BeforeValidator(values.limits)] = _setting(
        "", "nofile=4096 nproc=512 as=8GiB cpu=1h", "resource limits of agents"
    )
    metrics_port: Annotated[int, Field(ge=0, le=65535), BeforeValidator(values.metrics_port)] = (
        _setting(0, "9464", "port for Prometheus, on BIND: /metrics, /healthz and /readyz; 0: none")
    )
    log_format: Annotated[str, Field(pattern="^(text|json)$")] = _setting(
        "text", "text", "text or json, on standard error"
    )

    @field_validator("*", mode="before")
    @classmethod
    def _no_switch(cls, value: object, info: ValidationInfo) -> object:
        """Raise for TOML's `true` where it is no switch: as a number it would count as 1."""
        is_switch = info.field_name in switches()
        if isinstance(value, bool) and not is_switch:
            raise ValueError("is only for switches")
        return value

    @field_validator("*", mode="before")
    @classmethod
    def _no_nul(cls, value: object) -> object:
        """Raise for a NUL, which no path, name or argument can have."""
        parts = value if isinstance(value, list) else [value]
        if any(isinstance(part, str) and "\0" in part for part in parts):
            raise ValueError("has a NUL character")
        return value

    @field_validator("permission_mode")
    @classmethod
    def _known_mode(cls, mode: str) -> str:
        if mode != "ask" and mode not in PERMISSION_MODES:
            raise ValueError(f"must be ask or one of {', '.join(PERMISSION_MODES)}")
        return mode

    @field_validator("tls_key")
    @classmethod
    def _pair(cls, key: str | None, info: ValidationInfo) -> str | None:
        if "tls_cert" in info.data and (key is None) != (info.data["tls_cert"] is None):
            raise ValueError("is of no use alone; set both TLS_CERT and TLS_KEY")
        return key

    @field_validator("bind")
    @classmethod
    def _address(cls, bind: str) -> str:
        if bind != "localhost":
            try:
                ipaddress.ip_address(bind)
            except ValueError:
                raise ValueError("is not an IP address") from None
        return bind

    @model_validator(mode="after")
    def _two_ports(self) -> "Config":
        if self.metrics_port and self.metrics_port == self.ws_port:  # both are on BIND
            other = self.metrics_port + 1 if self.metrics_port < PORT_MAX else PORT_MAX - 1
            raise ValueError(
                f"METRICS_PORT: {self.metrics_port} is WS_PORT, too, and both are on {self.bind}; "
                f"example: METRICS_PORT={other}"
            )
        return self

    @model_validator(mode="after")
    def _locked_door(self) -> "Config":
        if self.ws_port is None:
            if self.socket is None:
                raise ValueError("WS_PORT: off leaves no way in; example: SOCKET=/run/hub.sock")
            return self
        locked = self.authorized_keys is not None or self.allow_unauthenticated
        if not is_loopback(self.bind) and not locked:
            raise ValueError(
                "BIND: without authentication only a loopback address is allowed, since anyone "
                "who reaches the port can run commands; example: AUTHORIZED_KEYS=/home/me/.ssh/"
                "authorized_keys, BIND=127.0.0.1 (and an SSH tunnel), or ALLOW_UNAUTHENTICATED=yes"
            )
        return self


def switches() -> frozenset[str]:
    """Return the settings that are either on or off."""
    return frozenset(n for n, field in Config.model_fields.items() if field.annotation is bool)


# The path as a client takes it: it only reads, and the server checks paths. InstanceOf, because a
# path need not be UTF-8.
_ClientPath = Annotated[InstanceOf[str], Field(min_length=1)]


class DataFolder(LayeredSettings):
    """The one setting that a reader of the data needs."""

    data_dir: _ClientPath = _DATA_DIR
