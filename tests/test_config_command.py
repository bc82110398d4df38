"""`claudehub config`: what holds and why, whether a file is right, and a file to begin with."""

import codecs
import contextlib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
import simplejson
from click.testing import CliRunner, Result

from actors.config import file_text
from actors.config.example_file import example_file
from actors.config.faults import ConfigurationError
from actors.config.file_text import FILE_BYTES_MAX
from actors.config.secrets import without_secrets
from actors.config.settings import Config
from actors.config.sources import load, look
from actors.config.toml_lines import lines_of_keys
from actors.config.written import OF_THE_USER, example_text
from claudehub.cli.main import main
from tests.growth import growth


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [n.upper() for n in Config.model_fields]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def run(*words: str | Path, code: int = 0, **variables: str) -> Result:
    ended = CliRunner().invoke(main, ["config", *map(str, words)], env=variables)
    assert ended.exit_code == code, ended.output
    return ended


def shown(*words: str | Path, code: int = 0, **variables: str) -> Mapping[str, tuple[str, ...]]:
    """Return the value, the source and the place of each setting."""
    said = run("show", "--json", *words, code=code, **variables).stdout
    rows = [simplejson.loads(line) for line in said.splitlines()]
    return {row["name"]: (row["value"], row["source"], row["place"]) for row in rows}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "hub.toml"


# -- show


def test_show_says_where_each_value_comes_from(file: Path) -> None:
    file.write_text('heartbeat = "1m"\nmax_conn = 7\nproject_roots = ["/", "/tmp"]\n')
    found = shown("--config", file, "--ws-port", "9000", HEARTBEAT="2m", LOG_LEVEL="")
    assert found["ws_port"] == ("9000", "flag", "--ws-port")
    assert found["heartbeat"] == ("2m", "variable", "HEARTBEAT")
    assert found["max_conn"] == ("7", "file", f"{file}:max_conn")
    assert found["project_roots"] == ("/:/tmp", "file", f"{file}:project_roots")
    assert found["log_level"] == ("info", "default", None)
    assert found["socket"] == ("none", "default", None)
    assert found.keys() == Config.model_fields.keys()
    table = run("show", "--config", file, HEARTBEAT="2m").stdout
    lines = [line.split() for line in table.splitlines()]
    assert ["HEARTBEAT", "2m", "variable", "HEARTBEAT"] in lines
    assert ["MAX_CONN", "7", f"{file}:max_conn"] in lines
    assert ["MAX_QUEUE", "16", "default"] in lines


def test_show_takes_the_file_that_serve_takes(tmp_path: Path) -> None:
    folder = tmp_path / "claudehub"
    folder.mkdir()
    (folder / "config.toml").write_text("max_conn = 7\n")
    assert shown()["max_conn"] == ("7", "file", f"{folder / 'config.toml'}:max_conn")


def test_show_shows_a_bad_value_and_what_is_wrong_with_it(file: Path) -> None:
    file.write_text('heartbeat = "soon"\n')
    ended = run("show", "--config", file, code=2, MAX_CONN="0")
    assert "soon" in ended.stdout
    assert f"claudehub: HEARTBEAT: 'soon' ({file}:1): is not a duration" in ended.stderr
    assert "claudehub: MAX_CONN: '0': " in ended.stderr


@pytest.mark.parametrize(
    ("command", "hidden"),
    [
        ("env ANTHROPIC_API_KEY=hush claude", "env ANTHROPIC_API_KEY=*** claude"),
        ("env 'MY_TOKEN=hush hush' claude", "env 'MY_TOKEN=***' claude"),
        ("claude --api-key hush --verbose", "claude --api-key *** --verbose"),
        ("claude --password=hush", "claude --password=***"),
        ("proxy https://me:hush@hub.example/x claude", "proxy https://***@hub.example/x claude"),
        (
            "proxy http://hub.example/?access_token=hush",
            "proxy http://hub.example/?access_token=***",
        ),
        ("w -H 'Authorization: Bearer hush'", "w -H 'Authorization: ***'"),
        ("w --say sk-ant-hushhushhush", "w --say ***"),
        ("w ghp_hushhushhushhushhush1", "w ***"),
        ("w 0123456789abcdefhushhushhushhushhush", "w ***"),
    ],
)
def test_show_hides_what_may_be_a_secret(command: str, hidden: str) -> None:
    found = shown(CLAUDE_CMD=command)
    assert found["claude_cmd"] == (hidden, "variable", "CLAUDE_CMD")


def test_no_fault_shows_a_secret() -> None:
    ended = run("show", code=2, CLAUDE_CMD="env API_KEY=hush 'claude")
    assert "hush" not in ended.output and 'CLAUDE_CMD: "env API_KEY=*** \'claude"' in ended.stderr


@pytest.mark.parametrize(
    "plain",
    [
        "nice -n 5 'my claude'",
        "/usr/local/share/claudehub/agent-in-bwrap claude",
        "ssh -i ~/.ssh/id_ed25519 host claude --model claude-opus-4-1-20250805",
        "/home/me/.ssh/authorized_keys",
        "hub.example.org,*.tail1234.ts.net",
        "nofile=4096 nproc=512 as=8GiB cpu=1h",
        *(example_text(name) for name in Config.model_fields),
    ],
)
def test_what_is_no_secret_is_shown(plain: str) -> None:
    assert without_secrets(plain) == plain


# -- check


def faults(file: Path, **variables: str) -> list[str]:
    ended = run("check", file, code=2, **variables)
    assert ended.stdout == ""
    return [line.removeprefix(f"{file}") for line in ended.stderr.splitlines()]


def test_check_takes_a_good_file_whatever_the_environment_says(file: Path) -> None:
    file.write_text('ws_port = "off"\nsocket = "/run/hub.sock"\n')
    assert run("check", file, MAX_CONN="0").stdout == f"{file}: ok, 2 settings\n"
    file.write_text("max_conn = 5\n")
    assert run("check", file).stdout == f"{file}: ok, 1 setting\n"


def test_check_lists_every_fault_with_its_line(file: Path) -> None:
    file.write_text(
        "# a comment\n"
        "ws_prot = 1\n"
        'claude_cmd = [\n  "nice",\n  "claude",\n]\n'
        'prompt = """\nheartbeat = 1\n"""\n'
        "  max_conn = true\n"
        'heartbeat="soon"\n'
        "exec_timeout = 30\n"
        'bind = "0.0.0.0"\n'
        'protocol_v0 = "perhaps"\n'
        "[log_level]\n"
        "ws_port = 3\n"
    )
    found = faults(file)
    assert found[0] == ":2: unknown key 'ws_prot'; did you mean 'ws_port'?"
    assert found[1].startswith(":7: unknown key 'prompt'; did you mean ")
    assert found[2] == ":10: MAX_CONN: 'on': is only for switches; example: max_conn = 100"
    assert found[3] == ":11: HEARTBEAT: 'soon': is not a duration; example: heartbeat = \"30s\""
    assert found[4].startswith(":12: EXEC_TIMEOUT: '30': is not a duration: it has no unit; ")
    assert found[5].startswith(":13: BIND: without authentication only a loopback address")
    assert found[6].startswith(":14: PROTOCOL_V0: 'perhaps': ")
    assert found[7].startswith(":15: LOG_LEVEL: ")
    assert len(found) == 8


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"max_conn = 1\nmax_conn = 2", ":2: Cannot overwrite a value"),
        (b"\nmax_conn = ", ":2: Invalid value"),
        (b"max_conn = 1\n# \xff", ": 'utf-8' codec can't decode"),
        (
            b"#" * (FILE_BYTES_MAX + 1),
            f": cannot be read: is larger than {FILE_BYTES_MAX} bytes",
        ),
        (b"\n# [[\nx = " + b"[" * 900 + b"]" * 900, ":3: is nested more than 32 deep"),
        (b"x = " + b"{a=" * 900 + b"1" + b"}" * 900, ":1: is nested more than 32 deep"),
        (b"a" + b".a" * 20_000 + b" = 1", ":1: is nested more than 32 deep"),
        (b"[a" + b" . 'a'" * 20_000 + b"]", ":1: is nested more than 32 deep"),
        (b'data_dir = "/a\\u0000b"', ":1: DATA_DIR: '/a\\x00b': has a NUL character"),
        (b'project_roots = ["/\\u0000"]', ":1: PROJECT_ROOTS: '/\\x00': has a NUL character"),
        (b'claude_cmd = "a \\u0000"', ":1: CLAUDE_CMD: 'a \\x00': has a NUL character"),
        (b"ws_port = 0x" + b"f" * 6_000, ": has a whole number with more than 63 bits"),
        (b"\xff\xfew\x00", ": is UTF-16; save it as UTF-8"),
        (b'tls_cert = "/x"\n', ":1: TLS_KEY: not set: is of no use alone"),
        (b'bind = "0.0.0.0"\nws_port = "x"', ":1: BIND: without authentication"),
        (b"ws_port = 9000\nmetrics_port = 9000", ":2: METRICS_PORT: 9000 is WS_PORT, too"),
        (b"metrics_port = 8080", ":1: METRICS_PORT: 8080 is WS_PORT, too, and both are on 127"),
        (b'ws_port = "off"', ":1: WS_PORT: off leaves no way in"),
        (b'claude_env = "KEY=hush"', ":1: CLAUDE_ENV: 'KEY=***': has a word that is no name"),
        (b"rate_limit = inf", ":1: RATE_LIMIT: 'inf': must be a number"),
        (b'heartbeat = "1000h"', ":1: HEARTBEAT: '1000h': must be at most 86400 seconds"),
        (b'exec_timeout = "9999999h"', ":1: EXEC_TIMEOUT: '9999999h': must be at most"),
        (b'metrics_port = "off"', ":1: METRICS_PORT: 'off': must be a number; 0 turns it off"),
        (b'data_dir = "~/hub"', ":1: DATA_DIR: '~/hub': must be an absolute path ('~' is not"),
        (b'project_roots = "~/src"', ":1: PROJECT_ROOTS: '~/src': '~/src' is not an absolute"),
        (b'authorized_keys = "~/keys"', ":1: AUTHORIZED_KEYS: '~/keys': is no path here: '~' is"),
        (b"ws_port = -1", ":1: WS_PORT: '-1': is no port"),
        (b'ws_port = "8_080"', ":1: WS_PORT: '8_080': is no port"),
    ],
)
def test_check_names_the_fault_of(file: Path, content: bytes, wanted: str) -> None:
    file.write_bytes(content)
    assert faults(file)[0].startswith(wanted)


@pytest.mark.parametrize(
    "content",
    [
        'ws_port = "off"\nsocket = "/run/hub.sock"\nmetrics_port = 8080\n',
        "ws_port = 0\nmetrics_port = 0\n",
        "ws_port = 9000\nmetrics_port = 8080\n",
    ],
)
def test_ports_that_do_not_collide_are_right(file: Path, content: str) -> None:
    file.write_text(content)
    assert run("check", file).exit_code == 0


def test_a_missing_file_is_a_fault(file: Path) -> None:
    assert faults(file)[0].startswith(": there is no such file; example: ")


def test_the_lines_of_keys_are_found_around_values_of_many_lines() -> None:
    text = (
        "a = '''\nb = 1\n'''\n\n'c d' = {x = 1}\ne.f = 1\n\"g\" = [\n[1],\n]\n[h]\na = 2\n[i.j]\n"
    )
    values, lines = lines_of_keys(text)
    assert lines == {"a": 1, "c d": 5, "e": 6, "g": 7, "h": 10, "i": 12}
    assert values.keys() == lines.keys()


def test_the_lines_of_keys_are_found_behind_quotation_marks_and_brackets_that_are_none() -> None:
    text = (
        '# "[{\na = "\\"[" # ]\nb = \'[\\\'\nc = """\n"" \\""" ["""""\nd = \'\'\'\n[\'\'\'\r\n'
        'e = [ # [ "\n{x.y = 1.5}, "\u2028",\n]\n\nf = 1\u2028'
    ).removesuffix("\u2028")
    assert lines_of_keys(text)[1] == {"a": 2, "b": 3, "c": 4, "d": 6, "e": 8, "f": 12}


NASTY = {
    "a list": lambda n: "x = [\n" + "1,\n" * n + "]\n",
    "lines": lambda n: "".join(f"a{number} = 1\n" for number in range(n)),
    "parts of keys": lambda n: "a" + ".a" * n + " = 1\n",
    "brackets": lambda n: "x = " + "[" * n + "\n",
    "quotation marks": lambda n: "x = " + '"' * n + "\n",
    "ends of texts": lambda n: 'x = """' + '\\"""' * n + "\n",
    "tables": lambda n: "[[a.b]]\nx = 1.5\n" * n,
}


@pytest.mark.parametrize("kind", NASTY)
def test_the_time_to_read_a_file_grows_with_its_length(kind: str) -> None:
    def read(count: int) -> None:
        with contextlib.suppress(ValueError):
            lines_of_keys(NASTY[kind](count))

    assert growth(read, 500, 4_000) < 4 * 8


def test_a_byte_order_mark_is_none_of_the_files(file: Path) -> None:
    file.write_bytes(codecs.BOM_UTF8 + b"max_conn = 7\n")
    assert load({}, file).max_conn == 7


def test_a_pipe_or_a_device_without_an_end_is_a_fault(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError, match="is no regular file"):
        load({}, Path("/dev/zero"))
    os.mkfifo(file)
    assert "is a pipe in which nothing is" in faults(file)[0]
    writer = os.open(file, os.O_RDWR)
    try:
        monkeypatch.setattr(file_text, "PIPE_S", 0.05)
        assert "is a pipe without an end in 0.05 s" in faults(file)[0]
        os.write(writer, b"max_conn = 7\n")
        assert "is a pipe without an end in 0.05 s" in faults(file)[0]
    finally:
        os.close(writer)


def test_many_faults_are_not_all_told(file: Path) -> None:
    file.write_text("".join(f"key{number} = 1\n" for number in range(500)))
    assert len(faults(file)) == 21 and faults(file)[0].startswith(": 480 more unknown keys")
    file.write_text(f"allowed_origins = [{'1,' * 500}]\n")
    assert len(faults(file)) == 5


# -- example


def test_the_example_is_right_and_changes_nothing(file: Path) -> None:
    file.write_text(run("example").stdout)
    assert run("check", file).stdout.startswith(f"{file}: ok, ")
    assert load({}, file) == load({})


def test_the_example_has_every_setting_and_its_examples_are_right(
    file: Path, tmp_path: Path
) -> None:
    text = example_file()
    given = tomllib.loads(text)
    for name in Config.model_fields.keys() - given.keys():
        (line,) = (line for line in text.splitlines() if line.startswith(f"# {name} = "))
        if name not in OF_THE_USER:  # folders that exist here only
            text = text.replace(line, line.removeprefix("# "))
    file.write_text(text)
    found = look({}, file, has_environment=False)
    assert found.faults == []
    assert found.origins.keys() == Config.model_fields.keys() - OF_THE_USER


# -- faults at the start


def test_serve_check_says_so_if_the_data_folder_can_have_no_such_name(tmp_path: Path) -> None:
    words = ["serve", "--check", "--ws-port", "0", "--claude-cmd", "true"]
    words += ["--data-dir", str(tmp_path / ("x" * 300))]
    ended = CliRunner().invoke(main, words)
    assert ended.exit_code == 1, ended.output
    assert "would not start: " in ended.stdout and "File name too long" in ended.stdout


def test_serve_lists_what_only_the_system_can_tell_with_the_other_faults(file: Path) -> None:
    file.write_text('claude_cmd = "no-such-claude"\n')
    words = ["serve", "--config", str(file), "--max-conn", "0", "--bind", "0.0.0.0"]
    words += ["--ws-port", "9000", "--metrics-port", "9000"]
    ended = CliRunner().invoke(main, words, env={"AUTHORIZED_KEYS": ""})
    assert ended.exit_code == 2 and ended.stdout == ""
    names = [line.split()[1] for line in ended.stderr.splitlines()]
    assert names == ["MAX_CONN:", "METRICS_PORT:", "BIND:", "CLAUDE_CMD:"]
    assert f"({file}:1)" in ended.stderr


def test_a_variable_counts_only_in_upper_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("max_conn", "7")
    assert load({}).max_conn == 100
    assert shown()["max_conn"] == ("100", "default", None)
