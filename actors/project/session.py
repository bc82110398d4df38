"""Which conversation a project's next prompt runs in, and what is logged when that changes."""

from collections.abc import Callable

from actors.feed.project_log import ProjectLog
from actors.project.run_queue import Execution, RunQueue
from protocol.claude import SessionChoice
from protocol.updates import SessionReset, UpdateType


class Session:
    """The newest session that the CLI named; kept in the metadata. `save_soon` is called when it
    has changed: a crash must not bring back the one before."""

    def __init__(self, ledger: ProjectLog, queue: RunQueue, save_soon: Callable[[], None]) -> None:
        self._ledger = ledger
        self._queue = queue
        self._save_soon = save_soon
        self._resets_pending = 0

    @property
    def is_changing(self) -> bool:
        """A reset is on its way to the disk: whoever starts now would run in the old one."""
        return self._resets_pending > 0

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
        """Whether --resume may bring back a model that an earlier prompt has named."""
        return self._ledger.meta.model_named

    def is_of_another(self, session_id: str | None) -> bool:
        """Of one that was given up."""
        return session_id != self._ledger.meta.session_id

    def began(self, run: Execution) -> None:
        """A model that is named may be taken, whatever becomes of the prompt, and come back with
        every --resume of the session: later prompts that succeed without one (`/cost`) need not
        have called the default one."""
        names_one = run.options.model is not None or run.options.fallback_model is not None
        if names_one and not self.model_named:
            self._ledger.change(model_named=True)
            self._save_soon()

    def report(self, running: Execution, session_id: str) -> None:
        """The CLI has named a session. One of before a reset cannot come back; another one in the
        same process has begun with `/clear`."""
        before, running.session_id = running.session_id, session_id
        if running.is_voided or session_id == self._ledger.meta.session_id:
            return
        self._ledger.change(session_id=session_id, fresh=False)
        if before not in (None, session_id):
            cleared = SessionReset(old_session_id=before, reason="cleared")
            self._ledger.journal.log(UpdateType.SESSION_RESET, cleared)
        self._save_soon()

    def forgotten(self, running: Execution) -> None:
        """The CLI no longer has it."""
        running.session_id = None
        if not running.is_voided:
            old = self._ledger.meta.session_id
            data = SessionReset(old_session_id=old, reason="forgotten")
            self._ledger.journal.log(UpdateType.SESSION_RESET, data)
            self._give_up()

    def reset(self, *, done: Callable[[], None], failed: Callable[[], None]) -> None:
        """As asked for, once that is durable. What has started by then keeps the old session and
        cannot bring it back."""
        self._resets_pending += 1

        def stored() -> None:
            self._resets_pending -= 1
            for execution in self._queue.at_work_now:
                execution.is_voided = True
            self._give_up()
            done()

        def refused() -> None:
            self._resets_pending -= 1
            failed()

        old = self._ledger.meta.session_id
        self._ledger.journal.log(
            UpdateType.SESSION_RESET,
            SessionReset(old_session_id=old, reason="requested"),
            on_stored=stored,
            on_refused=refused,
        )

    def _give_up(self) -> None:
        self._ledger.change(session_id=None, fresh=True, model_named=False)
