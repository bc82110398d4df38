"""Which conversation a project's next prompt runs in."""

from typing import Literal

from actors.project.ledger import Ledger
from actors.project.run_queue import Execution
from protocol.claude import SessionChoice
from protocol.updates import SessionReset


class Session:
    """The newest session that the CLI named; kept in the metadata."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    @property
    def choice(self) -> SessionChoice:
        """For the prompt that starts now. `-c` only where there never was a session; neither after
        a reset, since `-c` would bring the old conversation back."""
        meta = self._ledger.meta
        if meta.session_id is None:
            return SessionChoice(continue_latest=not meta.fresh)
        return SessionChoice(resume=meta.session_id)

    @property
    def model_named(self) -> bool:
        """Whether the last prompt has named a model, which --resume would bring back."""
        return self._ledger.meta.model_named

    def note_model(self, model: str | None) -> None:
        self._ledger.change(model_named=model is not None)

    def report(self, running: Execution, session_id: str) -> SessionReset | None:
        """The CLI has named a session; the record of it, where `/clear` has begun that. One of
        before a reset cannot come back."""
        before, running.session_id = running.session_id, session_id
        if running.is_voided or session_id == self._ledger.meta.session_id:
            return None
        self._ledger.change(session_id=session_id, fresh=False)
        if before is None or before == session_id:
            return None
        return SessionReset(old_session_id=before, reason="cleared")

    def reset(self, reason: Literal["requested", "forgotten"]) -> SessionReset:
        """The next prompt begins a new conversation."""
        old = self._ledger.meta.session_id
        self._ledger.change(session_id=None, fresh=True)
        return SessionReset(old_session_id=old, reason=reason)
