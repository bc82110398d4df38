"""The configuration: defaults, precedence, and every fault at once."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from actors.config.faults import ConfigurationError
from actors.config.settings import Config
from actors.config.sources import (
    data_folder,
    default_file,
    load,
)
from actors.server.main import faults as system_faults
from claudehub.client.address import configured_socket, usual_url


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [n.upper() for n in Config.model_fields]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


def faults(**flags: object) -> list[str]:
    with pytest.raises(ConfigurationError) as error:
        load(flags)
    return error.value.faults


def test_every_setting_has_its_default(tmp_path: Path) -> None:
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


@pytest.fixture
def users_file(tmp_path: Path) -> Path:
    """Where the user's file is looked for; its folder is there, the file is not."""
    file = tmp_path / ".config" / "claudehub" / "config.toml"
    file.parent.mkdir(parents=True)
    return file


# Each takes the value of a flag, or None. No command has a flag for `configured_socket`.
READERS: dict[str, tuple[str, Callable[[str | None], object]]] = {
    "serve DATA_DIR": ("data_dir", lambda flag: load({"data_dir": flag}, default_file()).data_dir),
    "serve SOCKET": ("socket", lambda flag: load({"socket": flag}, default_file()).socket),
    "data_folder": ("data_dir", lambda flag: str(data_folder(Path(flag) if flag else None))),
    "configured_socket": ("socket", lambda _: configured_socket()),
}
# What is in the flag, the variable and the file, and which of them is read.
PRECEDENCE = {
    "flag over environment": ("/flag", "/variable", None, "/flag"),
    "flag over file": ("/flag", None, "/file", "/flag"),
    "flag over all": ("/flag", "/variable", "/file", "/flag"),
    "environment over file": (None, "/variable", "/file", "/variable"),
    "file over default": (None, None, "/file", "/file"),
    "file over empty variable": (None, "", "/file", "/file"),
    "default over empty variable": (None, "", None, None),
    "default": (None, None, None, None),
}


@pytest.mark.parametrize(
    ("reader", "case"),
    [
        (reader, case)
        for reader in READERS
        for case in PRECEDENCE
        if not (reader == "configured_socket" and case.startswith("flag"))
    ],
)
def test_flags_win_over_the_environment_and_that_over_the_file(
    users_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: str, case: str
) -> None:
    name, read = READERS[reader]
    flag, variable, line, wanted = PRECEDENCE[case]
    if variable is not None:
        monkeypatch.setenv(name.upper(), variable)
    if line is not None:
        users_file.write_text(f'{name} = "{line}"\n')
    default = {"data_dir": str(tmp_path / ".local/state/claudehub"), "socket": None}[name]
    assert read(flag) == (wanted or default)


def test_each_setting_comes_from_its_own_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config.toml"
    file.write_text('ws_port = 1\nheartbeat = "1s"\nmax_conn = 1\n')
    monkeypatch.setenv("WS_PORT", "2")
    monkeypatch.setenv("HEARTBEAT", "2s")
    config = load({"ws_port": "3", "heartbeat": None}, file)
    assert (config.ws_port, config.heartbeat, config.max_conn) == (3, 2.0, 1)
    assert load({}).max_conn == 100  # nothing of a file stays


def test_a_dotenv_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("WS_PORT=1\nDATA_DIR=/x\nSOCKET=/x\n")
    assert load({}).ws_port == 8080
    assert data_folder(None) == tmp_path / ".local/state/claudehub"
    assert configured_socket() is None


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"ws_port = ", id="no TOML"),
        pytest.param(b"a = " + b"[" * 5000, id="deep"),
        pytest.param(b"# \xff", id="no UTF-8"),
        pytest.param(b"data_dir = 5\nsocket = 5\n", id="no texts"),
        pytest.param(b'data_dir = ""\nsocket = ""\n', id="empty texts"),
        pytest.param(b'DATA_DIR = "/x"\nSOCKET = "/x"\n', id="no keys of ours"),
    ],
)
def test_clients_ignore_a_file_that_cannot_be_used(
    users_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    users_file.write_bytes(content)
    with pytest.raises(ConfigurationError):
        load({}, default_file())
    assert data_folder(None) == tmp_path / ".local/state/claudehub"
    assert data_folder(Path("given")) == Path("given")
    assert configured_socket() is None
    monkeypatch.setenv("DATA_DIR", "/d")
    monkeypatch.setenv("SOCKET", "/s")
    assert (data_folder(None), configured_socket()) == (Path("/d"), "/s")


def test_clients_dial_where_the_hub_listens(
    users_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CLAUDEHUB_URL", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    usual = "ws://127.0.0.1:8080"
    for lines, url in {
        "": usual,
        "ws_port = 18080": "ws://127.0.0.1:18080",
        'ws_port = "18080"': "ws://127.0.0.1:18080",
        "ws_port = 0": usual,
        "ws_port = true": usual,
        "ws_port = 65536": usual,
        "ws_port = [1]": usual,
        'bind = "0.0.0.0"': usual,
        'bind = "::"\nws_port = 1': "ws://[::1]:1",
        'bind = "127.0.0.2"': "ws://127.0.0.2:8080",
        'bind = "localhost"': "ws://localhost:8080",
        'bind = "nowhere"': usual,
        'tls_cert = "/c"\ntls_key = "/k"': "wss://127.0.0.1:8080",
        f'socket = "{tmp_path}/gone"': usual,
        f'socket = "{tmp_path}/gone"\nws_port = "off"': f"unix:{tmp_path}/gone",
    }.items():
        users_file.write_text(lines)
        assert usual_url() == url, lines
    users_file.write_text("ws_port = 1")
    monkeypatch.setenv("WS_PORT", "2")
    assert usual_url() == "ws://127.0.0.1:2", "a variable wins over the file"
    monkeypatch.setenv("CLAUDEHUB_URL", "ws://other:3")
    assert usual_url() == "ws://other:3"


def test_clients_need_no_other_setting(users_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    users_file.write_text('data_dir = "/d"\nsocket = "/s"\nmax_conn = "x"\nno_key = 1\n')
    monkeypatch.setenv("WS_PORT", "x")
    monkeypatch.setenv("MAX_CONN", "x")
    assert (data_folder(None), configured_socket()) == (Path("/d"), "/s")


def test_clients_take_any_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the server refuses a path that is relative or not UTF-8."""
    for path in ("relative", os.fsdecode(b"/not-utf-8-\xff")):
        assert data_folder(Path(path)) == Path(path)
        monkeypatch.setenv("DATA_DIR", path)
        monkeypatch.setenv("SOCKET", path)
        assert (data_folder(None), configured_socket()) == (Path(path), path)
    # No folder can have this name, so that the file cannot even be looked for.
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / ("x" * 300)))
    assert data_folder(Path("given")) == Path("given")


def test_the_users_configuration_file_is_found(users_file: Path) -> None:
    assert default_file() is None
    users_file.write_text("")
    assert default_file() == users_file


def test_an_unknown_key_of_the_file_names_the_nearest(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("ws_prot = 1\n")
    with pytest.raises(ConfigurationError) as error:
        load({}, file)
    assert "'ws_prot'; did you mean 'ws_port'?" in error.value.faults[0]
    file.write_text("WS_PORT = 1\n")
    with pytest.raises(ConfigurationError) as error:
        load({}, file)
    assert error.value.faults == [
        f"--config {file}:1: unknown key 'WS_PORT'; did you mean 'ws_port'?"
    ]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("none.toml", "there is no such file"),
        (".", "cannot be read: Is a directory"),
        ("~none/x", "there is no such file"),
        ("half.toml", "Invalid value (at line 1, column 11)"),
        ("latin.toml", "'utf-8' codec can't decode byte 0xff in position 2: invalid start byte"),
    ],
)
def test_a_named_file_must_be_readable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, why: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("half.toml").write_text("ws_port = ")
    Path("latin.toml").write_bytes(b"# \xff")
    with pytest.raises(ConfigurationError) as error:
        load({}, Path(name))
    place = f"{name}:1" if "line 1" in why else name
    (fault,) = error.value.faults
    assert fault.startswith(f"--config {place}: {why}; example: ")


def test_a_file_may_be_a_pipe() -> None:
    """A shell makes one of `--config <(generate)`."""
    reader, writer = os.pipe()
    try:
        os.write(writer, b"ws_port = 1\n")
        os.close(writer)
        assert load({}, Path(f"/dev/fd/{reader}")).ws_port == 1
    finally:
        os.close(reader)


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
def test_values_are_read_as_documented(name: str, value: str, wanted: object) -> None:
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
    load({name: example[1]})


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("trust_projects", "x", "must be ask or all"),
        ("log_level", "x", "must be debug, info, warning or error"),
        ("log_sync", "x", "must be 'always', 'interval' or 'never'"),
        ("compression", "x", "must be on or off"),
        ("max_conn", "x", "must be a whole number"),
        ("max_conn", "1.5", "must be a whole number"),
        ("max_conn", "0", "must be at least 1"),
        ("max_queue", "9" * 5000, "must be a whole number"),
        ("rate_limit", "x", "must be a number"),
        ("rate_limit", "nan", "must be a number"),
        ("rate_limit", "0", "must be more than 0"),
        ("exec_timeout", "-1s", "must be more than 0 seconds"),
        ("heartbeat", "25h", "must be at most 86400 seconds"),
        ("msg_rotate_size", "big", "is not a size"),
        ("msg_rotate_size", "5 tons", "is not a size: there is no such unit"),
        ("msg_rotate_days", "0", "must be at least 1"),
        ("claude_cmd", " ", "must not be empty"),
        ("project_roots", ":", "must not be empty"),
    ],
)
def test_a_fault_is_told_in_plain_words(name: str, value: str, problem: str) -> None:
    (fault,) = faults(**{name: value})
    assert f": {problem}; example: " in fault


def test_all_faults_come_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TLS_CERT", "/x")
    found = faults(ws_port="x", heartbeat="y")
    assert len(found) == 3


def test_faults_of_all_sources_come_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config.toml"
    file.write_text('ws_prot = 1\nmax_conn = 0\nheartbeat = "y"\n')
    monkeypatch.setenv("HEARTBEAT", "z")
    with pytest.raises(ConfigurationError) as error:
        load({"ws_port": "x"}, file)
    assert error.value.faults == [
        f"--config {file}:1: unknown key 'ws_prot'; did you mean 'ws_port'?",
        "WS_PORT: 'x': is no port (0 to 65535), and not off; example: WS_PORT=8080",
        "HEARTBEAT: 'z': is not a duration; example: HEARTBEAT=30s",
        f"MAX_CONN: '0' ({file}:2): must be at least 1; example: MAX_CONN=100",
    ]


def test_an_address_for_all_needs_keys() -> None:
    assert faults(bind="0.0.0.0")[0].startswith("BIND: without authentication")
    assert load({"bind": "0.0.0.0", "allow_unauthenticated": "yes"}).bind == "0.0.0.0"


def test_a_missing_cli_says_how_to_get_it() -> None:
    with pytest.raises(ConfigurationError) as error:
        load({"claude_cmd": "no-such-claude"}, check=system_faults)
    assert "claudehub demo" in error.value.faults[0]
    load({"claude_cmd": "sh"}, check=system_faults)
