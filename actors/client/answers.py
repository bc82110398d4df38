"""What a client is answered: made in the version of its connection, written to its outbox."""

from collections import deque
from collections.abc import Mapping
from typing import Any, assert_never

from actors import messages
from actors.client.history import history, one_reader
from actors.client.outbox import Outbox
from actors.client.records import RecordCount
from actors.client.replay import Replays
from actors.client.subscription import Subscription
from actors.client.watcher import ClientWatcher
from actors.directory import Directory
from actors.messages.replies import NOTHING
from actors.metrics.client_counts import ClientCounts
from actors.runtime.clock import Clock, timestamp
from actors.runtime.logger import get_logger
from actors.runtime.refs import Ref
from protocol import codec, frames, requests
from protocol.dialect import Dialect
from protocol.errors import ErrorCode, HubFault
from protocol.results import ProjectIdResult
from storage.pages import MissingRecords

logger = get_logger("claudehub.client")


class Answers:
    """For the Client's thread only. `replays` are those of the connection; `has_written`: a message
    was sent."""

    def __init__(
        self,
        *,
        client: Ref,
        dialect: Dialect,
        outbox: Outbox,
        directory: Directory,
        clock: Clock,
        counts: ClientCounts | None,
    ) -> None:
        self.has_written = False
        self._client = client
        self._dialect = dialect
        self._replier = dialect.replier()
        self._outbox = outbox
        self._directory = directory
        self._clock = clock
        self._counting: deque[RecordCount] = deque()
        self.replays = Replays(outbox, clock, self._report_damage, self._report_unreadable, counts)

    def meant(
        self, request: requests.Request | codec.Undecodable
    ) -> requests.Request | codec.Undecodable:
        """Return a request as its connection means it, or why it is none."""
        if isinstance(request, codec.Undecodable):
            return request
        try:
            return self._replier.meant(request)
        except codec.Undecodable as refusal:
            return refusal

    def must_wait(self, request: requests.Request | codec.Undecodable) -> bool:
        """Return True if a reply may not go out yet: the updates before it are still read from the
        log."""
        is_behind = isinstance(request, requests.Request) and request.terms.behind_updates
        return is_behind and not self.replays.are_done

    def send(self, request: requests.Request | codec.Undecodable, answer: messages.Answer) -> None:
        """Write the reply to a request. What a join has missed begins to be sent."""
        if isinstance(answer, messages.Refused):
            self._write(self._replier.error(request, answer.error))
            return
        assert isinstance(request, requests.Request)  # all others are refused
        match answer:
            case messages.Replied():
                self._write(self._result(request, answer.payload, answer.beside))
            case messages.Joined():
                self._write(self._result(request, answer.payload))
                assert isinstance(answer.subscriber, Subscription)
                project = codec.plain(answer.payload["project"])
                self.replays.start(answer.subscriber, answer.reader, project, answer.since)
            case messages.Left():
                self.replays.drop(answer.project_id)
                left = ProjectIdResult(project_id=answer.project_id)
                self._write(self._result(request, left))
            case messages.Watched():
                self._begin_watching(request, answer)
            case messages.HistorySnapshot():
                self._write(self._history(request, answer))
            case messages.RecordsFound():
                self._write(self._replier.history(request, answer.updates, answer.facts))
            case _:
                assert_never(answer)

    def show_liveness(self, health: Mapping[str, Any]) -> None:
        """Show that the hub is there, if nothing has done so."""
        if not self.has_written:
            self._write([self._dialect.liveness(health)])

    def let_go(self) -> None:
        """Let go of what calls back."""
        self._counting.clear()
        del self.replays

    def _begin_watching(self, request: requests.Request, answer: messages.Watched) -> None:
        def framed(payload: dict[str, Any]) -> bytes:
            return frames.text_frames(self._result(request, payload))

        assert isinstance(answer.watcher, ClientWatcher)
        self.has_written = True
        answer.watcher.go_live(framed, answer.payload)

    def _result(
        self, request: requests.Request, payload: Any, beside: Mapping[str, Any] = NOTHING
    ) -> list[bytes]:
        now = timestamp(self._clock.now())
        return self._replier.result(request, payload, now=now, beside=beside)

    def _history(
        self, request: requests.Request, snapshot: messages.HistorySnapshot
    ) -> list[bytes]:
        asked_for = snapshot.request
        assert isinstance(asked_for, requests.GetMessages)  # the others are counted
        try:
            with one_reader(self._clock):
                updates, facts, missing = history(
                    snapshot.reader, snapshot.bounds, asked_for, self._clock.now()
                )
        except OSError as error:
            after_seq, newest = asked_for.after_seq, snapshot.bounds.last_seq - 1
            position = newest if after_seq is None else after_seq
            fault = self._unreadable(asked_for.project_id, position, error)
            return self._replier.error(request, fault)
        if missing:
            self._report_damage(asked_for.project_id, missing)
        return self._replier.history(request, updates, facts)

    def _write(self, reply: list[bytes]) -> None:
        self.has_written = True
        self._outbox.write(frames.text_frames(reply), counts=True)

    # -- records, counted --------------------------------------------------------------------

    def begin_count(self, snapshot: messages.HistorySnapshot) -> bool:
        """Return True if the answer must be counted first; it is told to the Client then."""
        if not isinstance(snapshot.request, requests.GetRecords):
            return False
        self._counting.append(
            RecordCount(snapshot.number, snapshot.reader, snapshot.bounds, snapshot.request)
        )
        if len(self._counting) == 1:
            self._client.tell(messages._CountOn())
        return True

    def count_on(self) -> None:
        """Read one page for the first count, and tell the Client to go on: a log may be long."""
        if not self._counting:
            return
        count = self._counting[0]
        answer: messages.Answer | None = None
        try:
            if not count.is_done:
                with one_reader(self._clock):
                    count.read_on()
        except OSError as error:
            fault = self._unreadable(count.project_id, count.position, error)
            answer = messages.Refused(number=count.number, error=fault)
        if answer is None and count.is_done:
            updates, facts = count.found()
            answer = messages.RecordsFound(number=count.number, updates=updates, facts=facts)
        if answer is not None:
            self._counting.popleft()
            if count.missing:
                self._report_damage(count.project_id, count.missing)
            self._client.tell(answer)
        if self._counting:
            self._client.tell(messages._CountOn())

    # -- what cannot be read -----------------------------------------------------------------

    def _unreadable(self, project_id: str, position: int, error: OSError) -> HubFault:
        """Report that the log cannot be read behind a number; return the answer."""
        logger.error("history cannot be read", project=project_id, error=error)
        self._report_unreadable(project_id, position)
        return HubFault(ErrorCode.STORAGE_FAILED, "the log cannot be read")

    def _report_damage(self, project_id: str, missing: tuple[MissingRecords, ...]) -> None:
        if port := self._directory.find(project_id):
            port.tell(messages.DamageSeen(missing=missing))

    def _report_unreadable(self, project_id: str, seq: int) -> None:
        if port := self._directory.find(project_id):
            port.tell(messages.LogUnreadable(seq=seq))
