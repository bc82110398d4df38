"""One CLI process in a POSIX session of its own, with its threads, in a folder that is checked.

Each thread owns one blocking call and only tells: the reader of standard output (output.py), the
reader of standard error (which keeps its tail), the writer of standard input, and the waiter.
"""

import errno
import os
import queue
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial

import psutil

from actors import messages
from actors.executor.output import OutputReader
from actors.executor.streams import Streams, made_for_a_process
from actors.executor.walls import NO_WALLS, Walls
from actors.process_tree import children, ends, tree
from actors.process_tree.census import Census
from actors.process_tree.tree import Look
from actors.runtime.base import reason_of, tell_if_alive
from actors.runtime.living import LIVING
from actors.runtime.logger import get_logger
from actors.runtime.refs import Ref
from protocol.claude import RawLine

logger = get_logger("claudehub.executor")

# Lines for standard input that the process has not read; a process that asks and does not read gets
# no more answers.
INPUT_LINES_MAX = 256
STDERR_TAIL_BYTES = 4 * 1024
# Standard error ends with the process; its reader may be a moment behind.
STDERR_WAIT_S = 0.5
# A new process may be hidden for a moment.
SHOWN_LOOKS_MAX = 100
SHOWN_PAUSE_S = 0.01
# SIGKILL needs no help of the process; one that waits for a dead disk may take longer.
KILL_WAIT_S = 2.0
_OWN_DESCRIPTORS = "/proc/self/fd"


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """What is started. Every message about the process names `process_name`."""

    process_name: str
    argv: Sequence[str]
    folder: str
    environment: Mapping[str, str]
    mark: str
    max_line_bytes: int
    walls: Walls = NO_WALLS


def _shown(pid: int) -> psutil.Process:
    """Return a child that has just been started. Raises psutil.Error and FileNotFoundError.

    With ProtectProc=invisible a child of this server, which nobody may read (server/unreadable.py),
    is hidden until the kernel has made the child readable again. It does so after it has closed the
    pipe that tells Popen of the new program: on a busy machine one look in ten came too early, by
    at most 20 ms.
    """
    for _ in range(SHOWN_LOOKS_MAX):
        try:
            return psutil.Process(pid)
        except (psutil.NoSuchProcess, FileNotFoundError):
            time.sleep(SHOWN_PAUSE_S)
    return psutil.Process(pid)


class AgentProcess:
    """The constructor starts the process, and raises OSError; the process's threads tell
    `owner`."""

    def __init__(self, spec: ProcessSpec, owner: Ref) -> None:
        self.process_name = spec.process_name
        self._output = OutputReader(
            spec.max_line_bytes, read=self._on_lines, ended=self._on_output_ended
        )
        self.credit = self._output.credit
        self._spec = spec
        self._owner = owner
        self._noted: dict[int, psutil.Process] = {}
        self._own: list[int] | None = None
        self._stderr_tail = b""
        self._input: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        try:
            self._census = Census()  # before the process exists
            self._popen, self._folder, self._streams = _started(spec)
        except BaseException:
            self._output.close()
            raise
        self._threads: dict[str, threading.Thread] = {}
        try:
            # psutil compares the start time too, so a pid that is used again is not taken for this
            # one.
            self._leader = _shown(self._popen.pid)
            self._start_threads()
        except (RuntimeError, psutil.Error, FileNotFoundError) as error:
            self._abandon()
            raise OSError(errno.EAGAIN, f"the process cannot be looked after: {error}") from None
        except BaseException:
            self._abandon()
            raise

    def _abandon(self) -> None:
        """End a process that nobody can look after. A thread that runs closes what it has."""
        self._popen.kill()
        self._popen.wait()
        if "out" not in self._threads:
            self._output.close()
            self._streams.output.close()
        if "err" not in self._threads and self._popen.stderr is not None:
            self._popen.stderr.close()
        if "in" not in self._threads:
            self._streams.input.close()
        self.close_input()

    def _start_threads(self) -> None:
        targets = (
            ("out", self._read_output),
            ("err", self._read_errors),
            ("in", self._write_input),
            ("wait", self._wait),
        )
        for name, target in targets:
            life = partial(self._live, f"agent-{name}", target)
            thread = threading.Thread(target=life, name=f"agent-{name}", daemon=True)
            thread.start()  # RuntimeError if the system has no more
            self._threads[name] = thread

    @property
    def pid(self) -> int:
        return self._popen.pid

    def begin_errors(self) -> None:
        """Begin a turn: earlier words on standard error do not belong to it."""
        self._stderr_tail = b""

    def stderr_tail(self, *, has_ended: bool) -> str:
        """Return the last STDERR_TAIL_BYTES of standard error."""
        if has_ended:
            self._threads["err"].join(STDERR_WAIT_S)
        return self._stderr_tail.decode("utf-8", errors="replace")

    def write(self, line: bytes) -> None:
        """Write to standard input, in order; a thread of its own does it."""
        if self._input.qsize() < INPUT_LINES_MAX:
            self._input.put(line)
        else:
            logger.error("a process of an agent reads nothing: a line is dropped", pid=self.pid)

    def close_input(self) -> None:
        """End standard input behind what was written."""
        self._input.put(None)

    def signal(self, number: int) -> None:
        """Note the descendants, then send the signal; a process that is gone is no error, and
        neither is a list that fails."""
        self.note_descendants()
        self._popen.send_signal(number)

    def note_descendants(self) -> None:
        for process in tree.descendants(self._leader):
            self._noted[process.pid] = process

    def left_by_turn(self) -> Look:
        """Look for what the turn has left behind, without the CLI and its helpers."""
        if self._own is None:  # a turn has run, so a sandbox is complete
            self._own = tree.own_of(self._popen.pid)
        return tree.left_by_turn(self._census.newcomers, self._own, self._spec.mark)

    def settle_turn(self) -> None:
        """Count what runs now to the process, not to a turn."""
        self._census.settle()

    def is_in_place(self) -> bool:
        """Return True if the project's folder is still the one that the process was started in."""
        return is_in_place(self._spec.folder, self._folder)

    def memory_bytes(self) -> int:
        """Return the resident memory of the CLI itself; 0 once it is gone."""
        try:
            return int(self._leader.memory_info().rss)
        except (psutil.Error, OSError):
            return 0

    def leftovers(self) -> Look:
        """Look for what the process has left behind."""
        noted, pid = self._noted.values(), self._popen.pid
        return tree.left_by_process(self._census.newcomers, noted, pid, self._spec.mark)

    def stop_output(self) -> None:
        """End the reader although somebody may hold the pipe open."""
        self._output.stop()

    def kill_now(self) -> None:
        """End everything: the owner has failed. The kill comes first, since a look may fail. When
        this returns, the process is gone, so another one may start."""
        if self._popen.returncode is None:  # nobody else has its pid
            with suppress(OSError):
                os.killpg(self._popen.pid, signal.SIGKILL)
            self._popen.kill()
        self.close_input()
        self.stop_output()
        self._threads["wait"].join(KILL_WAIT_S)
        if not self._threads["wait"].is_alive():  # it may have failed before the end
            with suppress(subprocess.TimeoutExpired):
                self._popen.wait(KILL_WAIT_S)
        if self._popen.returncode is None:
            logger.error("a process of an agent does not end", pid=self.pid)
        ends.end_strays(self._spec.mark)

    # -- threads -----------------------------------------------------------------------------

    def _live(self, thread: str, work: Callable[[], None]) -> None:
        """Be a thread of the process. A failure ends the execution at once: without this thread it
        would run until its time limit."""
        try:
            work()
        except BaseException as error:
            LIVING.died(f"thread {thread}")
            failed = messages._AgentThreadFailed(
                process_name=self.process_name, thread=thread, reason=reason_of(error)
            )
            self._tell(failed)
            logger.error(
                "a thread of an agent's process has failed",
                thread=thread,
                pid=self.pid,
                error=reason_of(error),
                exc_info=error,
            )

    def _tell(self, message: object) -> None:
        tell_if_alive(self._owner, message)

    def _read_output(self) -> None:
        self._output.run(self._streams.output)

    def _on_lines(self, lines: tuple[RawLine, ...], cost_bytes: int) -> None:
        read = messages._OutputRead(
            process_name=self.process_name, lines=lines, size_bytes=cost_bytes
        )
        self._tell(read)

    def _on_output_ended(self, rest: RawLine | None) -> None:
        self._tell(messages._OutputEnded(process_name=self.process_name, rest=rest))

    def _read_errors(self) -> None:
        assert self._popen.stderr is not None
        with self._popen.stderr as errors:
            while data := os.read(errors.fileno(), STDERR_TAIL_BYTES):
                self._stderr_tail = (self._stderr_tail + data)[-STDERR_TAIL_BYTES:]

    def _write_input(self) -> None:
        stdin = self._streams.input
        try:
            while (line := self._input.get()) is not None:
                view = memoryview(line)
                while view:
                    view = view[os.write(stdin.fileno(), view) :]
        except OSError as error:
            del error  # the process has ended; its exit code says more
        finally:
            stdin.close()

    def _wait(self) -> None:
        return_code = self._popen.wait()
        self.close_input()
        self._tell(messages._ProcessExited(process_name=self.process_name, return_code=return_code))


def _started(spec: ProcessSpec) -> "tuple[subprocess.Popen[bytes], tuple[int, int], Streams]":
    """Start the process; return it, the identity of its folder, and its standard streams."""
    with held(spec.folder) as folder, made_for_a_process() as streams:
        identity = identity_of(os.stat(folder))
        popen = children.start(
            spec.walls.command(spec.argv),
            mark=spec.mark,
            cwd=folder,
            env={**spec.environment, tree.MARK: spec.mark},
            stdin=streams.inner_input,
            stdout=streams.inner_output,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
            close_fds=True,
        )
    return popen, identity, streams


@contextmanager
def held(folder: str) -> Iterator[str]:
    """Yield a path to start a process in, which leads to that folder whatever happens to its name.

    Raises OSError, also if a link has come into the way since the project was made: it would lead
    out of PROJECT_ROOTS, or into another project.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
    fd = os.open(folder, flags)
    try:
        by_descriptor = f"{_OWN_DESCRIPTORS}/{fd}"
        has_proc = os.path.isdir(_OWN_DESCRIPTORS)
        found = os.readlink(by_descriptor) if has_proc else os.path.realpath(folder)
        if found != folder:
            raise OSError(errno.ELOOP, f"the project's folder now leads to {found}", folder)
        yield by_descriptor if has_proc else folder
    finally:
        os.close(fd)


def identity(folder: str) -> tuple[int, int]:
    """Return the device and inode of a folder. Raises OSError if a link has come into the way."""
    found = os.lstat(folder)
    if os.path.realpath(folder) != folder or not stat.S_ISDIR(found.st_mode):
        raise OSError(errno.ELOOP, "the folder has been replaced since it was allowed", folder)
    return identity_of(found)


def identity_of(status: os.stat_result) -> tuple[int, int]:
    """Return the device and inode in a status."""
    return status.st_dev, status.st_ino


def is_in_place(folder: str, known: tuple[int, int]) -> bool:
    """Return True if the name still leads to that folder."""
    try:
        return identity(folder) == known
    except OSError:
        return False
