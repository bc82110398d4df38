"""What a project's log needs beside appending: rolls by age, retention, compression, damage."""

from typing import assert_never

from actors import messages
from actors.feed.feed import Feed
from actors.feed.project_log import ProjectLog
from actors.runtime.logger import get_logger
from storage.errors import StorageError

logger = get_logger("claudehub.project")


class Maintenance:
    """For the Project's thread only."""

    def __init__(self, log: ProjectLog, feed: Feed) -> None:
        self._log = log
        self._feed = feed
        self._unreadable_seq = 0

    def receive(self, message: messages.MaintenanceMessage) -> None:
        """Do what the Rotator, or a reader of the log, asks for.

        What fails is tried again by the next message. It says nothing about whether the log can be
        written, unless it has stopped the log.
        """
        try:
            match message:
                case messages.RotateLog():
                    self._feed.look()
                    self._try_reading_again()
                    self._feed.roll_if_older(message.created_before)
                case messages.RetainLog():
                    self._log.retain(message.rules)
                case messages.SegmentCompressed():
                    self._log.take_compressed(message.name, message.compression)
                case messages.LogUnreadable():
                    self._on_unreadable(message.seq)
                case messages.DamageSeen():
                    self._log.note_damage(message.missing)
                case _:
                    assert_never(message)
        except StorageError as error:
            logger.error("the log could not be looked after", error=error)
            self._feed.notice_stop()

    def _on_unreadable(self, seq: int) -> None:
        """Find out why. The files may be gone: then the log goes on in a new one, and says what is
        missing. Otherwise it is a problem until reading works again."""
        self._feed.count_failure()
        self._unreadable_seq = seq
        self._feed.look()
        self._log.try_reading(seq)

    def _try_reading_again(self) -> None:
        if self._log.read_problem is not None:
            self._log.try_reading(self._unreadable_seq)
