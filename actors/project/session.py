"""Which conversation a project's next prompt runs in."""

from typing import Literal

from actors.project.ledger import Ledger
from actors.project.run_queue import Execution
from protocol.claude import SessionChoice
from protocol.requests import Options
from protocol.updates import SessionReset


class Session:
    """The newest session that the CLI named; kept in the metadata."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def choose(self, options: Options) -> SessionChoice:
        """For the prompt that starts now. `-c` only where there never was a session; neither after
        a reset, since `-c` would bring the old conversation back."""
        meta = self._ledger.meta
        self._ledger.change(model_named=options.model is not None)
        if meta.session_id is None:
            return SessionChoice(continue_latest=not meta.fresh)
        reset_model = meta.model_named and options.model is None
        return SessionChoice(resume=meta.session_id, reset_model=reset_model)

    def report(self, running: Execution, session_id: str) -> None:
        """The CLI has named a session. One of before a reset cannot come back."""
        running.session_id = session_id
        if not running.is_voided and session_id != self._ledger.meta.session_id:
            self._ledger.change(session_id=session_id, fresh=False)

    def reset(self, reason: Literal["requested", "forgotten"]) -> SessionReset:
        """The next prompt begins a new conversation."""
        old = self._ledger.meta.session_id
        self._ledger.change(session_id=None, fresh=True)
        return SessionReset(old_session_id=old, reason=reason)
