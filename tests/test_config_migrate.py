"""`claudehub config migrate`: the older server's configuration as ours. Whatever it prints, `config
check` accepts: `migrated` checks it each time."""

import os
import random
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import simplejson
from click.testing import CliRunner, Result

from actors.config import file_text
from actors.config.file_text import FILE_BYTES_MAX
from actors.config.settings import Config
from actors.config.values import seconds
from claudehub.cli.main import main
from claudehub.moving.go_values import duration_ns, duration_text, size_bytes, truth, whole_number
from claudehub.moving.old_keys import KEYS, Key, Kind
from claudehub.moving.old_settings import OldConfigurationError, read_settings
from claudehub.moving.other_files import described
from tests.growth import growth
from tests.harness import ROOT

SAMPLES = ROOT / "tests" / "data" / "old-server"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ours = tuple(name.upper() for name in Config.model_fields)
    for name in os.environ:
        if name.startswith(("POCKET_AGENT_", "PA_")) or name in ours:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.json"


def run(*words: str | Path, code: int = 0, **variables: str) -> Result:
    ended = CliRunner().invoke(main, ["config", *map(str, words)], env=variables)
    assert ended.exit_code == code, ended.output
    assert "Traceback" not in ended.output
    return ended


def checked(text: str) -> dict[str, Any]:
    """Return the settings of our configuration file, which `config check` accepts."""
    ours = Path("ours.toml")
    ours.write_text(text)
    assert ": ok, " in run("check", ours).stdout
    return tomllib.loads(text)


def migrated(file: Path, document: object, *words: str, **variables: str) -> dict[str, Any]:
    file.write_text(simplejson.dumps(document))
    return checked(run("migrate", file, *words, **variables).stdout)


def remarks(file: Path, document: object, *words: str, **variables: str) -> str:
    """Return the comments, each in one line."""
    file.write_text(simplejson.dumps(document))
    said = run("migrate", file, *words, **variables).stdout
    checked(said)
    return said.replace("\n# ", " ")


def refused(file: Path, document: object, *words: str, **variables: str) -> list[str]:
    file.write_text(document if isinstance(document, str) else simplejson.dumps(document))
    ended = run("migrate", file, *words, code=2, **variables)
    assert ended.stdout == ""
    return [line.removeprefix(f"claudehub: {file}: ") for line in ended.stderr.splitlines()]


def document(name: str, value: object) -> dict[str, Any]:
    section, _, key = name.rpartition(".")
    return {section: {key: value}} if section else {key: value}


# -- what each key becomes

TAKEN = [
    ("port", 1, "ws_port", 1),
    ("port", 65535, "ws_port", 65535),
    ("host", "0.0.0.0", "bind", "127.0.0.1"),
    ("host", "192.168.1.4", "bind", "127.0.0.1"),
    ("host", "hub.example.org", "bind", "127.0.0.1"),
    ("host", "localhost", "bind", "localhost"),
    ("host", "::1", "bind", "::1"),
    ("log_level", "warn", "log_level", "warning"),
    ("log_level", "WARN", "log_level", "warning"),
    ("log_level", "Debug", "log_level", "debug"),
    ("log_level", "error", "log_level", "error"),
    ("websocket.ping_interval", "5m0s", "heartbeat", "5m"),
    ("websocket.ping_interval", 90_500_000_000, "heartbeat", "1m30.5s"),
    ("websocket.ping_interval", "1s", "heartbeat", "1s"),
    ("websocket.ping_interval", "30h", "heartbeat", "24h"),
    ("websocket.max_message_size", 1024, "max_message_bytes", 1024),
    ("websocket.max_message_size", 10 * 2**20, "max_message_bytes", 10 * 2**20),
    ("execution.command_timeout", "0s", "exec_timeout", "5m"),
    ("execution.command_timeout", "0", "exec_timeout", "5m"),
    ("execution.command_timeout", 0, "exec_timeout", "5m"),
    ("execution.command_timeout", "90m", "exec_timeout", "1h30m"),
    ("execution.command_timeout", "250ms", "exec_timeout", "250ms"),
    ("execution.command_timeout", "1ns", "exec_timeout", "1ms"),
    ("execution.command_timeout", "2000000h", "exec_timeout", "876000h"),
    ("execution.max_projects", 20, "max_projects", 100),
    ("execution.max_projects", 1000, "max_projects", 100),
    ("execution.max_log_size", 2**20, "msg_rotate_size", "100MiB"),
    ("execution.max_log_size", 100 * 2**20, "msg_rotate_size", "100MiB"),
    ("execution.claude_binary_path", "/usr/bin/claude", "claude_cmd", "/usr/bin/claude"),
    ("execution.claude_binary_path", "123", "claude_cmd", "123"),
]


@pytest.mark.parametrize(("name", "value", "setting", "wanted"), TAKEN)
def test_a_key_becomes(file: Path, name: str, value: object, setting: str, wanted: object) -> None:
    assert migrated(file, document(name, value))[setting] == wanted


@pytest.mark.parametrize(
    "path",
    [
        "/opt/my tools/claude",
        "it's",
        'a"b\\c $HOME',
        "~/bin/claude",
        "./claude\n[x]",
        "del\x7f\x9b\u202e\u2028",
        "\N{GRINNING FACE}\U000e0001",
    ],
)
def test_a_command_stays_one_word_whatever_is_in_it(file: Path, path: str) -> None:
    found = migrated(file, document("execution.claude_binary_path", path))
    assert shlex.split(found["claude_cmd"]) == [path]


def test_a_lone_surrogate_is_replaced_as_go_does(file: Path) -> None:
    found = migrated(file, document("execution.claude_binary_path", "a\ud800"))
    assert found["claude_cmd"] == "'a\N{REPLACEMENT CHARACTER}'"


REMARKS = [
    ("port", 9000, "--port and --data-dir won over everything"),
    ("host", "0.0.0.0", "host was never in effect: the old server listened on all addresses."),
    ("host", "0.0.0.0", "only with keys (authorized_keys), and a hub with keys refuses the old"),
    ("tls_enabled", False, "tls_enabled was false, so the certificate is not taken over"),
    ("tls_cert_file", "x", "tls_enabled was false, so the certificate is not taken over"),
    ("tls_key_file", "x", "tls_enabled was false, so the certificate is not taken over"),
    ("data_dir", "/d", "data_dir (/d) is not taken over: claudehub keeps its data"),
    ("log_level", "warn", "Its name for warn is warning."),
    (
        "log_file",
        "/x.log",
        "log_file was never in effect: the old server wrote its log to standard",
    ),
    ("websocket.ping_interval", "30h", "It was 30h; claudehub's limit is 24h."),
    ("websocket.pong_timeout", "45s", "websocket.pong_timeout (45s) has no counterpart"),
    ("websocket.max_message_size", 2048, "the largest message from a client"),
    ("websocket.read_timeout", "10m", "websocket.read_timeout (10m) has no counterpart"),
    ("websocket.write_timeout", "-10s", "websocket.write_timeout (-10s) has no counterpart"),
    ("websocket.write_buffer_size", 4096, "write_buffer_size (4096) has no counterpart"),
    ("websocket.read_buffer_size", 4096, "(4096) has no counterpart, and was never in effect"),
    ("execution.command_timeout", 300, "It was 300ns; claudehub's limit is 1ms. In JSON, a number"),
    ("execution.command_timeout", "0s", "0 meant 5 minutes, not: no limit."),
    ("execution.max_projects", 20, "the old server always took 100 projects."),
    ("execution.max_projects", 20, "max_projects = 100 max_projects = 20"),
    ("execution.max_log_size", 2**20, "the old server always began a new file of a history at 100"),
    ("execution.max_log_size", 2**20, 'msg_rotate_size = "100MiB" msg_rotate_size = 1048576'),
    ("execution.max_messages_per_log", 500, "always began a new file after 10000 records"),
    ("execution.claude_binary_path", "a b", "as a shell does, so it is quoted."),
    ("execution.claude_binary_path", "~/claude", "Write the whole path"),
]


@pytest.mark.parametrize(("name", "value", "wanted"), REMARKS)
def test_a_comment_says_what_a_key_means_here(
    file: Path, name: str, value: object, wanted: str
) -> None:
    assert wanted in remarks(file, document(name, value))


def test_the_tables_above_have_every_key() -> None:
    assert {name for name, _, _ in REMARKS} == KEYS.keys()


def test_what_is_not_given_has_the_old_defaults(file: Path) -> None:
    assert migrated(file, {}) == {
        "ws_port": 8443,
        "bind": "127.0.0.1",
        "protocol_v0": "on",
        "max_projects": 100,
        "claude_cmd": "claude",
        "exec_timeout": "5m",
        "msg_rotate_size": "100MiB",
        "heartbeat": "5m",
        "max_message_bytes": 2**20,
        "log_level": "info",
    }
    assert "port (not given): " in remarks(file, {})


@pytest.mark.parametrize("sample", sorted(SAMPLES.glob("*.json")), ids=lambda path: path.stem)
def test_the_old_servers_own_files_pass(sample: Path, file: Path) -> None:
    found = migrated(file, simplejson.loads(sample.read_text()))
    assert (found["ws_port"], found["bind"], found["heartbeat"]) == (8443, "127.0.0.1", "5m")


def test_certificates_are_taken_only_where_they_are_on(file: Path) -> None:
    paths = {"tls_cert_file": "/c.pem", "tls_key_file": "~/k.pem"}
    assert "tls_cert" not in migrated(file, paths)
    found = migrated(file, {"tls_enabled": True, **paths})
    assert (found["tls_cert"], found["tls_key"]) == ("/c.pem", "./~/k.pem")
    assert "write the whole path" in remarks(file, {"tls_enabled": True, **paths})
    found = migrated(file, {"tls_enabled": True}, "--root-dir", "/srv/old")
    assert found["tls_cert"] == "/srv/old/certs/server.crt"
    assert found["tls_key"] == "/srv/old/certs/server.key"


def test_names_and_nulls_are_read_as_go_does(file: Path) -> None:
    file.write_text(
        '{"PORT": 9000, "Port": 9001, "host": null, "websocket": null,'
        ' "WebSocket": {"Ping_Interval": "1m"}, "websocket": {"max_message_size": 2048}}'
    )
    found = checked(run("migrate", file).stdout)
    assert (found["ws_port"], found["heartbeat"]) == (9001, "1m")
    assert found["max_message_bytes"] == 2048


def test_a_file_of_something_else_is_noticed(file: Path) -> None:
    note = "has no key of the old server; is it the right file?"
    assert note in run("migrate", _written(file, {"server": {"port": 1}})).stderr
    assert note not in run("migrate", _written(file, {"server": 1, "port": 1})).stderr
    assert note not in run("migrate", _written(file, {})).stderr


def test_unknown_keys_are_named(file: Path) -> None:
    said = remarks(file, {"colour": "red", "websocket": {"x": [1]}, "execution": {"a\nb": {}}})
    for name in ("colour", "websocket.x", "execution.a b"):
        assert f"\n {name}: an unknown key, which the old server ignored." in said
    many = remarks(file, {f"key{number}": number for number in range(500)})
    assert many.count("an unknown key") == 20 and "480 more unknown keys" in many


# -- what the old server refused

WRONG_TYPES: Mapping[Kind, tuple[object, ...]] = {
    Kind.NUMBER: ("8443", 1.0, 1e3, True, [], {}, 2**63, 10**400),
    Kind.SIZE: ("1MB", 1.5, False, [1], {}, 2**63),
    Kind.DURATION: (
        "soon",
        "5",
        "5 m",
        "",
        "5m-1s",
        1.5,
        True,
        None,
        [],
        {},
        "1" * 200,
        "9999999h",
    ),
    Kind.TEXT: (1, True, [], {}),
    Kind.SWITCH: ("true", 1, [], {}),
}
OUT_OF_RANGE = [
    ("port", 0, "must be from 1 to 65535"),
    ("port", 65536, "must be from 1 to 65535"),
    ("port", -1, "must be from 1 to 65535"),
    ("host", "", "is empty"),
    ("host", "a\0", "has a NUL character"),
    ("data_dir", "", "is empty"),
    ("log_level", "warning", "must be one of debug, info, warn, error"),
    ("log_level", "", "is empty"),
    ("websocket.ping_interval", "999ms", "must be at least 1s (a number counts nanoseconds)"),
    ("websocket.ping_interval", -5, "must be at least 1s (a number counts nanoseconds)"),
    ("websocket.pong_timeout", "0s", "must be at least 1s (a number counts nanoseconds)"),
    ("websocket.read_timeout", 0, "must be at least 1s (a number counts nanoseconds)"),
    ("websocket.max_message_size", 1023, "must be from 1024 to 10485760"),
    ("websocket.max_message_size", 10 * 2**20 + 1, "must be from 1024 to 10485760"),
    ("execution.command_timeout", "-1s", "must not be negative"),
    ("execution.max_projects", 0, "must be from 1 to 1000"),
    ("execution.max_projects", 1001, "must be from 1 to 1000"),
    ("execution.max_log_size", 2**20 - 1, "must be at least 1048576"),
    ("execution.max_messages_per_log", 99, "must be at least 100"),
    ("execution.claude_binary_path", "", "is empty"),
]


def wrong_types() -> Iterator[tuple[Key, object]]:
    for key in KEYS.values():
        for value in WRONG_TYPES[key.kind]:
            yield key, value


@pytest.mark.parametrize("key", KEYS.values(), ids=lambda key: key.name)
def test_a_wrong_type_is_refused_and_the_example_works(file: Path, key: Key) -> None:
    values = [value for other, value in wrong_types() if other is key]
    for value in values:
        (line,) = refused(file, document(key.name, value))
        assert line.startswith(f"{key.name}: ")
        assert "the old server did not start with it; example: " in line
        example = simplejson.loads("{" + line.partition("example: ")[2] + "}")
        section = key.name.rpartition(".")[0]
        migrated(file, {section: example} if section else example)


@pytest.mark.parametrize(("name", "value", "wanted"), OUT_OF_RANGE)
def test_what_the_old_server_did_not_take_is_refused(
    file: Path, name: str, value: object, wanted: str
) -> None:
    (line,) = refused(file, document(name, value))
    assert line.startswith(f"{name}: {wanted}; the old server did not start with it; example: ")


def test_every_limit_of_the_old_server_is_tried() -> None:
    limited = {key.name for key in KEYS.values() if key.low is not None}
    assert limited <= {name for name, _, _ in OUT_OF_RANGE}


def test_all_faults_are_told_at_once(file: Path) -> None:
    found = refused(file, {"port": "x", "websocket": [], "execution": {"max_projects": 0}})
    assert [line.partition(":")[0] for line in found] == [
        "port",
        "websocket",
        "execution.max_projects",
    ]
    assert "must be an object" in found[1] and '"websocket": {"ping_interval": "5m"}' in found[1]


def test_a_certificate_without_a_name_is_refused_where_tls_is_on(file: Path) -> None:
    (line,) = refused(file, {"tls_enabled": True, "tls_cert_file": "", "tls_key_file": "/k"})
    assert line.startswith("tls_cert_file: is empty, with TLS on; the old server did not start")
    assert "tls_cert" not in migrated(file, {"tls_cert_file": ""})


# -- the environment

VARIABLES = [
    ("PORT", "+9000", "ws_port", 9000),
    ("HOST", "::1", "bind", "::1"),
    ("LOG_LEVEL", "WARN", "log_level", "warning"),
    ("WEBSOCKET_PING_INTERVAL", "1m", "heartbeat", "1m"),
    ("WEBSOCKET_MAX_MESSAGE_SIZE", "2MB", "max_message_bytes", 2 * 2**20),
    ("WEBSOCKET_MAX_MESSAGE_SIZE", " 64 kb ", "max_message_bytes", 64 * 1024),
    ("WEBSOCKET_MAX_MESSAGE_SIZE", "2048b", "max_message_bytes", 2048),
    ("EXECUTION_COMMAND_TIMEOUT", "0", "exec_timeout", "5m"),
    ("EXECUTION_MAX_PROJECTS", "7", "max_projects", 100),
    ("EXECUTION_MAX_LOG_SIZE", "1GB", "msg_rotate_size", "100MiB"),
    ("EXECUTION_CLAUDE_BINARY_PATH", "/a b", "claude_cmd", "'/a b'"),
]
WRONG_VARIABLES = [
    ("PORT", "9_000", "is not a whole number"),
    ("PORT", "70000", "must be from 1 to 65535"),
    ("PORT", "9" * 5_000, "is not a whole number"),
    ("TLS_ENABLED", "yes", "is neither true nor false"),
    ("LOG_LEVEL", "loud", "must be one of debug, info, warn, error"),
    ("WEBSOCKET_PING_INTERVAL", "300000000000", "is not a duration such as 5m or 30s"),
    ("WEBSOCKET_MAX_MESSAGE_SIZE", "2MiB", "is not a size such as 1048576 or 1MB"),
    ("WEBSOCKET_MAX_MESSAGE_SIZE", "-1KB", "is negative"),
    ("WEBSOCKET_MAX_MESSAGE_SIZE", "1GB", "must be from 1024 to 10485760"),
    ("WEBSOCKET_WRITE_BUFFER_SIZE", "4KB", "is not a whole number"),
    ("EXECUTION_MAX_LOG_SIZE", "99999999999GB", "is too large"),
]


@pytest.mark.parametrize(("name", "value", "setting", "wanted"), VARIABLES)
def test_a_variable_wins_over_the_file(
    file: Path, name: str, value: str, setting: str, wanted: object
) -> None:
    variable = f"POCKET_AGENT_{name}"
    key = next(key for key in KEYS.values() if key.variable == variable)
    in_file = document(key.name, simplejson.loads(key.example))
    assert migrated(file, in_file, "--env", **{variable: value})[setting] == wanted
    assert variable in remarks(file, in_file, "--env", **{variable: value})
    without = migrated(file, in_file, **{variable: value})
    assert without == migrated(file, in_file, "--env", **{variable: ""})


@pytest.mark.parametrize(("name", "value", "wanted"), WRONG_VARIABLES)
def test_a_wrong_variable_is_refused(file: Path, name: str, value: str, wanted: str) -> None:
    variable = f"POCKET_AGENT_{name}"
    (line,) = refused(file, {}, "--env", **{variable: value})
    assert line.startswith(f"{variable}: {wanted}; the old server did not start with it; example: ")
    example = line.partition("example: ")[2].partition("=")
    assert example[0] == variable
    migrated(file, {}, "--env", **{variable: example[2]})


def test_a_good_variable_heals_a_value_out_of_range_but_no_wrong_type(file: Path) -> None:
    good = {"POCKET_AGENT_PORT": "9000"}
    assert migrated(file, {"port": 0}, "--env", **good)["ws_port"] == 9000
    (line,) = refused(file, {"port": "0"}, "--env", **good)
    assert line.startswith("port: must be a whole number; ")


def test_variables_that_were_never_read_are_named_and_not_taken(file: Path) -> None:
    others = {"PA_LOG_LEVEL": "debug", "PA_TRACE_ENABLED": "1", "POCKET_AGENT_COLOUR": "red"}
    said = remarks(file, {}, "--env", **others)
    assert (
        "PA_LOG_LEVEL was never read by the old server, so it is not taken. Here log_level" in said
    )
    assert "PA_TRACE_ENABLED was never read by the old server, so it is not taken.\n" in said
    assert "POCKET_AGENT_COLOUR: an unknown variable, which the old server ignored." in said
    assert migrated(file, {}, "--env", **others) == migrated(file, {})
    assert "PA_" not in remarks(file, {}, **others)
    many = remarks(file, {}, "--env", **{f"PA_X{number}": "1" for number in range(100)})
    assert "80 more PA_ variables" in many


# -- files that are none


def test_a_yaml_file_is_explained(file: Path) -> None:
    first, second = refused(file, (SAMPLES / "settings.yaml").read_text())
    assert first.startswith("is YAML: the old server read only JSON, so nothing in it was ever in ")
    assert first.endswith(
        "PA_EXECUTION_TIMEOUT, PA_IDLE_TIMEOUT, PA_LOG_LEVEL, PA_MAX_CONNECTIONS and 1 more)"
    )
    assert second.startswith("  give its JSON file (by default ~/.pocket_agent/config.json)")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("---\nport: 1\n", "YAML"),
        ("\n# x\nserver:\n  port: 1\n", "YAML"),
        ("- a\n", "YAML"),
        ("version: '3'\nservices:\n", "YAML"),
        ("# x\n[Unit]\nDescription=x\n", "a unit file"),
        ("FROM golang\nENV PA_DATA_DIR=/data\n", "a Dockerfile"),
        ("PA_DATA_DIR=/data\n", "a list of variables"),
        ("export PA_DATA_DIR=/data\n", "a list of variables"),
        ("ws_port = 8080\n", "TOML"),
        ("[server]\n", "TOML"),
    ],
)
def test_other_files_are_recognised(file: Path, text: str, kind: str) -> None:
    assert refused(file, text)[0].startswith(f"is {kind}")


def test_the_variables_of_a_file_that_did_count_are_said_to(file: Path) -> None:
    first, second = refused(file, "PA_DATA_DIR=/data\nPOCKET_AGENT_PORT=9000\n")
    assert first == "is a list of variables: the old server read only JSON, and never PA_DATA_DIR"
    assert second.endswith("set them in this shell, and run `claudehub config migrate --env`")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "is not JSON: "),
        ('{"port": 1', "is not JSON: "),
        ('{"port": 1} x', "is not JSON: "),
        ('{"port": NaN}', "is not JSON: "),
        ('{"host": "a\nb"}', "is not JSON: "),
        ("[]", 'is JSON, but no object; example: {"port": 8443}'),
        ("null", "is JSON, but no object"),
        ('"x"', "is JSON, but no object"),
        ("[" * 100_000, "is nested too deeply"),
        ('{"a":' * 50_000, "is nested too deeply"),
        ('{"port": ' + "9" * 6_000 + "}", ""),
        ("{" + " " * FILE_BYTES_MAX + "}", f"cannot be read: is larger than {FILE_BYTES_MAX}"),
    ],
)
def test_a_file_that_cannot_be_used_gets_one_line(file: Path, text: str, wanted: str) -> None:
    (line,) = refused(file, text)
    assert line.startswith(wanted)
    assert len(line) < 300


def test_places_that_are_no_files_are_refused(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "there is no such file" in run("migrate", file, code=2).stderr
    said = run("migrate", tmp_path, code=2).stderr
    assert said.splitlines() == [
        f"claudehub: {tmp_path}: is a folder",
        f"  name the file in it, or the folder with `--root-dir {tmp_path}`",
    ]
    assert "is no regular file" in run("migrate", "/dev/zero", code=2).stderr
    assert "Not a directory" in run("migrate", "/dev/null/x", code=2).stderr
    os.mkfifo(file)
    assert "is a pipe in which nothing is" in run("migrate", file, code=2).stderr
    monkeypatch.setattr(file_text, "PIPE_S", 0.05)
    writer = os.open(file, os.O_RDWR)
    try:
        assert "is a pipe without an end in 0.05 s" in run("migrate", file, code=2).stderr
    finally:
        os.close(writer)
    file.unlink()
    file.write_bytes("{}".encode("utf-16"))
    assert "is UTF-16; save it as UTF-8" in run("migrate", file, code=2).stderr


NASTY = {
    "names": lambda n: "PA_A" * n,
    "dots": lambda n: "a." * n,
    "words": lambda n: "a " * n,
    "lines": lambda n: "#\n" * n + "x",
    "keys": lambda n: "{" + ",".join(f'"a{number}": 1' for number in range(n)) + "}",
    "texts": lambda n: '{"log_level": "' + "1h" * n + '"}',
    "durations": lambda n: '{"websocket": {"ping_interval": "' + "1.0h" * n + '"}}',
}


@pytest.mark.parametrize("kind", NASTY)
def test_the_time_to_read_an_old_file_grows_with_its_length(kind: str) -> None:
    def read(count: int) -> None:
        text = NASTY[kind](count)
        described(text)
        with pytest.raises(OldConfigurationError):
            read_settings(text + "\0", {}, "/root")

    assert growth(read, 2_000, 16_000) < 4 * 8


# -- secrets


def test_no_secret_is_printed(file: Path) -> None:
    secret = "sk-ant-hushhushhush"
    said = run("migrate", _written(file, {secret: 1, "x_api_key=hush-hush": 1})).stdout
    assert "hush" not in said and "***: an unknown key" in said
    command = document("execution.claude_binary_path", f"claude --api-key {secret}")
    said = run("migrate", _written(file, command)).stdout
    assert "hush" not in said and "# claude_cmd = " in said and "which is not shown" in said
    assert "claude_cmd" not in checked(said)
    said = run("migrate", _written(file, {"data_dir": f"/d/{secret}"})).stdout
    assert "hush" not in said and "claudehub import DATA_DIR" in said
    for bad in ({"port": secret}, {"log_level": secret}, {"websocket": secret}):
        assert "hush" not in "".join(refused(file, bad))
    assert "hush" not in "".join(refused(file, {}, "--env", POCKET_AGENT_PORT=secret))
    assert "hush" not in run("migrate", _written(file, {}), "--env", PA_KEY=secret).stdout


def _written(file: Path, document: object) -> Path:
    file.write_text(simplejson.dumps(document))
    return file


# -- the places of the old server, and its projects


def test_without_a_file_the_old_servers_own_place_is_taken(tmp_path: Path) -> None:
    assert "/.pocket_agent/config.json: there is no such file" in run("migrate", code=2).stderr
    ended = run("migrate", "--env", POCKET_AGENT_PORT="9000")
    assert checked(ended.stdout)["ws_port"] == 9000
    assert "/.pocket_agent/config.json is not there: old defaults" in ended.stderr
    for folder, port in ((".pocket_agent", 9001), ("elsewhere", 9002)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "config.json").write_text(f'{{"port": {port}}}')
    ended = run("migrate")
    assert checked(ended.stdout)["ws_port"] == 9001
    assert (
        ended.stderr
        == f"claudehub: {tmp_path}/.pocket_agent/config.json is the old configuration\n"
    )
    ended = run("migrate", "--root-dir", tmp_path / "elsewhere")
    assert checked(ended.stdout)["ws_port"] == 9002
    assert f"from\n# {tmp_path}/elsewhere/config.json" in ended.stdout


def old_project(data: Path, number: int, text: str) -> str:
    """Write a project of the old server; return its id."""
    project_id = f"00000000-0000-4000-8000-{number:012}"
    (data / "projects" / project_id).mkdir(parents=True)
    (data / "projects" / project_id / "metadata.json").write_text(text)
    return project_id


def test_the_parents_of_the_old_projects_become_roots(file: Path, tmp_path: Path) -> None:
    data = tmp_path / "old data"
    there, real, other = tmp_path / "src" / "app", tmp_path / "real" / "x", tmp_path / "linked"
    there.mkdir(parents=True)
    real.mkdir(parents=True)
    other.symlink_to(real)
    gone = tmp_path / "gone" / "x"
    paths = [f"{there}/", f"{there.parent}/b:c", str(gone), "//usr", "/", 7, "x", str(other)]
    for number, path in enumerate(paths):
        old_project(data, number, simplejson.dumps({"path": path}))
    for number, text in enumerate(("[" * 90_000, "{", "[]", '{"path": "/a\\u0000"}', "")):
        old_project(data, 100 + number, text)
    (data / "projects" / "no-project").mkdir()
    (data / "projects" / "pipe").mkdir()
    os.mkfifo(data / "projects" / "pipe" / "metadata.json")
    document = {"data_dir": str(data)}
    found = migrated(file, document)
    assert found["project_roots"] == [str(real.parent), str(there.parent), "/usr"]
    assert f"not listed: {tmp_path / 'gone'}." in remarks(file, document)
    assert f"#   3. claudehub import '{data}' --dry-run" in run("migrate", file).stdout


def test_import_takes_every_project_below_the_proposed_roots(file: Path, tmp_path: Path) -> None:
    data, wanted = tmp_path / "old", set()
    for number, name in enumerate(("src/a", "src/b", "work/deep/c", "link")):
        folder = tmp_path / name
        folder.parent.mkdir(parents=True, exist_ok=True)
        if name == "link":
            (tmp_path / "far" / "away").mkdir(parents=True)
            folder.symlink_to(tmp_path / "far" / "away")
        else:
            folder.mkdir()
        wanted.add(old_project(data, number, simplejson.dumps({"path": str(folder)})))
    checked(run("migrate", _written(file, {"data_dir": str(data)})).stdout)
    words = ["import", str(data), "--dry-run", "--json", "--config", "ours.toml"]
    ended = CliRunner().invoke(main, [*words, "--data-dir", str(tmp_path / "new")])
    assert ended.exit_code == 0, ended.output
    rows = [simplejson.loads(line) for line in ended.stdout.splitlines() if line[:1] == "{"]
    found = {row["project_id"]: row["result"] for row in rows if "project_id" in row}
    assert found == dict.fromkeys(wanted, "imported")


def test_without_projects_there_is_an_example(file: Path, tmp_path: Path) -> None:
    said = remarks(file, {"data_dir": "./no such"})
    assert f"cannot be looked at: {tmp_path}/no such has no folder `projects`." in said
    assert f"the old server was started; here it was taken for {tmp_path}/no such." in said
    (tmp_path / "data" / "projects").mkdir(parents=True)
    assert "has no project whose folder is still there" in remarks(file, {"data_dir": "data"})
    assert "project_roots" not in migrated(file, {"data_dir": "data"})
    old_project(tmp_path / "data", 1, '{"path": "/"}')
    assert "project_roots" not in migrated(file, {"data_dir": "data"})


def test_nothing_is_changed(file: Path, tmp_path: Path) -> None:
    def tree() -> dict[Path, tuple[int, int]]:
        return {
            path: (path.lstat().st_mtime_ns, path.lstat().st_ino) for path in tmp_path.rglob("*")
        }

    (tmp_path / "data" / "projects" / "a").mkdir(parents=True)
    _written(file, {"data_dir": "data", "log_file": "logs/x.log"})
    before = tree()
    run("migrate", file, "--env", POCKET_AGENT_DATA_DIR=str(tmp_path / "new"))
    run("migrate", "--env")
    assert tree() == before


# -- any sample, and the real command


def samples(chance: random.Random) -> Iterator[dict[str, Any]]:
    values: dict[str, list[object]] = {}
    for name, value, _, _ in TAKEN:
        values.setdefault(name, []).append(value)
    for name, value, _ in REMARKS:
        values.setdefault(name, []).append(value)
    values["tls_enabled"].append(True)
    for _ in range(300):
        sample: dict[str, Any] = {}
        for name in chance.sample(sorted(values), chance.randrange(len(values))):
            section, _, key = name.rpartition(".")
            target = sample.setdefault(section, {}) if section else sample
            target[key] = chance.choice(values[name])
        yield sample


def test_config_check_accepts_the_result_of_every_sample(file: Path) -> None:
    for sample in samples(random.Random(17)):
        assert len(migrated(file, sample)) >= 10


def test_the_real_command_is_accepted_by_the_real_check(file: Path, tmp_path: Path) -> None:
    command = shlex.join([sys.executable, "-m", "claudehub", "config"])
    migration = f"{command} migrate --env {file} | tee ours.toml"
    pipeline = f"set -o pipefail; {migration} | {command} check /dev/stdin"
    file.write_text((SAMPLES / "config.default.json").read_text())
    variables = {"PYTHONIOENCODING": "latin-1", "PA_PORT": "1", "PYTHONPATH": str(ROOT)}
    variables["POCKET_AGENT_EXECUTION_CLAUDE_BINARY_PATH"] = "/opt/\N{SNOWMAN}/claude"
    done = subprocess.run(
        ["bash", "-c", pipeline],
        env={**os.environ, **variables},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "/dev/stdin: ok, 10 settings\n"), done.stderr
    found = tomllib.loads((tmp_path / "ours.toml").read_text("utf-8"))
    assert found["claude_cmd"] == "'/opt/\N{SNOWMAN}/claude'"


# -- Go's values


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1h2m3.5s", 3_723_500_000_000),
        ("+.5s", 500_000_000),
        ("1.s", 10**9),
        ("-1.5h", -5_400 * 10**9),
        ("1us1µs1μs", 3_000),
        ("0", 0),
        ("1.9999999999ns", 1),
    ],
)
def test_durations_are_read_as_go_does(text: str, wanted: int) -> None:
    assert duration_ns(text) == wanted


@pytest.mark.parametrize("number", [0, 1, 999, 10**6, 10**9 + 1, 59 * 10**9, 3_600 * 10**9, 2**62])
def test_a_duration_is_written_as_both_read_it(number: int) -> None:
    text = duration_text(number)
    assert duration_ns(text) == number
    assert seconds(text) == pytest.approx(number / 10**9, abs=1e-6)


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (duration_ns, "h"),
        (duration_ns, ".s"),
        (duration_ns, "1d"),
        (duration_ns, "٣s"),
        (whole_number, "0x10"),
        (whole_number, "٣"),
        (size_bytes, "1.5MB"),
        (size_bytes, "MB"),
        (truth, "on"),
    ],
)
def test_what_go_does_not_read_is_refused(read: Any, text: str) -> None:
    with pytest.raises(ValueError, match="is n"):
        read(text)
