"""Which requests wait: for a connection, for their replies, or until they may be sent again."""

from collections.abc import Callable

from claudehub.client.calls import STOPPING, Call
from claudehub.client.errors import HubError, RequestRefused


class Outstanding:
    """All requests of a session that are not answered."""

    def __init__(self) -> None:
        self._ids = 0
        self._sent: dict[str, Call] = {}
        self._unsent: list[Call] = []
        self._later: list[tuple[float, Call]] = []

    def wait(self, call: Call) -> None:
        """Keep a request until there is a connection."""
        self._unsent.append(call)

    def withdraw(self, call: Call) -> None:
        """Forget a request."""
        self._sent = {number: sent for number, sent in self._sent.items() if sent is not call}
        self._unsent = [waiting for waiting in self._unsent if waiting is not call]
        self._later = [entry for entry in self._later if entry[1] is not call]

    def send(self, call: Call, now_s: float, timeout_s: float) -> str:
        """Return the message of a request, whose reply is waited for so long."""
        self._ids += 1
        number = str(self._ids)
        self._sent[number] = call
        call.sent(now_s, timeout_s)
        return call.message(number)

    def waiting(self) -> list[Call]:
        """Return what waits for a connection, and forget it."""
        waiting, self._unsent = self._unsent, []
        return waiting

    def take(self, number: object) -> Call | None:
        """Return the request to which a reply belongs; None if it was given up, or never was."""
        return self._sent.pop(number, None) if isinstance(number, str) else None

    def refused(self, call: Call, error: RequestRefused, now_s: float, reconnect: bool) -> None:
        """Take the refusal of a request: it ends here, or is sent again."""
        if error.code == STOPPING and reconnect:
            # Nothing was done. The hub is about to close the connection.
            call.is_sent = False
            self._unsent.append(call)
        elif (delay_s := call.refused(error)) is not None:
            self._later.append((now_s + delay_s, call))

    def due(self, now_s: float) -> list[Call]:
        """Return what is to be sent again now, and end what has waited too long for its reply."""
        if not self._later and not self._sent:
            return []
        again = [call for due_s, call in self._later if now_s >= due_s]
        self._later = [(due_s, call) for due_s, call in self._later if now_s < due_s]
        for number, call in tuple(self._sent.items()):
            is_overdue = call.due_s is not None and now_s >= call.due_s
            # The first that is overdue may have ended the connection, and so all others.
            if is_overdue and self._sent.pop(number, None) is call:
                call.overdue()
        return again

    @property
    def due_s(self) -> float | None:
        """Return when to call `due` next, or None."""
        times = [due_s for due_s, _ in self._later]
        times += [call.due_s for call in self._sent.values() if call.due_s is not None]
        return min(times, default=None)

    def lost(self, forgets: Callable[[Call], bool]) -> None:
        """The connection is gone: what was sent on it is sent again on the next one, in the same
        order. `forgets` returns True for what has no sense there."""
        sent, self._sent = list(self._sent.values()), {}
        for call in sent:
            call.lost()
        self._unsent = [call for call in (*sent, *self._unsent) if not forgets(call)]
        self._later = [(due_s, call) for due_s, call in self._later if not forgets(call)]

    def fail(self, error: HubError) -> None:
        """End all of them."""
        calls = [*self._sent.values(), *self._unsent, *(call for _, call in self._later)]
        self._sent, self._unsent, self._later = {}, [], []
        for call in calls:
            call.failed(error)
