"""Answers in the order of the requests, in whatever order they come."""

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from protocol.errors import ErrorCode, HubFault

Answer = TypeVar("Answer")


@dataclass(slots=True)
class OpenRequest(Generic[Answer]):
    """A request that is not answered yet, or whose turn has not come.

    `project_id`: whose answer is waited for, where it is a project's.
    """

    number: int
    id: str | None
    project_id: str | None
    answer: Answer | None = field(default=None)


class ReplyQueue(Generic[Answer]):
    """Requests are opened in order; `ready` gives those at the head that are answered."""

    def __init__(self) -> None:
        self._open: deque[OpenRequest[Answer]] = deque()
        self._by_number: dict[int, OpenRequest[Answer]] = {}
        self._next_number = 1

    def __len__(self) -> int:
        return len(self._open)

    def open(self, request_id: str | None, project_id: str | None) -> int:
        """Returns the number that the answer will carry."""
        number = self._next_number
        self._next_number += 1
        request = OpenRequest[Answer](number, request_id, project_id)
        self._open.append(request)
        self._by_number[number] = request
        return number

    def settle(self, number: int, answer: Answer) -> bool:
        """Notes an answer; False where it came before, so that each has exactly one."""
        request = self._by_number.get(number)
        if request is None or request.answer is not None:
            return False
        request.answer = answer
        return True

    def unanswered(self, project_id: str) -> list[int]:
        """Numbers that wait for a project."""
        return [r.number for r in self._open if r.answer is None and r.project_id == project_id]

    def ready(self) -> OpenRequest[Answer] | None:
        """The request at the head, once it is answered."""
        if self._open and self._open[0].answer is not None:
            return self._open[0]
        return None

    def pop(self) -> None:
        """The head is sent."""
        request = self._open.popleft()
        del self._by_number[request.number]


def project_failed() -> HubFault:
    """For requests that a project has taken and will not answer."""
    return HubFault(
        ErrorCode.INTERNAL, "the project failed while it worked on this; look, then try again"
    )
