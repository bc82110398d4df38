"""The configuration: defaults, precedence, and every fault at once."""

import logging
import re
from pathlib import Path

import pytest
import simplejson

from actors.config.settings import Config
from actors.config.sources import (
    NOT_YET,
    ConfigurationError,
    default_file,
    load,
)
from actors.server import logs
from actors.server.main import check
from tests.harness import ROOT


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [*(n.upper() for n in Config.model_fields), *NOT_YET]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


def faults(**flags: object) -> list[str]:
    with pytest.raises(ConfigurationError) as error:
        load(flags)
    return error.value.faults


def test_defaults(tmp_path: Path) -> None:
    config = load({})
    assert (config.ws_port, config.claude_cmd, config.exec_timeout) == (8080, ("claude",), 300.0)
    assert (config.heartbeat, config.max_conn, config.max_projects) == (30.0, 100, 100)
    assert (config.msg_rotate_size, config.msg_rotate_days) == (1 << 30, 30)
    assert (config.log_level, config.bind) == ("info", "127.0.0.1")
    assert config.data_dir == str(tmp_path / ".local/state/claudehub")
    assert config.project_roots == (str(tmp_path.resolve()),)
    assert (config.max_message_bytes, config.max_line_bytes) == (1 << 20, 1 << 24)
    assert (config.delta_hold, config.kill_grace, config.rate_limit) == (0.05, 5.0, 50)
    assert config.compression is True and config.allowed_origins == ()


def test_flags_win_over_the_environment_and_that_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config.toml"
    file.write_text('ws_port = 1\nheartbeat = "1s"\nmax_conn = 1\n')
    monkeypatch.setenv("WS_PORT", "2")
    monkeypatch.setenv("HEARTBEAT", "2s")
    config = load({"ws_port": "3", "heartbeat": None}, file)
    assert (config.ws_port, config.heartbeat, config.max_conn) == (3, 2.0, 1)


def test_the_users_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_file() is None
    file = tmp_path / ".config" / "claudehub" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text("")
    assert default_file() == file


def test_an_unknown_key_names_the_nearest(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("ws_prot = 1\n")
    with pytest.raises(ConfigurationError) as error:
        load({}, file)
    assert "'ws_prot'; did you mean 'ws_port'?" in error.value.faults[0]
    file.write_text("ws_port = ")
    with pytest.raises(ConfigurationError) as error:
        load({}, file)
    assert str(file) in error.value.faults[0]


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("exec_timeout", "1h30m", 5400.0),
        ("exec_timeout", "250ms", 0.25),
        ("msg_rotate_size", "64KiB", 65536),
        ("msg_rotate_size", "1000", 1000),
        ("claude_cmd", "nice -n 5 'my claude'", ("nice", "-n", "5", "my claude")),
        ("allowed_origins", "https://a, https://b", ("https://a", "https://b")),
        ("compression", "off", False),
        ("bind", "::1", "::1"),
        ("delta_hold", "0", 0.0),
        ("max_queue", "0", 0),
    ],
)
def test_values(name: str, value: str, wanted: object) -> None:
    assert getattr(load({name: value}), name) == wanted


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ws_port", "x"),
        ("ws_port", "70000"),
        ("exec_timeout", "5"),
        ("exec_timeout", "-5m"),
        ("exec_timeout", "0s"),
        ("max_conn", "0"),
        ("msg_rotate_size", "big"),
        ("log_level", "loud"),
        ("log_sync", "sometimes"),
        ("claude_cmd", "'unclosed"),
        ("project_roots", "/nonexistent"),
        ("project_roots", "relative"),
        ("data_dir", "relative"),
        ("bind", "example.org"),
        ("permission_mode", "whatever"),
        ("compression", "maybe"),
    ],
)
def test_a_fault_names_the_variable_and_an_example_that_works(name: str, value: str) -> None:
    fault = faults(**{name: value})[0]
    assert fault.startswith(f"{name.upper()}: ") and value in fault
    example = re.search(rf"example: {name.upper()}=(.+)\Z", fault)
    assert example is not None
    if name not in ("project_roots",):  # that one needs folders
        load({name: example[1]})


def test_all_faults_come_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TLS_CERT", "/x")
    found = faults(ws_port="x", heartbeat="y")
    assert len(found) == 3


def test_a_door_is_not_left_open_silently(monkeypatch: pytest.MonkeyPatch) -> None:
    assert faults(bind="0.0.0.0")[0].startswith("BIND: without authentication")
    assert load({"bind": "0.0.0.0", "allow_unauthenticated": "yes"}).bind == "0.0.0.0"
    for name, harmless in NOT_YET.items():
        with monkeypatch.context() as patch:
            patch.setenv(name, "something")
            assert faults()[0].startswith(f"{name}: is not supported")
            for value in harmless:
                patch.setenv(name, value)
                load({})


def test_a_missing_cli_says_how_to_get_it() -> None:
    with pytest.raises(ConfigurationError) as error:
        check(load({"claude_cmd": "no-such-claude"}))
    assert "claudehub demo" in error.value.faults[0]
    check(load({"claude_cmd": "sh"}))


def test_the_documentation_has_every_variable_with_its_default() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    for name, field in Config.model_fields.items():
        row = re.search(rf"^\| `{name.upper()}` \| (.*?) \|", text, re.MULTILINE)
        assert row is not None, name
        assert field.description
    for name in NOT_YET:
        assert f"`{name}`" in text, name


def test_log_lines_as_text_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        logs.configure("info", "text")
        assert len(root.handlers) == 1
        logging.getLogger("claudehub.test").info("hello %d", 5)
        assert capsys.readouterr().err.endswith("INFO    claudehub.test: hello 5\n")
        logs.configure("info", "json")
        try:
            raise ValueError("planned")
        except ValueError:
            logging.getLogger("claudehub.test").exception("oh")
        line = simplejson.loads(capsys.readouterr().err)
        assert (line["level"], line["logger"], line["message"]) == ("error", "claudehub.test", "oh")
        assert "planned" in line["exception"]
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
