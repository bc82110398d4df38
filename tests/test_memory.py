"""A server with many threads keeps few heaps, and no large block in them; its collections are
short."""

import subprocess
import sys

from actors.server.memory import ARENAS_MAX
from tests.harness import ROOT

# Forty threads allocate at once; then malloc says how many heaps it has.
HEAPS = """
import ctypes, sys, threading
from actors.server import memory
done = memory.limit_heaps() if sys.argv[1] == "limit" else False
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

# A block of 8 MiB is freed; then malloc says how much of the next ones, of 1 MiB, is in no heap.
LARGE = """
import ctypes, sys
from actors.server import memory
done = memory.limit_heaps() if sys.argv[1] == "limit" else False
FIELDS = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in FIELDS.split()]
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.mallinfo2.restype = Info
libc.free(ctypes.c_void_p(libc.malloc(ctypes.c_size_t(8 << 20))))
before = libc.mallinfo2().hblkhd
kept = [libc.malloc(ctypes.c_size_t(1 << 20)) for _ in range(4)]
print(done, libc.mallinfo2().hblkhd - before)
"""


def told(program: str, action: str, **environment: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program, action],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def heaps(action: str, **environment: str) -> tuple[str, int]:
    said = told(HEAPS, action, **environment)
    return said.split()[0], said.count("<heap nr=")


def outside(action: str, **environment: str) -> int:
    """Return how many MiB of the large blocks are in no heap."""
    return int(told(LARGE, action, **environment).split()[1]) >> 20


def test_many_threads_share_few_heaps() -> None:
    assert heaps("nothing")[1] > ARENAS_MAX
    said, count = heaps("limit")
    assert said == "True"
    assert count <= ARENAS_MAX


def test_large_blocks_stay_out_of_the_heaps() -> None:
    assert outside("nothing") == 0
    assert outside("limit") == 4


def test_each_variable_of_glibc_wins() -> None:
    said, count = heaps("limit", MALLOC_ARENA_MAX="5")
    assert said == "True" and ARENAS_MAX < count <= 5
    assert outside("limit", MALLOC_MMAP_THRESHOLD_=str(4 << 20)) == 0


def test_its_tunables_win_over_all() -> None:
    said, count = heaps("limit", GLIBC_TUNABLES="glibc.malloc.arena_max=5")
    assert said == "False" and ARENAS_MAX < count <= 5


def test_a_collection_looks_only_at_what_came_after_the_start() -> None:
    program = (
        "import gc; from actors.server import main, memory; memory.settle(); "
        "print(len(gc.get_objects()), gc.get_freeze_count())"
    )
    seen, spared = map(int, told(program, "").split())
    assert seen < 1_000
    assert spared > 10_000
