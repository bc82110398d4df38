"""What the hub answers to each request, as types.

They are typed dicts and not models: the thread of each connection makes some of them, and pydantic
would cost it stack (see `plain` in codec.py).
"""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from protocol.error_details import ErrorDetails
from protocol.errors import ErrorCode
from protocol.updates import Health, ProjectInfo

ExecutionState = Literal["started", "queued", "finished"]


class AuthenticateResult(TypedDict):
    """Who the client is from now on."""

    user: Annotated[str, Field(description="The comment in the server's file, or a fingerprint.")]


class ProjectResult(TypedDict):
    """The project as it is after the request."""

    project: ProjectInfo


class ProjectIdResult(TypedDict):
    """Which project the request was about."""

    project_id: str


class ProjectListResult(TypedDict):
    """The projects that the key may see."""

    projects: list[ProjectInfo]
    truncated: NotRequired[
        Annotated[bool, Field(description="Projects are missing: the message would be too long.")]
    ]


class LogBounds(TypedDict):
    """What a project's log holds."""

    first_seq: Annotated[int, Field(description="1 for an empty log.")]
    last_seq: Annotated[int, Field(description="0 for an empty log.")]
    log_id: Annotated[str, Field(description="Names the log: a position is (`log_id`, `seq`).")]


class ProjectJoinResult(LogBounds):
    """The project, and its log, at the moment of the join. The updates follow."""

    project: ProjectInfo


class ExecuteResult(TypedDict):
    """The prompt is durable."""

    execution_id: str
    state: ExecutionState
    position: Annotated[int, Field(description="0 for a started execution, 1 for the next.")]


class ExecutionResult(TypedDict):
    """Which execution the request was about. Its end comes as `execution_finished`."""

    execution_id: str


class PermissionAnswerResult(TypedDict):
    """The answer counts."""

    permission_id: str


class UnwatchResult(TypedDict):
    """Nothing more comes of projects that are not joined."""


class HistoryFacts(LogBounds):
    """What get_messages tells beside the updates."""

    more: Annotated[bool, Field(description="There is more in that direction.")]


class RecordsFacts(TypedDict):
    """What GetRecords tells beside the records; `total` counts all that match."""

    total: int
    offset: int
    limit: int
    more: bool


class GetMessagesResult(HistoryFacts):
    """A page of the log."""

    messages: Annotated[list[dict[str, Any]], Field(description="The oldest first.")]


class ErrorFacts(TypedDict):
    """Why a request failed."""

    code: ErrorCode
    message: Annotated[str, Field(description="For people: what was wrong and what to do.")]
    details: ErrorDetails


# By the type of the request. `ping` is not here: its result is what it has sent.
RESULTS: dict[str, type[Any]] = {
    "authenticate": AuthenticateResult,
    "project_create": ProjectResult,
    "project_trust": ProjectResult,
    "project_delete": ProjectIdResult,
    "project_list": ProjectListResult,
    "watch": ProjectListResult,
    "unwatch": UnwatchResult,
    "project_join": ProjectJoinResult,
    "project_leave": ProjectIdResult,
    "execute": ExecuteResult,
    "agent_interrupt": ExecutionResult,
    "agent_kill": ExecutionResult,
    "agent_new_session": ProjectResult,
    "permission_answer": PermissionAnswerResult,
    "get_messages": GetMessagesResult,
    "health_check": Health,
}
