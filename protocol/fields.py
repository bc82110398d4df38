"""The kinds of values that fields of requests hold, with what each must be."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any

import simplejson
from pydantic import AfterValidator, BeforeValidator, Field

from protocol.content import Text
from protocol.host import HOST_CHARACTERS_MAX, host_name
from protocol.nesting import DEPTH_MAX, is_too_deep

PROJECT_ID_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,63}$"  # for pydantic `$` is the very end
# The modes of the CLI's --permission-mode, of 2.1.197 and 2.1.331 together.
PERMISSION_MODES = (
    "acceptEdits",
    "auto",
    "bypassPermissions",
    "default",
    "dontAsk",
    "manual",
    "plan",
)

_RFC3339 = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_TIME = re.compile(_RFC3339)


def parse_time(value: object) -> str:
    """Return an RFC 3339 time with a zone as the log writes times: UTC, microseconds, `Z`.

    Raises ValueError for anything else, also for a number.
    """
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise ValueError("must be an RFC 3339 time with a zone, such as 2026-11-23T08:14:33Z")
    try:
        moment = datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"is not a time that exists: {error}") from None
    return moment.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def _no_leading_dash(value: str) -> str:
    if value.startswith("-"):
        raise ValueError("must not begin with '-'")
    return value


def _permission_mode(value: str) -> str:
    if value not in PERMISSION_MODES:
        raise ValueError(f"must be one of {', '.join(PERMISSION_MODES)}")
    return value


def _no_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("must not hold a NUL character")
    return value


def _host(value: str) -> str:
    host_name(value)
    return value


def _sendable(value: dict[str, Any]) -> dict[str, Any]:
    if is_too_deep(value):
        raise ValueError(f"must not be nested more than {DEPTH_MAX} times")
    try:
        simplejson.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("must not hold a lone surrogate") from None
    return value


# What a validator function checks, the JSON Schema says in its own words as far as it can.
ProjectId = Annotated[str, Field(pattern=PROJECT_ID_PATTERN)]
Seq = Annotated[int, Field(ge=0)]
Timestamp = Annotated[
    str,
    BeforeValidator(parse_time),
    Field(
        description="An RFC 3339 time with a zone.", json_schema_extra={"pattern": f"^{_RFC3339}$"}
    ),
]
# An option's value becomes part of a command line, which cannot hold a NUL.
OptionText = Annotated[
    str,
    Field(min_length=1, json_schema_extra={"pattern": r"^[^\u0000-][^\u0000]*$"}),
    AfterValidator(_no_leading_dash),
    AfterValidator(_no_nul),
]
Mode = Annotated[
    OptionText,
    AfterValidator(_permission_mode),
    Field(json_schema_extra={"enum": list(PERMISSION_MODES)}),
]
ToolInput = Annotated[dict[str, Any], AfterValidator(_sendable)]
DialledHost = Annotated[
    Text,
    AfterValidator(_host),
    Field(
        description="What the client dialled: name:port or [v6]:port, in lower case.",
        json_schema_extra={"maxLength": HOST_CHARACTERS_MAX},
    ),
]
