"""What can go wrong between a program and a hub.

HubError
├── ConnectFailed    the first connection could not be made
├── ConnectionLost   the connection is gone, and the library does not make another one
├── NoReply          the hub is there, and has not answered a request
└── RequestRefused   the hub has answered a request with an error
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class Failure(StrEnum):
    """Why a connection could not be made: each one has a remedy of its own."""

    ADDRESS = "address"
    NAME = "name"
    NOTHING_LISTENS = "nothing_listens"
    UNREACHABLE = "unreachable"
    CERTIFICATE = "certificate"
    TLS_EXPECTED = "tls_expected"
    TLS_NOT_SPOKEN = "tls_not_spoken"
    NOT_A_HUB = "not_a_hub"
    REFUSED = "refused"
    FULL = "full"
    KEY = "key"


class HubError(Exception):
    """Base class of the errors of this library."""


class ConnectFailed(HubError):
    """The hub could not be reached, or did not let this client in. `failure` says which."""

    def __init__(self, failure: Failure, message: str) -> None:
        super().__init__(message)
        self.failure = failure


class ConnectionLost(HubError):
    """The connection has ended, and no other one is made: `reconnect=False`, given up, or a key
    that was revoked. What was asked last may have happened."""


class NoReply(HubError):
    """The hub has not answered in time. What was asked may still happen."""


class RequestRefused(HubError):
    """The hub has answered with an error. `code` is for programs, `message` for people, and
    `details` names the field, or the facts that are needed to go on."""

    def __init__(self, code: str, message: str, details: Mapping[str, Any]) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message
        self.details = details
