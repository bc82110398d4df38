"""Text to values and back, and the parts of an update that every version shares."""

import math
import re
from collections.abc import Iterable
from typing import Any, TypeVar

import simplejson
from pydantic import BaseModel, ValidationError

from protocol.content import BLOCK_TYPES
from protocol.errors import ErrorCode, RequestRefused, WireError, invalid_field
from protocol.requests import (
    JOIN_POSITIONS,
    MODELS,
    PROMPT_FORMS,
    REQUEST_ID_MAX_LENGTH,
    Execute,
    Payload,
    Ping,
    ProjectJoin,
    Request,
)

# What clients read in place of pydantic's text.
_MESSAGES = {"string_unicode": "must not hold a lone surrogate"}


def _model_as_dict(value: object) -> dict[str, Any]:
    """Return a model as plain values. Raises TypeError for anything else, as json does."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} cannot be JSON")


def plain(value: Any) -> Any:
    """Return a value with its models as dicts, wherever in dicts and lists they stand.

    pydantic needs 8 KiB of a thread's stack for this, which the thread then keeps. So the few
    threads that make replies call it, and not the thread of each connection.
    """
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [plain(part) for part in value]
    return value


# One encoder for all calls: simplejson.dumps(separators=...) builds one for each call. ASCII keeps
# U+2028 and lone surrogates out of the files.
_encoder = simplejson.JSONEncoder(
    separators=(",", ":"),
    ensure_ascii=True,
    allow_nan=False,
    default=_model_as_dict,
)

# A stored line is `{"crc":"9f3c01ab",` and then the payload of its update; this is the length of
# the first part.
RECORD_PREFIX_BYTES = 18
# The first one is the update's own: its data comes behind it.
_UPDATE_TYPE = re.compile(rb'"update_type":"(\w+)"')


class Undecodable(Exception):
    """A message that is not a valid request. `id` goes into the reply, `error` is the reply, `type`
    is the type that the message names, or None. `meant` is the request that it would have been;
    `project_id` is the project that it names, if its version of the protocol tells that."""

    def __init__(
        self,
        error: WireError,
        request_id: str | None = None,
        kind: str | None = None,
        meant: "Request | Undecodable | None" = None,
        project_id: str | None = None,
    ) -> None:
        super().__init__(error.message)
        self.error = error
        self.id = request_id
        self.type = kind
        self.meant = meant
        self.project_id = project_id


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is not a finite number")
    return value


def dumps(value: Any) -> bytes:
    """Return JSON, compact and ASCII; models may stand anywhere in the value.

    Raises ValueError for what JSON cannot hold.
    """
    try:
        return _encoder.encode(value).encode("ascii")
    except RecursionError:
        raise ValueError("nested too deeply") from None


def loads(text: str | bytes) -> Any:
    """Return strict JSON as a value. Raises ValueError, also for numbers that are not finite and
    for deep nesting."""
    try:
        return simplejson.loads(text, parse_float=_finite)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def loads_line(text: bytes) -> Any:
    """Return what the CLI has said as a value; its numbers need not be finite. Raises ValueError
    for deep nesting, which is passed on to clients all the same."""
    try:
        return simplejson.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def decode(text: str) -> Request:
    """Return the request in a client's message. Raises Undecodable with the answer to it."""
    try:
        message = loads(text)
    except ValueError as error:
        refusal = RequestRefused(ErrorCode.INVALID_JSON, f"the message is not JSON: {error}")
        raise Undecodable(refusal) from None
    if not isinstance(message, dict):
        refusal = RequestRefused(ErrorCode.INVALID_MESSAGE, "a message must be a JSON object")
        raise Undecodable(refusal)
    request_id = message.get("id")
    kind = message["type"] if isinstance(message.get("type"), str) else None
    if request_id is not None and not _is_request_id(request_id):
        problem = f"must be a string of at most {REQUEST_ID_MAX_LENGTH} characters"
        raise Undecodable(invalid_field("id", problem), kind=kind)
    try:
        return _request(message, request_id)
    except WireError as error:
        raise Undecodable(error, request_id, kind) from None


def _is_request_id(value: object) -> bool:
    return isinstance(value, str) and len(value) <= REQUEST_ID_MAX_LENGTH


def _request(message: dict[str, Any], request_id: str | None) -> Request:
    kind = message.get("type")
    if not isinstance(kind, str):
        raise invalid_field("type", "must be a string that names the request")
    payload = message.get("payload")
    if kind == "ping":
        return Request(kind, request_id, _ping({} if payload is None else payload))
    if kind not in MODELS:
        known = ", ".join(sorted([*MODELS, "ping"]))
        raise RequestRefused(
            ErrorCode.UNKNOWN_TYPE, f"unknown request type; known are {known}", {"type": kind[:128]}
        )
    if payload is None:
        payload = {}
    if not isinstance(payload, dict):
        raise invalid_field("payload", "must be an object")
    body = validated(MODELS[kind], _without_nulls(payload))
    if isinstance(body, ProjectJoin):
        _check_one_position(body)
    elif isinstance(body, Execute):
        _check_one_prompt(body)
    return Request(kind, request_id, body)  # type: ignore[arg-type]


Model = TypeVar("Model", bound=Payload)


def validated(model: type[Model], fields: dict[str, Any]) -> Model:
    """Return a request's body. Raises RequestRefused for its first fault."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise _refusal(error) from None


def _ping(payload: Any) -> Ping:
    try:
        dumps(payload)
    except ValueError as error:  # NaN, or nested too deeply: it could be read and cannot be written
        raise invalid_field("payload", str(error)) from None
    return Ping(payload)


def _without_nulls(payload: dict[str, Any]) -> dict[str, Any]:
    """Drop nulls from the payload and from `options`: `null` is the same as absent."""
    kept = {key: value for key, value in payload.items() if value is not None}
    if isinstance(options := kept.get("options"), dict):
        kept["options"] = {key: value for key, value in options.items() if value is not None}
    return kept


def _check_one_position(join: ProjectJoin) -> None:
    given = [name for name in JOIN_POSITIONS if getattr(join, name) is not None]
    if len(given) > 1:
        raise invalid_field(f"payload.{given[1]}", f"only one of {', '.join(JOIN_POSITIONS)}")


def _check_one_prompt(execute: Execute) -> None:
    if execute.prompt is None and execute.content is None:
        raise invalid_field("payload.prompt", "is missing; give a prompt, or content")
    if execute.prompt is not None and execute.content is not None:
        raise invalid_field("payload.content", f"only one of {', '.join(PROMPT_FORMS)}")


def _refusal(error: ValidationError) -> RequestRefused:
    """Return the error for the first fault of a payload, by its field."""
    fault = error.errors(include_url=False)[0]
    # pydantic lists the kind of a block as if it were a field.
    names = [p for i, p in enumerate(fault["loc"]) if not (i == 2 and p in BLOCK_TYPES)]
    field = "payload." + ".".join(str(name) for name in names)
    message = _MESSAGES.get(fault["type"], fault["msg"].removeprefix("Value error, "))
    if fault["loc"][0] == "options":
        return RequestRefused(ErrorCode.INVALID_OPTIONS, f"{field}: {message}", {"field": field})
    return invalid_field(field, message)


def update_bodies(project_id: str, updates: Iterable[tuple[str, Any, str | None]]) -> list[bytes]:
    """Return each update without its number and time, to the end of the object.

    An update is its `update_type`, its data (JSON, or a value for `dumps`) and the id of its
    execution, or None. One call encodes a whole batch, because every update ever sent passes here.
    """
    bodies = []
    project = f'"project_id":"{project_id}","update_type":"'
    for update_type, data, execution_id in updates:
        execution = "" if execution_id is None else f'"execution_id":"{execution_id}",'
        head = f'{project}{update_type}",{execution}"data":'
        text = data if isinstance(data, bytes) else dumps(data)
        bodies.append(b"".join((head.encode("ascii"), text, b"}")))  # one copy of the data, not two
    return bodies


def update_type_of(text: bytes) -> str:
    """Return the type in a stored record, or in the payload of an update; "" if it has none."""
    found = _UPDATE_TYPE.search(text)
    return "" if found is None else found[1].decode("ascii", "replace")


def update_payload(line: bytes) -> bytes:
    """Return the payload of the update that a stored record holds; `line` ends with its newline."""
    return b"{" + line[RECORD_PREFIX_BYTES:-1]


def ephemeral_payload(timestamp: str, body: bytes) -> bytes:
    """Return the payload of an update that is not stored; `body` is from update_bodies."""
    return b'{"timestamp":"%b",%b' % (timestamp.encode("ascii"), body)
