"""A server with many threads keeps few heaps."""

import subprocess
import sys
from collections.abc import Mapping

from actors.server.malloc_arenas import ARENAS_MAX
from tests.harness import ROOT

# Forty threads allocate at once; then malloc says how many heaps it has.
PROGRAM = """
import ctypes, sys, threading
from actors.server import malloc_arenas
done = malloc_arenas.limit() if sys.argv[1] == "limit" else False
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.fdopen.restype = ctypes.c_void_p
all_there = threading.Barrier(40)
def allocate():
    libc.malloc(ctypes.c_size_t(5000))
    all_there.wait()
threads = [threading.Thread(target=allocate) for _ in range(40)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(done, flush=True)
file = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, file)
libc.fflush(file)
"""


def heaps(action: str, **environment: str) -> tuple[str, int]:
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM, action],
        cwd=ROOT,
        env=clean(environment),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return told.split()[0], told.count("<heap nr=")


def clean(environment: Mapping[str, str]) -> dict[str, str]:
    return {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", **environment}


def test_many_threads_share_few_heaps() -> None:
    assert heaps("nothing")[1] > ARENAS_MAX
    said, count = heaps("limit")
    assert said == "True"
    assert count <= ARENAS_MAX


def test_the_variables_of_glibc_win() -> None:
    said, count = heaps("limit", MALLOC_ARENA_MAX="5")
    assert said == "False"
    assert ARENAS_MAX < count <= 5
