"""What a Hub and an Execution know without asking: the same for threads and for asyncio."""

from collections.abc import Callable, Mapping
from typing import Any

from claudehub.client.progress import Begun, Progress
from claudehub.client.session import Session, State
from claudehub.client.updates import ExecutionFinished


class HubFacts:
    """The state of the connection to a hub."""

    def __init__(self, session: Session, clock: Callable[[], float]) -> None:
        """`clock` returns the seconds by which the session counts."""
        self._session = session
        self._clock = clock

    @property
    def url(self) -> str:
        return self._session.address.url

    @property
    def welcome(self) -> Mapping[str, Any]:
        """Return the hub's greeting, of the latest connection."""
        return self._session.welcome

    @property
    def state(self) -> State:
        """Return `connected`, `waiting` (the connection is lost, and made again) or `closed`."""
        return self._session.state

    @property
    def why(self) -> str:
        """Return why the state is what it is, in words."""
        return self._session.why

    @property
    def retry_in_s(self) -> float | None:
        """Return after how many seconds the next connection is tried; None if none is planned."""
        at_s = self._session.retry_at_s
        return None if at_s is None else max(0.0, at_s - self._clock())


class ExecutionFacts:
    """What has been read of an execution."""

    def __init__(self, begun: Begun) -> None:
        self._begun = begun
        self._progress = Progress(begun)
        self.id = begun.execution_id

    @property
    def state(self) -> str:
        """Return `queued`, `started` or `finished`: the newest state that was read."""
        return self._progress.state

    @property
    def queue_position(self) -> int:
        """Return the place in the queue when the prompt was accepted; 0 if it started at once."""
        return self._begun.queue_position

    @property
    def outcome(self) -> str | None:
        """Return how it ended: `success`, `error`, `timeout`, `interrupted`, `killed`, `cancelled`
        or `lost`. None until the end has been read."""
        return self._progress.outcome

    @property
    def finished(self) -> ExecutionFinished | None:
        return self._progress.finished

    @property
    def text(self) -> str | None:
        """Return the agent's answer, or what went wrong. None until the end has been read."""
        return None if self.finished is None else self.finished.result

    @property
    def cost_usd(self) -> float | None:
        return None if self.finished is None else self.finished.cost_usd
