"""What a client may say, as types. An instance is valid; codec.py makes instances from text."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import simplejson
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from protocol.content import Content, Text
from protocol.host import host_name
from protocol.nesting import DEPTH_MAX, is_too_deep

PROJECT_ID_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,63}$"  # for pydantic `$` is the very end
REQUEST_ID_MAX_LENGTH = 128
NAME_MAX_LENGTH = 1000
REQUEST_KEY_MAX_LENGTH = 128
HISTORY_LIMIT_MAX = 1000
HISTORY_LIMIT_DEFAULT = 100

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

_RFC3339 = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})\Z", re.ASCII
)


def parse_time(value: object) -> str:
    """Return an RFC 3339 time with a zone as the log writes times: UTC, microseconds, `Z`.

    Raises ValueError for anything else, also for a number.
    """
    if not isinstance(value, str) or not _RFC3339.match(value):
        raise ValueError("must be an RFC 3339 time with a zone, such as 2026-11-23T08:14:33Z")
    try:
        moment = datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"is not a time that exists: {error}") from None
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond:06d}Z"


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


ProjectId = Annotated[str, Field(pattern=PROJECT_ID_PATTERN)]
Seq = Annotated[int, Field(ge=0)]
Timestamp = Annotated[str, BeforeValidator(parse_time)]
# An option's value becomes part of a command line, which cannot hold a NUL.
OptionText = Annotated[
    str, Field(min_length=1), AfterValidator(_no_leading_dash), AfterValidator(_no_nul)
]


class Payload(BaseModel):
    """A request's payload. Unknown fields are ignored; types are not converted."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class ProjectRequest(Payload):
    """A request about one project. Any text is accepted as an id; most name no project."""

    project_id: Text


class ProjectCreate(Payload):
    path: Text
    project_id: ProjectId | None = None
    name: Annotated[Text, Field(max_length=NAME_MAX_LENGTH)] | None = None
    continue_: bool = Field(default=True, alias="continue")
    trusted: bool | None = None


class ProjectTrust(ProjectRequest):
    """`trusted`: the folder's own settings take effect."""

    trusted: bool


class ProjectDelete(ProjectRequest):
    keep_history: bool = False


class ProjectList(Payload):
    pass


class Watch(Payload):
    """From the result on, `project_changed` comes for each project that the key may see."""


class Unwatch(Payload):
    """No `project_changed` comes behind the result; asking again changes nothing."""


class ProjectJoin(ProjectRequest):
    after_seq: Seq | None = None
    since: Timestamp | None = None
    last: Seq | None = None
    log_id: Text | None = None
    ephemeral: bool = True


class ProjectLeave(ProjectRequest):
    pass


class Options(BaseModel):
    """What holds for one prompt only. Any other field is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    model: OptionText | None = None
    fallback_model: OptionText | None = None
    permission_mode: Annotated[OptionText, AfterValidator(_permission_mode)] | None = None
    allowed_tools: list[OptionText] | None = None
    disallowed_tools: list[OptionText] | None = None
    append_system_prompt: OptionText | None = None
    add_dirs: list[OptionText] | None = None
    max_turns: Annotated[int, Field(ge=1)] | None = None
    timeout_seconds: Annotated[float, Field(gt=0)] | None = None


class Execute(ProjectRequest):
    """`prompt` or `content`, never both. A prompt with a `key` runs once, however often it is
    sent."""

    prompt: Annotated[str, Field(min_length=1)] | None = None
    content: Content | None = None
    options: Options = Options()
    request_key: Annotated[Text, Field(max_length=REQUEST_KEY_MAX_LENGTH)] | None = Field(
        default=None, alias="key"
    )


class AgentInterrupt(ProjectRequest):
    execution_id: Text | None = None


class AgentKill(ProjectRequest):
    execution_id: Text | None = None


class AgentNewSession(ProjectRequest):
    pass


class PermissionAnswer(ProjectRequest):
    """`updated_input` and `remember` are for `allow`, `message` for `deny`."""

    permission_id: Text
    decision: Literal["allow", "deny"]
    message: Text | None = None
    updated_input: Annotated[dict[str, Any], AfterValidator(_sendable)] | None = None
    remember: bool = False


class GetMessages(ProjectRequest):
    after_seq: Seq | None = None
    before_seq: Seq | None = None
    since: Timestamp | None = None
    until: Timestamp | None = None
    limit: Annotated[int, Field(ge=1, le=HISTORY_LIMIT_MAX)] = HISTORY_LIMIT_DEFAULT


class HealthCheck(Payload):
    pass


class Authenticate(Payload):
    """`public_key` is in OpenSSH's one-line form; `signature` is armored, over the challenge of the
    greeting and `host`, which is what the client dialled (protocol/host.py)."""

    public_key: Text
    signature: Text
    host: Annotated[Text, AfterValidator(_host)]


@dataclass(frozen=True, slots=True)
class Ping:
    """Answered with the same payload, whatever it is."""

    payload: Any


# What goes to a project, and what goes elsewhere: the unions that actors match on.
ToAgent = Execute | AgentInterrupt | AgentKill | AgentNewSession | PermissionAnswer
ToProject = ProjectJoin | ProjectLeave | ProjectTrust | ToAgent | GetMessages
ToHub = ProjectCreate | ProjectDelete | ProjectList | Watch | Unwatch | HealthCheck
Body = ToProject | ToHub | Ping | Authenticate

MODELS: dict[str, type[Payload]] = {
    "authenticate": Authenticate,
    "project_create": ProjectCreate,
    "project_trust": ProjectTrust,
    "project_delete": ProjectDelete,
    "project_list": ProjectList,
    "watch": Watch,
    "unwatch": Unwatch,
    "project_join": ProjectJoin,
    "project_leave": ProjectLeave,
    "execute": Execute,
    "agent_interrupt": AgentInterrupt,
    "agent_kill": AgentKill,
    "agent_new_session": AgentNewSession,
    "permission_answer": PermissionAnswer,
    "get_messages": GetMessages,
    "health_check": HealthCheck,
}


@dataclass(frozen=True, slots=True)
class Request:
    """One valid request. `type` is its name on the wire; the reply repeats `id`, which may be
    None."""

    type: str
    id: str | None
    body: Body
