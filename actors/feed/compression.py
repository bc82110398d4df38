"""Compress closed segments, with one child process at a time."""

import logging
import os
import subprocess
import sys
from pathlib import Path

from actors import messages
from actors.directory import LocalDirectory
from actors.process_tree import children
from storage.layout import DataLayout
from storage.segments import Compression, Segment, list_segments

logger = logging.getLogger("claudehub.rotator")

POLL_S = 0.5
CANCEL_WAIT_S = 2.0
# The folder that holds `storage`: the checkout, or where the program is installed.
_ROOT = Path(__file__).resolve().parents[2]


class Compressing:
    """For the Rotator's thread. A segment that could not be compressed stays as it is, and is not
    tried again before the next start."""

    def __init__(
        self, layout: DataLayout, compression: Compression, directory: LocalDirectory
    ) -> None:
        self._layout = layout
        self._compression = compression
        self._directory = directory
        self._child: subprocess.Popen[bytes] | None = None
        self._under_way: tuple[str, Segment] | None = None
        self._done: set[tuple[str, str]] = set()

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
        for project_id, _ in self._directory.projects():
            try:
                closed = list_segments(self._layout.log(project_id))[:-1]
            except OSError:  # deleted, or unreadable: its owner reports it
                continue
            for segment in closed:
                is_plain = segment.compression is Compression.OFF
                if is_plain and (project_id, segment.name) not in self._done:
                    return project_id, segment
        return None

    def _start(self, project_id: str, segment: Segment) -> None:
        target = str(self._target(segment))
        # -P, and the folder `/`: an agent may write a storage/ of its own where the server was
        # started.
        module = ("-P", "-m", "storage.compressor")
        command = [sys.executable, *module, str(segment.path), target]
        self._under_way = project_id, segment
        self._done.add((project_id, segment.name))
        self._child = children.start(
            [*command, self._compression],
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(_ROOT)},
            start_new_session=True,  # Ctrl-C in the terminal is for the server
        )

    def _target(self, segment: Segment) -> Path:
        return segment.path.with_name(segment.name + self._compression.suffix + ".new")

    def _finish(self, child: subprocess.Popen[bytes]) -> None:
        assert self._under_way is not None
        assert child.stderr is not None
        project_id, segment = self._under_way
        said = child.stderr.read().decode(errors="replace").strip()
        self._close(child)
        self._child = self._under_way = None
        if child.returncode and not segment.path.exists():
            return  # deleted meanwhile
        if child.returncode:
            logger.error("%s: %s was not compressed: %s", project_id, segment.name, said)
        elif (port := self._directory.find(project_id)) is not None:
            port.tell(messages.SegmentCompressed(name=segment.name, compression=self._compression))

    @staticmethod
    def _close(child: subprocess.Popen[bytes]) -> None:
        for pipe in (child.stdin, child.stderr):
            if pipe is not None:
                pipe.close()
