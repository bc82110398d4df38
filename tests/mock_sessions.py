"""The mock's conversations, and which one a process takes up."""

import os
import sys
import uuid


class Sessions:
    """Known ids, the latest last, in $CLAUDE_MOCK_SESSIONS."""

    def __init__(self):
        self._path = os.environ.get("CLAUDE_MOCK_SESSIONS")
        self._own = []

    def known(self):
        if not self._path or not os.path.exists(self._path):
            return self._own
        with open(self._path) as file:
            return file.read().split()

    def add(self, session_id):
        if session_id not in self.known():
            self._own.append(session_id)
            if self._path:
                with open(self._path, "a") as file:
                    file.write(session_id + "\n")


def chosen_session(mock, arguments):
    """The session of --resume, -c, or a new one."""
    for argument in arguments:
        if argument.startswith("--resume="):
            session_id = argument.removeprefix("--resume=")
            if session_id not in mock.sessions.known():
                _forget(mock, session_id)
            return session_id
    if "-c" in arguments and mock.sessions.known():
        return mock.sessions.known()[-1]
    return str(uuid.uuid4())


def _forget(mock, session_id):
    """What the CLI does when it does not know the session."""
    problem = f"No conversation found with session ID: {session_id}"
    mock.output_lock = _NoLock()
    mock.emit(
        type="result",
        subtype="error_during_execution",
        is_error=True,
        num_turns=0,
        session_id=session_id,
        total_cost_usd=0,
        errors=[problem],
    )
    sys.stderr.write(problem + "\n")
    sys.exit(1)


class _NoLock:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None
