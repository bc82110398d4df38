"""The keys of the older server's configuration: their defaults, and what that server accepted."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from claudehub.moving.go_values import SECOND_NS

VARIABLE_PREFIX = "POCKET_AGENT_"
# Where a key may have a section before it.
SECTIONS = ("websocket", "execution")
LOG_LEVELS = ("debug", "info", "warn", "error")
MIB = 2**20
MINUTE_NS = 60 * SECOND_NS

Plain = int | str | bool


class Kind(Enum):
    """What a value is. `words` is how messages call it."""

    NUMBER = "a whole number"
    SIZE = "a size in bytes"
    DURATION = 'a duration: a text such as "5m", or whole nanoseconds'
    TEXT = "a text"
    SWITCH = "true or false"


@dataclass(frozen=True, slots=True)
class Key:
    """One key. A text that begins with ROOT is below the old server's root folder by default.
    `example` is a value that works, as JSON. `low` and `high` are what the old server accepted."""

    name: str
    kind: Kind
    default: Plain
    example: str
    low: int | None = None
    high: int | None = None

    @property
    def variable(self) -> str:
        """Return the name of the environment variable."""
        return VARIABLE_PREFIX + self.name.upper().replace(".", "_")

    @property
    def section(self) -> str:
        """Return the name of the object that the key is in, or nothing."""
        return self.name.rpartition(".")[0]


ROOT = "ROOT"
_S, _M = SECOND_NS, MINUTE_NS
KEYS: Mapping[str, Key] = {
    key.name: key
    for key in (
        Key("port", Kind.NUMBER, 8443, "8443", 1, 65535),
        Key("host", Kind.TEXT, "0.0.0.0", '"127.0.0.1"'),  # noqa: S104  # nosec B104
        Key("tls_enabled", Kind.SWITCH, False, "false"),
        Key("tls_cert_file", Kind.TEXT, f"{ROOT}/certs/server.crt", '"/etc/ssl/hub.pem"'),
        Key("tls_key_file", Kind.TEXT, f"{ROOT}/certs/server.key", '"/etc/ssl/private/hub.key"'),
        Key("data_dir", Kind.TEXT, ROOT, '"/var/lib/pocket-agent/data"'),
        Key("log_level", Kind.TEXT, "info", '"info"'),
        Key("log_file", Kind.TEXT, f"{ROOT}/logs/pocket-agent.log", '"/var/log/server.log"'),
        Key("websocket.ping_interval", Kind.DURATION, 5 * _M, '"5m"', _S),
        Key("websocket.pong_timeout", Kind.DURATION, 30 * _S, '"30s"', _S),
        Key("websocket.max_message_size", Kind.SIZE, MIB, "1048576", 1024, 10 * MIB),
        Key("websocket.read_timeout", Kind.DURATION, 10 * _M, '"10m"', _S),
        Key("websocket.write_timeout", Kind.DURATION, 10 * _S, '"10s"'),
        Key("websocket.write_buffer_size", Kind.NUMBER, 1024, "1024"),
        Key("websocket.read_buffer_size", Kind.NUMBER, 1024, "1024"),
        Key("execution.command_timeout", Kind.DURATION, 0, '"5m"', 0),
        Key("execution.max_projects", Kind.NUMBER, 100, "100", 1, 1000),
        Key("execution.max_log_size", Kind.SIZE, 100 * MIB, "104857600", MIB),
        Key("execution.max_messages_per_log", Kind.NUMBER, 10_000, "10000", 100),
        Key("execution.claude_binary_path", Kind.TEXT, "claude", '"claude"'),
    )
}
