"""Which of Claude's sessions the next prompt runs in, and what is logged when that changes."""

from collections.abc import Callable

from actors.feed.feed import Feed
from actors.feed.project_log import ProjectLog
from actors.project.run_queue import Execution, RunQueue
from protocol.claude import SessionChoice
from protocol.updates import SessionReset, UpdateType


class Session:
    """The newest session that the CLI named, kept in the metadata.

    Each change is saved soon: a crash must not bring back the session before.
    """

    def __init__(self, log: ProjectLog, feed: Feed, queue: RunQueue) -> None:
        self._log = log
        self._feed = feed
        self._queue = queue
        self._resets_pending = 0

    @property
    def is_changing(self) -> bool:
        """Return True while a reset is on its way to the disk: a prompt that starts now would run
        in the old session."""
        return self._resets_pending > 0

    @property
    def choice(self) -> SessionChoice:
        """Return the session for the prompt that starts now.

        `-c` is used only where there never was a session, and not after a reset: it would bring the
        old conversation back.
        """
        meta = self._log.meta
        if meta.session_id is None:
            return SessionChoice(continue_latest=not meta.fresh)
        return SessionChoice(resume=meta.session_id)

    @property
    def model_named(self) -> bool:
        """Return True if --resume may bring back a model that an earlier prompt has named."""
        return self._log.meta.model_named

    def is_of_another(self, session_id: str | None) -> bool:
        """Return True for a session that was given up."""
        return session_id != self._log.meta.session_id

    def began(self, run: Execution) -> None:
        """Note that a prompt names a model, or none.

        The CLI may take it up, whatever becomes of the prompt, and bring it back with every
        --resume of the session. That a later prompt succeeds without a model proves nothing: one
        such as `/cost` calls none.
        """
        names_one = run.options.model is not None or run.options.fallback_model is not None
        if names_one and not self.model_named:
            self._log.change(model_named=True)
            self._feed.save_soon()

    def is_news(self, running: Execution, session_id: str | None) -> bool:
        """Return True if a line names another session than is known for its execution."""
        if session_id is None:
            return False
        return not session_id == running.session_id == self._log.meta.session_id

    def report(self, running: Execution, session_id: str) -> None:
        """Note the session that the CLI has named. One from before a reset cannot come back."""
        running.session_id = session_id
        if running.is_voided or session_id == self._log.meta.session_id:
            return
        self._log.change(session_id=session_id, fresh=False)
        self._feed.save_soon()

    def cleared(self, running: Execution, old_session_id: str) -> None:
        """Log that `/clear` has begun the present session."""
        if not running.is_voided:
            reset = SessionReset(old_session_id=old_session_id, reason="cleared")
            self._feed.log(UpdateType.SESSION_RESET, reset)

    def forgotten(self, running: Execution) -> None:
        """Note that the CLI no longer has the session."""
        running.session_id = None
        if not running.is_voided:
            old = self._log.meta.session_id
            self._feed.log(
                UpdateType.SESSION_RESET, SessionReset(old_session_id=old, reason="forgotten")
            )
            self._give_up()

    def reset(self, *, done: Callable[[], None], failed: Callable[[], None]) -> None:
        """Give the session up, as a client asked; one of the callbacks comes when that is durable,
        or failed. What has started by then keeps the old session and cannot bring it back."""
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

        old = self._log.meta.session_id
        self._feed.log(
            UpdateType.SESSION_RESET,
            SessionReset(old_session_id=old, reason="requested"),
            on_stored=stored,
            on_refused=refused,
        )

    def _give_up(self) -> None:
        self._log.change(session_id=None, fresh=True, model_named=False)
