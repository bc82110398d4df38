"""What can go wrong on the wire, and the codes that say so.

WireError
├── RequestRefused   the client's mistake: it can mend the request
└── HubFault         ours: the same request may work later
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


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
    """Something that is answered with an `error` message.

    `code` is for programs, `message` for people (what was wrong and what to do), `details` names
    the field or gives the facts that a client needs to go on.
    """

    def __init__(
        self, code: ErrorCode, message: str, details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details: Mapping[str, Any] = details or {}


class RequestRefused(WireError):
    """The request cannot be carried out as it is."""


class HubFault(WireError):
    """The hub could not do what it should have done."""


def invalid_field(field: str, message: str) -> RequestRefused:
    """An `invalid_message` about one field, named as a path such as `payload.after_seq`."""
    return RequestRefused(ErrorCode.INVALID_MESSAGE, f"{field}: {message}", {"field": field})


def not_found(project_id: str) -> RequestRefused:
    """The answer to any request about a project that is not there."""
    return RequestRefused(
        ErrorCode.PROJECT_NOT_FOUND,
        "there is no such project; project_list shows those that there are",
        {"project_id": project_id},
    )
