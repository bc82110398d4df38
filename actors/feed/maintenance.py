"""What a project's log needs beside appending: rolls by age, retention, compression, and what is
known of damage. The Project's, in its thread."""

import logging
from collections.abc import Callable
from typing import assert_never

from actors import messages
from actors.feed.feed import Feed
from actors.feed.project_log import ProjectLog
from storage.errors import StorageError

logger = logging.getLogger("claudehub.project")


class Maintenance:
    """`open_since_seq` gives a number before the first record of the executions that are open, or
    None; `changed` is called when something more is known to be damaged."""

    def __init__(
        self,
        ledger: ProjectLog,
        feed: Feed,
        *,
        open_since_seq: Callable[[], int | None],
        changed: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self._feed = feed
        self._open_since_seq = open_since_seq
        self._changed = changed

    def receive(self, message: messages.MaintenanceMessage) -> None:
        """What fails here is tried again by the next message; it proves nothing about whether the
        log can be written."""
        try:
            match message:
                case messages.RotateLog():
                    self._feed.roll_if_older(message.created_before)
                case messages.RetainLog():
                    since = self._open_since_seq()
                    self._ledger.retain(message.rules, None if since is None else since + 1)
                case messages.SegmentCompressed():
                    self._ledger.take_compressed(message.name, message.compression)
                case messages.DamageSeen():
                    if self._ledger.note_damage(message.missing):
                        self._changed()
                case _:
                    assert_never(message)
        except StorageError as error:
            logger.error("project %s: %s", self._ledger.meta.project_id, error)
