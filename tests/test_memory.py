"""A server begins again with glibc's settings for one heap, and loses nothing on the way; its
collections are short."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from actors.server.memory import ARENAS_MAX, VARIABLE
from tests.harness import ROOT, TIMEOUT_S, HubProcess
from tests.processes import wait_until

BEGIN = """
import ctypes, os, sys, threading
from claudehub import __main__ as program
if sys.argv[1] == "again": program.begin_again()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
"""

# Forty threads allocate at once; then malloc says how many heaps it has.
HEAPS = f"""{BEGIN}
libc.fdopen.restype = ctypes.c_void_p
all_there = threading.Barrier(40)
def allocate():
    libc.malloc(ctypes.c_size_t(5000))
    all_there.wait()
threads = [threading.Thread(target=allocate) for _ in range(40)]
for thread in threads: thread.start()
for thread in threads: thread.join()
file = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, file)
libc.fflush(file)
"""

SEES = f"""{BEGIN}
FIELDS = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in FIELDS.split()]
libc.mallinfo2.restype = Info
def take(size): return ctypes.c_void_p(libc.malloc(ctypes.c_size_t(size)))
"""

# A block of 8 MiB is freed; then malloc says how much of the next ones, of 1 MiB, is in no heap.
LARGE = f"""{SEES}
libc.free(take(8 << 20))
before = libc.mallinfo2().hblkhd
kept = [take(1 << 20) for _ in range(4)]
print(libc.mallinfo2().hblkhd - before >> 20)
"""

# A thread takes seven blocks and frees them; then malloc says how many of them are still in use.
FREED = f"""{SEES}
blocks = [take(1000) for _ in range(7)]
before = libc.mallinfo2().uordblks
for block in blocks: libc.free(block)
print(7 - (before - libc.mallinfo2().uordblks) // 1000)
"""

# It runs the server, and what the test has put in its way.
IN_THE_WAY = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs the tests may ignore it
from claudehub import __main__ as program
{}
program.main()
"""


def told(source: str, action: str, **environment: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", source, action],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=TIMEOUT_S,
    ).stdout


def heaps(action: str, **environment: str) -> int:
    return told(HEAPS, action, **environment).count("<heap nr=")


def test_all_threads_share_one_heap() -> None:
    assert heaps("as it is") > ARENAS_MAX
    assert heaps("again") == ARENAS_MAX


def test_large_blocks_stay_out_of_the_heap() -> None:
    assert told(LARGE, "as it is") == "0\n"
    assert told(LARGE, "again") == "4\n"


def test_no_thread_keeps_what_was_freed() -> None:
    assert told(FREED, "as it is") == "7\n"
    assert told(FREED, "again") == "0\n"


def test_each_variable_of_glibc_wins() -> None:
    assert ARENAS_MAX < heaps("again", MALLOC_ARENA_MAX="5") <= 5
    assert told(LARGE, "again", MALLOC_MMAP_THRESHOLD_=str(4 << 20)) == "0\n"
    assert told(FREED, "again", MALLOC_ARENA_MAX="5") == "0\n"


def test_whoever_sets_its_tunables_is_left_alone() -> None:
    theirs = {VARIABLE: "glibc.malloc.arena_max=5"}
    assert ARENAS_MAX < heaps("again", **theirs) <= 5
    assert told(FREED, "again", **theirs) == "7\n"
    assert told(f"{BEGIN}print(os.environ['{VARIABLE}'])", "again", **theirs).startswith("glibc")


def test_no_other_program_gets_our_settings() -> None:
    assert told(f"{BEGIN}print(os.environ.get('{VARIABLE}'))", "again") == "None\n"


class InTheWay(HubProcess):
    """A server, and statements that run before it."""

    statements = ""

    def command(self) -> list[str]:
        return [sys.executable, "-c", IN_THE_WAY.format(self.statements), "serve"]


@pytest.fixture
def server(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InTheWay]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    hub = InTheWay(scratch)
    yield hub
    if hub.is_running():
        hub.stop()


def begin(server: InTheWay, statements: str) -> Any:
    server.statements = statements
    return server.start()


def test_the_second_start_has_the_pid_and_the_arguments_of_the_first(server: InTheWay) -> None:
    begin(server, f"print(os.getpid(), '{VARIABLE}' in os.environ, file=sys.stderr, flush=True)")
    first, second = server.errors.read_text().splitlines()[:2]
    assert (first, second) == (f"{server.pid} False", f"{server.pid} True")
    assert psutil.Process(server.pid).cmdline()[1:] == server.command()[1:]


# Between the two starts, Python has no handler for a signal.
SIGNAL_BETWEEN = """
real = os.execve
def execve(*arguments):
    os.kill(os.getpid(), signal.{})
    real(*arguments)
os.execve = execve
"""


def test_a_sighup_between_the_two_starts_is_a_reread(server: InTheWay) -> None:
    begin(server, SIGNAL_BETWEEN.format("SIGHUP"))
    wait_until(lambda: "configuration read again" in server.errors.read_text())


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_stop_between_the_two_starts_begins_nothing(server: InTheWay, name: str) -> None:
    server.statements = SIGNAL_BETWEEN.format(name)
    ended = subprocess.run(
        server.command(),
        env=server.environment(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert not server.data.exists()


@pytest.mark.parametrize(
    "statements",
    [
        f"os.environ.pop('{VARIABLE}', None)",  # as a `python` that clears the environment
        "def refuse(*_): raise FileNotFoundError(sys.executable)\nos.execve = refuse",
        "sys.argv[0] = '-'",  # the program came through standard input, which has been read
    ],
    ids=["cleared", "gone", "read"],
)
def test_a_server_that_cannot_begin_again_goes_on(server: InTheWay, statements: str) -> None:
    begin(server, statements)
    os.kill(server.pid, signal.SIGHUP)
    wait_until(lambda: "configuration read again" in server.errors.read_text())
    assert server.stop() == 0


def test_a_collection_looks_only_at_what_came_after_the_start() -> None:
    program = (
        "import gc; from actors.server import main, memory; memory.settle(); "
        "print(len(gc.get_objects()), gc.get_freeze_count())"
    )
    seen, spared = map(int, told(program, "").split())
    assert seen < 1_000
    assert spared > 10_000
