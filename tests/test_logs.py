"""The server's log: one line an event, in text and in JSON, whoever writes and whatever it says."""

import ast
import json
import logging
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.contextvars import bound_contextvars

from actors.runtime import log_text
from actors.runtime.logger import get_logger
from actors.server import logs
from tests.harness import ROOT
from tests.test_structure import sources

LINE = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (DEBUG  |INFO   |WARNING|ERROR  ) [\w.]+: .+"
)


@pytest.fixture
def kept_logging() -> Iterator[None]:
    """Give logging back as it was: `configure` takes every handler away."""
    root, last = logging.getLogger(), logging.lastResort
    levels = {name: logging.getLogger(name).level for name in logs._ECHOES}
    before = (root.handlers[:], root.level)
    yield
    root.handlers[:], root.level = before
    logging.lastResort = last
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture(params=["text", "json"])
def log_format(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def written(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def parsed(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written(capsys)]


pytestmark = pytest.mark.usefixtures("kept_logging")


def test_a_line_of_text_has_time_level_logger_event_and_fields(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure("info", "text")
    get_logger("claudehub.hub").info("project created", project="shop", path="/srv/my shop")
    (line,) = written(capsys)
    assert LINE.fullmatch(line)
    assert line.endswith(' claudehub.hub: project created project=shop path="/srv/my shop"')


def test_a_line_of_json_has_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json")
    get_logger("claudehub.hub").info("execution finished", cost_usd=0.25, session=None, paths=["a"])
    (line,) = parsed(capsys)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("timestamp"))
    assert line == {
        "level": "info",
        "logger": "claudehub.hub",
        "event": "execution finished",
        "cost_usd": 0.25,
        "session": None,
        "paths": ["a"],
    }


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("shop", "shop"),
        ("/srv/my shop", '"/srv/my shop"'),
        ("", '""'),
        ("a=b", '"a=b"'),
        ('say "hi"', '"say \\"hi\\""'),
        ("C:\\x", '"C:\\\\x"'),
        ("größe", '"größe"'),
        (True, "true"),
        (0, "0"),
        (1.5, "1.5"),
        (["a", 1], "a,1"),
        ("a\nb\tc\r", '"a\\nb\\tc\\r"'),
        ("\x1b[2J\x00\x7f\x9b", '"\\u001b[2J\\u0000\\u007f\\u009b"'),
        ("\u202egnp.exe\u2028\ud800\U000e0001", '"\\u202egnp.exe\\u2028\\ud800\\U000e0001"'),
    ],
)
def test_a_value_is_one_word_without_control_characters(value: object, shown: str) -> None:
    assert log_text.line("x", {"field": value}) == f"x field={shown}"


def test_a_field_without_a_value_is_left_out_of_a_text() -> None:
    assert log_text.line("x", {"user": None, "count": 0}) == "x count=0"


def test_no_text_of_others_makes_a_second_line_or_moves_the_cursor(
    capsys: pytest.CaptureFixture[str], log_format: str
) -> None:
    logs.configure("debug", log_format)
    evil = "a\r\n2026-01-01T00:00:00.000Z error claudehub.hub: forged\x1b[2J\u2028x"
    get_logger("claudehub.client").info(evil, user=evil, users=[evil])
    logging.getLogger("websockets.server").error("%s", evil)
    lines = written(capsys)
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)


def test_a_long_value_is_cut(capsys: pytest.CaptureFixture[str], log_format: str) -> None:
    logs.configure("info", log_format)
    get_logger("x").info("y", name="n" * 1_000_000, names=["n" * 1_000_000] * 1_000)
    (line,) = written(capsys)
    assert len(line) < 2 * logs.ITEMS_MAX * log_text.VALUE_CHARS_MAX
    assert "998000 characters more" in line


def test_an_exception_is_a_block_in_text(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "text")
    try:
        raise ValueError("first\nsecond\x1b[2J")
    except ValueError:
        get_logger("x").exception("it failed", project="p")
        logging.getLogger("pykka").exception("library")
    lines = written(capsys)
    begins = [n for n, line in enumerate(lines) if LINE.fullmatch(line)]
    assert [lines[n].partition(" x: ")[2] for n in begins[:1]] == ["it failed project=p"]
    assert len(begins) == 2
    blocks = [line for line in lines if not LINE.fullmatch(line)]
    assert all(line.startswith(log_text.BLOCK_MARGIN) and line.isprintable() for line in blocks)
    assert blocks.count("    | second\\u001b[2J") == 2


def test_an_exception_is_a_field_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json")
    try:
        raise ValueError("first\nsecond")
    except ValueError as error:
        get_logger("x").error("it failed", exc_info=error)
        logging.getLogger("pykka").exception("library")
    ours, theirs = parsed(capsys)
    for line in (ours, theirs):
        assert line["exception"].startswith("Traceback") and line["exception"].endswith("second")
    assert (theirs["event"], theirs["logger"]) == ("library", "pykka")


def test_what_libraries_log_takes_the_same_way(
    capsys: pytest.CaptureFixture[str], log_format: str
) -> None:
    """Also where a library has a handler of its own, or keeps its records to itself."""
    library = logging.getLogger("test_logs.library")
    library.addHandler(logging.StreamHandler(sys.stderr))
    library.propagate = False
    logs.configure("info", log_format)
    library.warning("%s and %d", "one", 2)
    later = logging.getLogger("test_logs.later")
    later.propagate = False
    later.warning("late")
    lines = written(capsys)
    assert len(lines) == 2 and "one and 2" in lines[0] and "late" in lines[1]
    assert all(LINE.fullmatch(line) or json.loads(line)["level"] == "warning" for line in lines)


@pytest.mark.filterwarnings("default")
def test_nothing_is_written_past_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    """In a program of its own: pytest has hooks for the same things."""
    code = """
import gc, sys, threading, traceback, warnings
from actors.server import logs
logs.configure("info", "json")
with logs.everything_logged():
    warnings.warn("a warning", UserWarning)
    thread = threading.Thread(target=lambda: 1 / 0, name="counting")
    thread.start()
    thread.join()
    class Bad:
        def __del__(self): raise KeyError("bad")
    bad = Bad()
    del bad
    print("printed", "by a library", file=sys.stderr)
    try:
        raise OSError("shown")
    except OSError:
        traceback.print_exc()
    sys.stderr.write("no end\\n")
    raise LookupError("of the main thread")
"""
    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("", 1)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    warning, failed, ignored, printed, *trace, last, crash = lines
    assert (warning["event"], warning["category"]) == ("a warning", "UserWarning")
    assert (failed["event"], failed["thread"]) == ("a thread has failed", "counting")
    assert "ZeroDivisionError" in failed["exception"]
    assert "ignored" in ignored["event"] and "KeyError" in ignored["exception"]
    assert (printed["event"], printed["logger"]) == ("printed by a library", "claudehub.stderr")
    assert trace[-1]["event"] == "OSError: shown"
    assert last["event"] == "no end"
    assert crash["level"] == "error" and crash["error"] == "of the main thread"
    assert "LookupError" in crash["exception"]


@pytest.mark.parametrize(
    "last", [b"claudehub: it is in use", b'"event": "not started", "reason": "it is in use"}']
)
def test_the_last_line_says_why_the_server_did_not_start(
    last: bytes, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    log_format = "json" if b"{" in last or b"}" in last else "text"
    logs.configure("info", log_format)
    logs.say_last("it is in use", log_format)
    assert capsysbinary.readouterr().err.splitlines()[-1].endswith(last)


def test_a_line_that_cannot_be_made_is_told_in_a_line(
    capsys: pytest.CaptureFixture[str], log_format: str
) -> None:
    class Unsayable:
        def __str__(self) -> str:
            raise RuntimeError("no")

    logs.configure("info", log_format)
    get_logger("x").info("y", value=Unsayable())
    logging.getLogger("library").warning("%d", "no number")
    first, second = written(capsys)
    assert "a log line cannot be made" in first and "RuntimeError" in first
    assert "a log line cannot be made" in second and "TypeError" in second


def test_secrets_are_hidden(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], log_format: str
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "of-another-shape-1234")
    logs.configure("info", log_format)
    secrets = ["of-another-shape-1234", "sk-ant-api03-abcdefghijklmnopqrst"]
    try:
        raise ValueError(f"refused: {secrets}")
    except ValueError:
        get_logger("x").exception(f"with {secrets[0]}", header=f"Bearer {secrets[1]}", all=secrets)
    logging.getLogger("urllib3").warning("https://user:hunter2@proxy.example/ %s", secrets[1])
    said = capsys.readouterr().err
    assert not [secret for secret in (*secrets, "hunter2") if secret in said]
    assert said.count("***") >= 6


def test_fields_that_a_thread_has_bound_are_in_each_of_its_lines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure("info", "json")
    with bound_contextvars(project="p"):
        get_logger("x").info("ours", execution="e")
        logging.getLogger("library").warning("theirs")
        thread = threading.Thread(target=get_logger("x").info, args=("another thread",))
        thread.start()
        thread.join()
    found = [(line["event"], line.get("project")) for line in parsed(capsys)]
    assert found == [("ours", "p"), ("theirs", "p"), ("another thread", None)]


def test_the_level_can_change(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("warning", "json")
    logger = get_logger("x").bind(project="p")
    logger.info("quiet")
    logs.set_level("debug")
    logger.debug("loud")
    logging.getLogger("websockets.server").info("an echo of what we log")
    logs.set_level("error")
    logger.warning("quiet again")
    assert [line["event"] for line in parsed(capsys)] == ["loud"]


def test_the_end_of_an_observer_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    """watchdog calls it one if an event comes at that moment; other errors of it are shown."""
    for _ in range(2):  # at a start, and at a SIGHUP
        logs.configure("debug", "text")
    watchdog_says = logging.getLogger("watchdog.observers.inotify").error
    watchdog_says("InotifyEmitter.queue_events() called when the thread is inactive")
    watchdog_says("something else")
    logs.flush(1.0)
    (line,) = capsys.readouterr().err.splitlines()
    assert "something else" in line


def test_a_test_sees_events_and_fields(caplog: pytest.LogCaptureFixture) -> None:
    """And so does any other handler, where nobody has called `configure`."""
    get_logger("x").warning("it failed", project="my shop")
    (record,) = caplog.records
    assert record.getMessage() == 'it failed project="my shop"'
    assert (record.name, record.filename) == ("x", "test_logs.py")


def calls_of_loggers() -> Iterator[tuple[str, ast.Call]]:
    levels = {"debug", "info", "warning", "error", "exception", "critical"}
    for path in sources("actors"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in levels
                and "logger" in ast.unparse(node.func.value)
            ):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def test_no_field_has_the_name_of_what_each_line_has() -> None:
    taken = {"timestamp", "level", "logger", "exception"}
    found = [(at, k.arg) for at, call in calls_of_loggers() for k in call.keywords]
    assert [(at, name) for at, name in found if name in taken] == []
