"""Compress closed segments, with one child process at a time."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from actors import messages
from actors.directory import LocalDirectory
from actors.process_tree import children
from actors.runtime.clock import Clock
from actors.runtime.helper_environment import helper_environment
from actors.runtime.logger import get_logger
from actors.runtime.problems import Problems
from storage.layout import DataLayout
from storage.segments import Compression, Segment, list_segments

logger = get_logger("claudehub.rotator")

POLL_S = 0.5
CANCEL_WAIT_S = 2.0
# A segment that could not be compressed is tried again after this time, which doubles each time.
RETRY_S = 600.0
RETRY_MAX_S = 24 * 3600.0
PART = "compression"
# The folder that holds `storage`: the checkout, or where the program is installed.
_ROOT = Path(__file__).resolve().parents[2]


_Key = tuple[str, str]  # a project's id and the name of a segment


@dataclass(frozen=True, slots=True)
class _Failure:
    """`again_s` is a monotonic time; without a `problem` the work was done, and is handed over."""

    delay_s: float
    again_s: float
    problem: str | None


class Compressing:
    """For the Rotator's thread. A segment that could not be compressed stays as it is, and is tried
    again later."""

    def __init__(
        self,
        layout: DataLayout,
        compression: Compression,
        directory: LocalDirectory,
        clock: Clock,
        problems: Problems,
    ) -> None:
        self._layout = layout
        self._compression = compression
        self._directory = directory
        self._child: subprocess.Popen[bytes] | None = None
        self._under_way: tuple[str, Segment] | None = None
        self._clock = clock
        self._problems = problems
        self._failures: dict[_Key, _Failure] = {}

    def go_on(self) -> float | None:
        """Start or look after the child; return in how many seconds to look again, None if there is
        no work."""
        if self._compression is Compression.OFF:
            return None
        if self._child is not None and self._child.poll() is None:
            return POLL_S
        if self._child is not None:
            self._finish(self._child)
        if (found := self._next()) is None:
            return None
        self._start(*found)
        return POLL_S

    def cancel(self) -> None:
        """End the child, which ends when its standard input does; kill it if it does not."""
        child, self._child = self._child, None
        if child is None:
            return
        assert child.stdin is not None and self._under_way is not None
        child.stdin.close()
        try:
            child.wait(CANCEL_WAIT_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            self._target(self._under_way[1]).unlink(missing_ok=True)
        self._close(child)

    def _next(self) -> tuple[str, Segment] | None:
        plain = {
            (project_id, segment.name): segment
            for project_id, _ in self._directory.projects()
            for segment in self._closed(project_id)
            if segment.compression is Compression.OFF
        }
        for key in self._failures.keys() - plain.keys():  # compressed or deleted by now
            self._forget(key)
        now_s = self._clock.monotonic()
        for key, segment in plain.items():
            failure = self._failures.get(key)
            if failure is None or now_s >= failure.again_s:
                return key[0], segment
        return None

    def _closed(self, project_id: str) -> list[Segment]:
        try:
            return list_segments(self._layout.log(project_id))[:-1]
        except OSError:  # deleted, or unreadable: its owner reports it
            return []

    def _put_off(self, key: _Key, problem: str | None) -> None:
        """Leave a segment alone for a while: it has failed, or the project is about to exchange
        it."""
        before = self._failures.get(key)
        delay_s = RETRY_S if before is None else min(2 * before.delay_s, RETRY_MAX_S)
        self._failures[key] = _Failure(delay_s, self._clock.monotonic() + delay_s, problem)
        self._tell()

    def _forget(self, key: _Key) -> None:
        if self._failures.pop(key, None) is not None:
            self._tell()

    def _tell(self) -> None:
        failed = [(key, f.problem) for key, f in self._failures.items() if f.problem is not None]
        if not failed:
            self._problems.note(PART, None)
            return
        (project_id, name), problem = failed[-1]
        text = f"{len(failed)} files wait; the last was {name} of project {project_id}: {problem}"
        self._problems.note(PART, text)

    def _start(self, project_id: str, segment: Segment) -> None:
        target = str(self._target(segment))
        # -P, and the folder `/`: an agent may write a storage/ of its own where the server was
        # started.
        module = ("-P", "-m", "storage.compressor")
        command = [sys.executable, *module, str(segment.path), target]
        try:
            self._child = children.start(
                [*command, self._compression],
                cwd="/",
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=helper_environment(str(_ROOT)),
                start_new_session=True,  # Ctrl-C in the terminal is for the server
            )
        except OSError as error:  # no descriptor or no process is left
            self._put_off((project_id, segment.name), error.strerror or str(error))
            return
        self._under_way = project_id, segment

    def _target(self, segment: Segment) -> Path:
        return segment.path.with_name(segment.name + self._compression.suffix + ".new")

    def _finish(self, child: subprocess.Popen[bytes]) -> None:
        assert self._under_way is not None
        assert child.stderr is not None
        project_id, segment = self._under_way
        said = child.stderr.read().decode(errors="replace").strip()
        self._close(child)
        self._child = self._under_way = None
        key = project_id, segment.name
        if child.returncode and not segment.path.exists():
            self._forget(key)  # deleted meanwhile
        elif child.returncode:
            logger.error(
                "a segment was not compressed",
                project=project_id,
                segment=segment.name,
                error=said,
            )
            self._put_off(key, said)
        else:
            self._put_off(key, None)
            self._hand_over(project_id, segment)

    def _hand_over(self, project_id: str, segment: Segment) -> None:
        if (port := self._directory.find(project_id)) is not None:
            port.tell(messages.SegmentCompressed(name=segment.name, compression=self._compression))

    @staticmethod
    def _close(child: subprocess.Popen[bytes]) -> None:
        for pipe in (child.stdin, child.stderr):
            if pipe is not None:
                pipe.close()
