"""Replies in the order of the requests, in whatever order the answers come."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from protocol.codec import Undecodable
from protocol.requests import Request

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Asked:
    """What is kept of a request for the audit log; `project_id` is the project that it is about."""

    type: str
    project_id: str | None = None
    details: dict[str, Any] | None = None


@dataclass(slots=True)
class OpenRequest(Generic[Answer]):
    """A request that is not answered yet, or whose turn has not come.

    `project_id`: the project that will answer it, None if somebody else will.
    """

    number: int
    request: Request | Undecodable
    asked: Asked
    project_id: str | None
    answer: Answer | None = field(default=None)


class ReplyQueue(Generic[Answer]):
    """Requests are opened in order; `ready` returns the first one once it is answered."""

    def __init__(self) -> None:
        self._open: deque[OpenRequest[Answer]] = deque()
        self._by_number: dict[int, OpenRequest[Answer]] = {}
        self._next_number = 1

    def __len__(self) -> int:
        return len(self._open)

    def open(self, request: Request | Undecodable, asked: Asked, project_id: str | None) -> int:
        """Add a request; return the number that its answer will carry."""
        number = self._next_number
        self._next_number += 1
        opened = OpenRequest[Answer](number, request, asked, project_id)
        self._open.append(opened)
        self._by_number[number] = opened
        return number

    def settle(self, number: int, answer: Answer) -> OpenRequest[Answer] | None:
        """Note an answer. Return None if it came before, so that each request gets exactly one."""
        request = self._by_number.get(number)
        if request is None or request.answer is not None:
            return None
        request.answer = answer
        return request

    def unanswered(self, project_id: str | None = None) -> list[OpenRequest[Answer]]:
        """Return the requests that wait for that project, or for anybody."""
        waiting = [request for request in self._open if request.answer is None]
        return [r for r in waiting if project_id is None or r.project_id == project_id]

    def ready(self) -> OpenRequest[Answer] | None:
        """Return the first request, if it is answered."""
        if self._open and self._open[0].answer is not None:
            return self._open[0]
        return None

    def pop(self) -> None:
        """Take out the first request: its reply is sent."""
        request = self._open.popleft()
        del self._by_number[request.number]
