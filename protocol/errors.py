"""What can go wrong on the wire, and the codes for it.

WireError
├── RequestRefused   the client's mistake: it can correct the request
└── HubFault         the hub's fault: the same request may work later
"""

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a client that only wants the codes need not wait for pydantic
    from protocol.error_details import ErrorDetails


class ErrorCode(StrEnum):
    """Every `code` that an `error` message may carry."""

    INVALID_JSON = "invalid_json"
    INVALID_MESSAGE = "invalid_message"
    UNKNOWN_TYPE = "unknown_type"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    PROJECT_NOT_FOUND = "project_not_found"
    RATE_LIMITED = "rate_limited"
    SHUTTING_DOWN = "shutting_down"
    STORAGE_FAILED = "storage_failed"
    INTERNAL = "internal"
    INVALID_PATH = "invalid_path"
    PATH_NOT_ALLOWED = "path_not_allowed"
    PROJECT_NESTING = "project_nesting"
    PROJECT_EXISTS = "project_exists"
    TOO_MANY_PROJECTS = "too_many_projects"
    HISTORY_GONE = "history_gone"
    QUEUE_FULL = "queue_full"
    INVALID_OPTIONS = "invalid_options"
    NOTHING_RUNNING = "nothing_running"
    PERMISSION_NOT_FOUND = "permission_not_found"
    ALREADY_ANSWERED = "already_answered"


class WireError(Exception):
    """An error that is answered with an `error` message.

    `code` is for programs, `message` for people: what was wrong and what to do. `details` names the
    field, or gives the facts that a client needs to continue.
    """

    def __init__(
        self, code: ErrorCode, message: str, details: "ErrorDetails | None" = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details: ErrorDetails = details or {}


class RequestRefused(WireError):
    """The request cannot be carried out as it is."""


class Busy(RequestRefused):
    """The request is only for a project in which nothing runs or waits (Terms.only_if_idle)."""

    def __init__(self) -> None:
        super().__init__(ErrorCode.QUEUE_FULL, "an execution runs or waits; try again after it")


class HubFault(WireError):
    """The hub failed to do what it should have done."""


def invalid_field(field: str, message: str) -> RequestRefused:
    """Return an `invalid_message` about one field, named by its path, such as
    `payload.after_seq`."""
    return RequestRefused(ErrorCode.INVALID_MESSAGE, f"{field}: {message}", {"field": field})


def not_found(project_id: str) -> RequestRefused:
    """Return the answer to a request about a project that does not exist."""
    return RequestRefused(
        ErrorCode.PROJECT_NOT_FOUND,
        "there is no such project; project_list shows those that there are",
        {"project_id": project_id},
    )


def project_failed() -> HubFault:
    """Return the answer to a request that a project has taken and will not answer."""
    return HubFault(
        ErrorCode.INTERNAL,
        "the project failed during this request; check its state, then try again",
    )
