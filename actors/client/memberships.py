"""Which projects a connection has joined, as far as its own requests tell.

A project handles the requests of one connection in their order, so a leave that was sent is as good
as done. A join counts from when it is sent; one that fails counts no more.
"""

from collections.abc import Callable, Iterator

# Each may bring a replay, and a project looks at every subscriber for each batch.
SUBSCRIPTIONS_MAX = 1024


class Memberships:
    """For the Client's thread."""

    def __init__(self, limit: int = SUBSCRIPTIONS_MAX) -> None:
        self._limit = limit
        self._joins: dict[int, str] = {}  # by request: those whose answers are awaited
        self._joined: set[str] = set()

    def __iter__(self) -> Iterator[str]:
        return iter(self._joined.union(self._joins.values()))

    def has_room(self, project_id: str, exists: Callable[[str], bool]) -> bool:
        """Whether that project may be joined, again or for the first time. Projects that do not
        exist any more do not count."""
        if project_id in self or len(set(self)) < self._limit:
            return True
        self._joined = {joined for joined in self._joined if exists(joined)}
        return len(set(self)) < self._limit

    def joining(self, project_id: str, number: int) -> None:
        """The join with that request number is sent."""
        self._joins[number] = project_id

    def leaving(self, project_id: str) -> None:
        """A leave is sent: it follows all joins that were."""
        self._joins = {n: other for n, other in self._joins.items() if other != project_id}
        self._joined.discard(project_id)

    def answered(self, number: int, *, joined: bool) -> None:
        """A request is answered; if it is a join that no leave has overtaken, that counts."""
        project_id = self._joins.pop(number, None)
        if joined and project_id is not None:
            self._joined.add(project_id)
