"""The version of the installed CLI, and what it supports: found out once, while the server
starts."""

import logging
import subprocess
import threading
from collections.abc import Mapping, Sequence

from actors.executor.walls import Walls
from actors.process_tree import children, ends, tree
from protocol.claude.command_line import FRESH_SYSTEM_PROMPT

logger = logging.getLogger("claudehub.executor")

PROBE_TIMEOUT_S = 10.0
SAID_LENGTH = 300
# A prompt in the first second of a server waits for the answer, at most this long.
KNOWN_WAIT_S = 3.0


class CliFacts:
    """`version` is None until it is known, and if the CLI does not say it."""

    def __init__(self) -> None:
        self._known = threading.Event()
        self._knows_snapshots = False
        self.version: str | None = None

    def probe(self, command: Sequence[str], environment: Mapping[str, str], walls: Walls) -> None:
        """Ask the CLI, with an agent's user and limits; wait a bounded time."""
        try:
            words = _said([*command, "--version"], environment, walls).split()
            self.version = words[0] if words else None
            described = _said([*command, "--help"], environment, walls)
            self._knows_snapshots = FRESH_SYSTEM_PROMPT in described
        finally:
            self._known.set()

    def knows_snapshots(self) -> bool:
        """Return True if it has FRESH_SYSTEM_PROMPT (2.1.331 has it, 2.1.197 does not)."""
        self._known.wait(KNOWN_WAIT_S)
        return self._knows_snapshots


def _said(argv: Sequence[str], environment: Mapping[str, str], walls: Walls) -> str:
    """Return what a command prints. It runs in a POSIX session of its own, whose every process ends
    with it; the guardian and the stop find it by its mark, too."""
    try:
        with children.start(
            walls.command(argv),
            mark=environment.get(tree.MARK, ""),
            cwd="/",  # no project's
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as process:
            try:
                said, errors = process.communicate(timeout=PROBE_TIMEOUT_S)
            finally:
                ends.kill(tree.in_session(process.pid))
    except (OSError, subprocess.SubprocessError) as error:
        logger.warning("CLAUDE_CMD does not answer %s: %s", argv[-1], error)
        return ""
    if process.returncode != 0:
        reason = errors.decode("utf-8", errors="replace").strip()[-SAID_LENGTH:]
        logger.warning("CLAUDE_CMD ends with %d at %s: %s", process.returncode, argv[-1], reason)
        return ""
    return said.decode("utf-8", errors="replace")
