"""docs/configuration.md: made from the settings, and with every variable that was promised."""

import re

import pytest

from actors.config.groups import GROUPS
from actors.config.settings import Config
from actors.config.sources import load
from claudehub.cli.configuration_page import DEFAULTS_IN_WORDS, configuration_page
from tests.harness import ROOT

PAGE = ROOT / "docs" / "configuration.md"
# What operators rely on: each variable and its default. Neither changes within a major version.
PROMISED = {
    "WS_PORT": "8080",
    "CLAUDE_CMD": "`claude`",
    "EXEC_TIMEOUT": "5m",
    "HEARTBEAT": "30s",
    "MAX_CONN": "100",
    "MAX_PROJECTS": "100",
    "MSG_ROTATE_SIZE": "1073741824",
    "MSG_ROTATE_DAYS": "30",
    "LOG_LEVEL": "info",
    "BIND": "127.0.0.1",
    "ALLOW_UNAUTHENTICATED": "no",
    "DATA_DIR": "`$XDG_STATE_HOME/claudehub`, else `~/.local/state/claudehub`",
    "PROJECT_ROOTS": "your home",
    "MAX_MESSAGE_BYTES": "1MiB",
    "MAX_QUEUE": "16",
    "MAX_LINE_BYTES": "16MiB",
    "SLOW_CLIENT_BYTES": "16MiB",
    "RATE_LIMIT": "50",
    "LOG_SYNC": "always",
    "LOG_RETAIN_DAYS": "0",
    "LOG_RETAIN_BYTES": "0",
    "LOG_COMPRESS": "off",
    "MIN_FREE_BYTES": "1GiB",
    "SOCKET": "none",
    "AGENT_USER": "none",
    "AGENT_LIMITS": "none",
    "STOP_GRACE": "0s",
    "AUTHORIZED_KEYS": "none",
    "REVOKE_KILLS": "no",
    "PUBLIC_NAMES": "none",
    "PATH_PREFIX": "none",
    "TRUST_PROJECTS": "ask",
    "AUTH_TIMEOUT": "10s",
    "ALLOWED_ORIGINS": "none",
    "PROTOCOL_V0": "off",
    "TLS_CERT": "none",
    "TLS_KEY": "none",
    "COMPRESSION": "on",
    "METRICS_PORT": "0",
    "PERMISSION_MODE": "ask",
    "PERMISSION_TIMEOUT": "2m",
    "WARM_SESSIONS": "4",
    "WARM_IDLE": "10m",
    "WARM_AHEAD": "off",
    "AGENT_BACKGROUND": "off",
    "DELTA_HOLD": "50ms",
    "KILL_GRACE": "5s",
    "CLAUDE_ENV": "none",
    "LOG_FORMAT": "text",
}
ROWS = dict(re.findall(r"(?m)^\| `([A-Z0-9_]+)` \| (.*?) \|", PAGE.read_text()))


def test_the_page_is_up_to_date() -> None:
    made = configuration_page(PAGE.read_text())
    how = "python -m claudehub.cli.configuration_page docs/configuration.md"
    assert made == PAGE.read_text(), how


def test_every_setting_is_explained_once() -> None:
    """A new setting needs its explanation in actors/config/groups.py."""
    explained = [name for group in GROUPS.values() for name in group]
    assert sorted(explained) == sorted(Config.model_fields)
    assert all(text for group in GROUPS.values() for text in group.values())
    assert all(field.description for field in Config.model_fields.values())


@pytest.mark.parametrize("name", PROMISED)
def test_a_promised_variable_is_there_with_its_default(name: str) -> None:
    assert ROWS[name] == PROMISED[name]


def test_no_setting_is_there_that_was_not_promised() -> None:
    assert {name.upper() for name in Config.model_fields} <= PROMISED.keys()


@pytest.mark.parametrize("name", sorted(Config.model_fields.keys() - DEFAULTS_IN_WORDS.keys()))
def test_a_default_of_the_page_works_as_it_is_written(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for other in Config.model_fields:
        monkeypatch.delenv(other.upper(), raising=False)
    default = getattr(load({}), name)
    if ROWS[name.upper()] == "none":
        assert not default
    else:
        monkeypatch.setenv(name.upper(), ROWS[name.upper()].strip("`"))
        assert getattr(load({}), name) == default
