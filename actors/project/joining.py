"""Where a subscription begins, and what the joiner is told."""

from actors import messages
from protocol import codec, requests
from protocol.errors import ErrorCode, RequestRefused
from protocol.updates import FilesChanged, ProjectInfo
from storage.message_log import Bounds


def start_position(request: requests.ProjectJoin, bounds: Bounds) -> int:
    """The number behind which the joiner's updates begin; with `since`, the lowest that it can be:
    whoever serves the client looks the time up in the log.

    Raises RequestRefused (`history_gone`) where the log cannot go on from the client's position:
    never silence, never other messages under those numbers.
    """
    if request.log_id is not None and request.log_id != bounds.log_id:
        raise _history_gone(bounds, "the log is another one than that position is from")
    if request.after_seq is not None:
        if request.after_seq > bounds.last_seq:
            raise _history_gone(bounds, "the log ends before that position")
        if request.after_seq + 1 < bounds.first_seq:
            raise _history_gone(bounds, "the log no longer reaches back to that position")
        return request.after_seq
    if request.since is not None:
        return bounds.first_seq - 1
    if request.last is not None:
        return max(bounds.last_seq - request.last, bounds.first_seq - 1)
    return bounds.last_seq


def _history_gone(bounds: Bounds, why: str) -> RequestRefused:
    details = {
        "log_id": bounds.log_id,
        "first_seq": bounds.first_seq,
        "last_seq": bounds.last_seq,
    }
    return RequestRefused(
        ErrorCode.HISTORY_GONE, f"{why}; join without a position, or with `last`", details
    )


def joined_payload(info: ProjectInfo, bounds: Bounds) -> bytes:
    return codec.dumps(
        {
            "project": info.model_dump(mode="json"),
            "first_seq": bounds.first_seq,
            "last_seq": bounds.last_seq,
            "log_id": bounds.log_id,
        }
    )


def left(number: int, project_id: str) -> messages.Left:
    payload = codec.dumps({"project_id": project_id})
    return messages.Left(number=number, payload=payload, project_id=project_id)


def files_changed(message: messages.FilesChanged) -> FilesChanged:
    return FilesChanged(paths=list(message.paths), truncated=message.truncated)
