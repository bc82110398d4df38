"""What a client's requests leave in the audit log: one line each, with its outcome."""

from collections.abc import Iterable
from typing import Any

from actors import messages
from actors.access.gate import Gate
from actors.audit.trail import AUTHENTICATE, AuditTrail
from actors.client.replies import Asked, OpenRequest
from protocol import codec, requests
from protocol.errors import ErrorCode
from protocol.requests import MODELS

# The action for a request of unknown type; its own words are not repeated.
UNKNOWN = "unknown"
KEY_REVOKED = "key_revoked"
# The client left before the answer; the project's log shows what became of the request.
UNANSWERED = "unanswered"
_WITH_EXECUTION = ("execute", "agent_interrupt", "agent_kill")


def kind_of(request: requests.Request | codec.Undecodable) -> str:
    """Return the type of a request; UNKNOWN for one that is not the protocol's."""
    if isinstance(request, codec.Undecodable) and request.meant is not None:
        return kind_of(request.meant)
    known = request.type in MODELS or request.type == "ping"
    return request.type if known and request.type is not None else UNKNOWN


def asked(request: requests.Request | codec.Undecodable) -> Asked:
    """Return what may be kept of a request: never a prompt's text, nor the answer to a tool."""
    if isinstance(request, codec.Undecodable) and request.meant is not None:
        return asked(request.meant)
    kind = kind_of(request)
    if isinstance(request, codec.Undecodable) or isinstance(request.body, requests.Ping):
        return Asked(kind)
    body = request.body
    details: dict[str, Any] | None = None
    if isinstance(body, requests.PermissionAnswer):
        details = {"permission_id": body.permission_id[:64], "decision": body.decision}
    elif isinstance(body, requests.ProjectCreate):
        details = {"path": body.path[:4096], "trusted": body.trusted}
    elif isinstance(body, requests.ProjectTrust):
        details = {"trusted": body.trusted}
    project_id = getattr(body, "project_id", None)
    return Asked(kind, None if project_id is None else project_id[:64], details)


def code_of(answer: messages.Answer) -> str | None:
    """Return the code of an error, None for a request that worked."""
    return answer.error.code if isinstance(answer, messages.Refused) else None


class AuditRecord:
    """For the Client's thread only."""

    def __init__(self, gate: Gate, trail: AuditTrail) -> None:
        self._gate = gate
        self._trail = trail

    def answered(self, request: OpenRequest[messages.Answer], answer: messages.Answer) -> None:
        worked = not isinstance(answer, messages.Refused)
        self._note(request.asked, ok=worked, **_facts(request.asked, answer))

    def lost(self, unanswered: Iterable[Asked]) -> None:
        """Record the requests that nobody will answer: the connection is gone."""
        for each in unanswered:
            self._note(each, ok=None, code=UNANSWERED)

    def not_authenticated(self, reason: str) -> None:
        """Record that the connection is closed because nobody authenticated."""
        code = ErrorCode.UNAUTHENTICATED
        self._note(Asked(AUTHENTICATE, details={"reason": reason}), ok=False, code=code)

    def key_revoked(self, reason: str) -> None:
        self._note(Asked(KEY_REVOKED, details={"reason": reason}))

    def _note(self, asked: Asked, **facts: Any) -> None:
        gate = self._gate
        self._trail.record(
            asked.type,
            peer=gate.peer,
            client_id=gate.caller.client_id,
            user=gate.caller.user,
            fingerprint=gate.fingerprint,
            details=asked.details,
            **{"project_id": asked.project_id, **facts},
        )


def _facts(asked: Asked, answer: messages.Answer) -> dict[str, Any]:
    """Return the code of an error, or the id of what the request has made or was about."""
    if isinstance(answer, messages.Refused):
        return {"code": answer.error.code}
    if not isinstance(answer, messages.Replied):
        return {}
    if answer.execution_id is not None:
        return {"execution_id": answer.execution_id}
    if asked.type in _WITH_EXECUTION:
        return {"execution_id": answer.payload["execution_id"]}
    if asked.type == "project_create":
        return {"project_id": answer.payload["project"]["project_id"]}
    return {}
