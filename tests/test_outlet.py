"""What is said to people on standard output and standard error: nobody who does not read it, and no
closed or full descriptor, stops or holds up what the server does."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actors.server.outlet import BYTES_MAX, LINES_MAX, Outlet, _plain_notice
from tests.harness import TIMEOUT_S, HubProcess
from tests.processes import wait_until


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for fd in (reading, writing):
        with contextlib.suppress(OSError):  # a test has closed it
            os.close(fd)


def fill(fd: int) -> None:
    """Write until the pipe takes no byte more."""
    os.set_blocking(fd, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(fd, b"." * 65536)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(fd, b".")
    os.set_blocking(fd, True)


def drain(fd: int) -> bytes:
    os.set_blocking(fd, False)
    found = b""
    with contextlib.suppress(BlockingIOError):
        while data := os.read(fd, 1 << 20):
            found += data
    os.set_blocking(fd, True)
    return found


def test_lines_come_out_in_order(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    outlet = Outlet(writing)
    for number in range(1000):
        outlet.put(f"{number}\n")
    outlet.close(TIMEOUT_S)
    assert drain(reading).split() == [str(n).encode() for n in range(1000)]


@pytest.mark.parametrize(("count", "size"), [(LINES_MAX + 500, 10), (500, BYTES_MAX // 100)])
def test_lines_that_nobody_reads_are_dropped_and_counted(
    pipe: tuple[int, int], count: int, size: int
) -> None:
    reading, writing = pipe
    fill(writing)
    outlet = Outlet(writing)
    for _ in range(count):
        outlet.put("x" * (size - 1) + "\n")  # it does not block
    assert outlet._bytes <= BYTES_MAX and len(outlet._waiting) <= LINES_MAX
    found: list[bytes] = []

    def read() -> None:
        with open(reading, "rb", closefd=False) as file:
            found.extend(file)

    reader = threading.Thread(target=read)
    reader.start()
    wait_until(lambda: not outlet._waiting)
    outlet.put("last\n")
    outlet.close(TIMEOUT_S)
    os.close(writing)
    reader.join(TIMEOUT_S)
    dropped = sum(int(line.split()[1]) for line in found if b"dropped" in line)
    assert outlet.dropped_total == dropped
    assert dropped > 0
    whole = [line for line in found if line.rstrip(b"\n").lstrip(b".") == b"x" * (size - 1)]
    assert len(whole) + dropped == count
    assert found[-1] == b"last\n"


@pytest.mark.parametrize("kind", ["broken", "closed", "full"])
def test_a_descriptor_that_takes_nothing_is_no_error(pipe: tuple[int, int], kind: str) -> None:
    reading, writing = pipe
    if kind == "full":
        os.dup2(device := os.open("/dev/full", os.O_WRONLY), writing)
        os.close(device)
    os.close(reading if kind == "broken" else os.dup(reading))
    if kind == "closed":
        os.close(writing)
    outlet = Outlet(writing)
    for _ in range(3):
        outlet.put("x\n")
    outlet.close(TIMEOUT_S)
    assert outlet._dropped == 3 and not outlet._thread.is_alive()


def test_a_pipe_that_somebody_made_non_blocking_gets_every_line(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    fill(writing)
    os.set_blocking(writing, False)
    outlet = Outlet(writing)
    outlet.put("late\n")
    seen = b""
    while not seen.endswith(b"late\n"):
        seen += os.read(reading, 1 << 20)
    outlet.close(TIMEOUT_S)


def test_the_end_does_not_wait_for_a_reader(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    fill(writing)
    outlet = Outlet(writing)
    outlet.put("x\n")
    outlet.close(0.05)
    assert outlet._thread.is_alive()  # it is left behind, blocked
    drain(reading)
    outlet._thread.join(TIMEOUT_S)
    assert not outlet._thread.is_alive()


# -- a server --------------------------------------------------------------------------------------


@contextlib.contextmanager
def started(hub: HubProcess, **streams: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a hub with these streams; it must stop cleanly."""
    environment = hub.environment(LOG_LEVEL="debug", SOCKET=str(hub.scratch / "s"), WS_PORT="off")
    process = subprocess.Popen(hub.command(), env=environment, **streams)
    try:
        use(hub)
        yield process
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT_S) == 0
    finally:
        process.kill()
        process.wait()


def accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def use(hub: HubProcess) -> None:
    """Run prompts, once it listens."""
    path = hub.scratch / "s"
    wait_until(lambda: accepts(path))
    hub.url = f"unix:{path}"
    with hub.client() as client:
        client.request("project_create", path=hub.folder("p"))
        client.request("project_join", project_id="p")
        for _ in range(3):
            assert client.run("p", "x")["outcome"] == "success"


def test_a_full_pipe_holds_up_neither_prompts_nor_the_stop(
    scratch: Path, pipe: tuple[int, int]
) -> None:
    """A supervisor that does not read: standard output and standard error are full from the
    start."""
    _, writing = pipe
    fill(writing)
    hub = HubProcess(scratch)
    with started(hub, stdout=writing, stderr=writing) as process:
        process.send_signal(signal.SIGUSR1)  # stacks as well
        with hub.client() as client:
            assert client.run_after_join("p", "again")["outcome"] == "success"


@pytest.mark.parametrize("end", [0, 1])
def test_a_reader_that_leaves_is_no_error(scratch: Path, pipe: tuple[int, int], end: int) -> None:
    reading, writing = pipe
    os.close(reading)
    hub = HubProcess(scratch)
    streams = {"stdout": writing} if end == 0 else {"stdout": writing, "stderr": writing}
    with started(hub, **{"stderr": subprocess.DEVNULL, **streams}) as process:
        assert process.poll() is None


def test_a_full_device_is_no_error(scratch: Path) -> None:
    hub = HubProcess(scratch)
    with open("/dev/full", "w") as full, started(hub, stdout=full, stderr=full) as process:
        assert process.poll() is None


@pytest.mark.parametrize("closed", ["<&- >&- 2>&-", ">&-", "2>&-", "<&-"])
def test_no_file_of_the_server_gets_a_standard_descriptor(scratch: Path, closed: str) -> None:
    hub = HubProcess(scratch)
    hub_command, python = hub.command(), sys.executable
    assert hub_command[0] == python
    script = f'exec "$@" {closed}'
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    hub.command = lambda: ["sh", "-c", script, "sh", *hub_command]  # type: ignore[method-assign]
    with started(hub, **streams) as process:
        targets = [os.readlink(f"/proc/{process.pid}/fd/{fd}") for fd in (0, 1, 2)]
    left_open = {"<": 0, ">": 1, "2": 2}
    for word in closed.split():
        assert targets[left_open[word[0]]] == "/dev/null"
    assert not [t for t in targets if t.startswith(("socket:", str(hub.data)))]


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_the_log_says_how_many_lines_are_missing(
    scratch: Path, pipe: tuple[int, int], log_format: str
) -> None:
    """In the format of the log: whoever reads JSON gets JSON."""
    reading, writing = pipe
    code = (
        "import logging, sys\n"
        "from actors.server import logs, outlet\n"
        "with outlet.spoken():\n"
        "    logs.configure('info', sys.argv[1])\n"
        "    for _ in range(outlet.LINES_MAX * 2): logging.getLogger('x').info('y')\n"
        "    sys.stdout.write('ready')\n"
        "    sys.stdin.read()\n"
        "    logging.getLogger('x').info('last')\n"
    )
    command = [sys.executable, "-c", code, log_format]
    fill(writing)
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=writing
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.read(5) == b"ready"
        os.close(writing)
        found: list[bytes] = []
        lines = 0
        with open(reading, "rb", closefd=False) as file:
            for line in file:
                found.append(line)
                lines += b": y" in line or b'"y"' in line
                if lines == LINES_MAX:  # what is left must be read within FLUSH_S
                    break
            process.stdin.close()
            found += list(file)
    (notice,) = [line for line in found if b"were dropped" in line]
    assert notice.startswith(b"{") == (log_format == "json")
    assert b"last" in found[-1]


@pytest.mark.parametrize("error", [ValueError, MemoryError, OSError])
def test_lines_go_on_behind_one_that_could_not_be_written(
    error: type[Exception], pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = pipe
    outlet = Outlet(writing)
    write = outlet._write

    def fail_once(data: bytes) -> None:
        monkeypatch.setattr(outlet, "_write", write)
        raise error

    monkeypatch.setattr(outlet, "_write", fail_once)
    outlet.put("lost\n")
    wait_until(lambda: outlet.dropped_total == 1)
    outlet.put("written\n")
    outlet.close(TIMEOUT_S)
    assert drain(reading).decode() == f"{_plain_notice(1)}written\n"


def test_lines_go_on_although_the_notice_of_dropped_ones_has_a_bug(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = pipe
    outlet = Outlet(writing)
    outlet.notice = lambda count: str(1 // 0)
    outlet._dropped = 3
    outlet.put("written\n")
    outlet.close(TIMEOUT_S)
    assert drain(reading).decode() == f"{_plain_notice(3)}written\n"
