"""What a client may say, as types. An instance is valid; codec.py makes instances from text."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from protocol.content import Content, Text
from protocol.fields import (
    DialledHost,
    Mode,
    OptionText,
    ProjectId,
    Seq,
    Timestamp,
    ToolInput,
)

REQUEST_ID_MAX_LENGTH = 128
NAME_MAX_LENGTH = 1000
REQUEST_KEY_MAX_LENGTH = 128
HISTORY_LIMIT_MAX = 1000
HISTORY_LIMIT_DEFAULT = 100
# Of the first a request has at most one, of the second exactly one (see codec.py).
JOIN_POSITIONS = ("after_seq", "since", "last")
PROMPT_FORMS = ("prompt", "content")


class Payload(BaseModel):
    """A request's payload. Unknown fields are ignored; types are not converted."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class ProjectRequest(Payload):
    """A request about one project. Any text is accepted as an id; most name no project."""

    project_id: Text


class ProjectCreate(Payload):
    """Make a project of an existing folder."""

    path: Text = Field(description="The folder: an absolute path on the hub's machine.")
    project_id: ProjectId | None = Field(
        default=None, description="By default the hub makes it from the folder's name."
    )
    name: Annotated[Text, Field(max_length=NAME_MAX_LENGTH)] | None = Field(
        default=None, description="For people. By default the folder's name."
    )
    continue_: bool = Field(
        default=True,
        alias="continue",
        description="False: the first prompt begins a new conversation.",
    )
    trusted: bool | None = Field(
        default=None, description="The folder's own settings take effect (see project_trust)."
    )


class ProjectTrust(ProjectRequest):
    """Let the settings, hooks, helpers and MCP servers of a folder take effect, or no longer."""

    trusted: bool


class ProjectDelete(ProjectRequest):
    """Delete a project; the hub does not touch its folder."""

    keep_history: bool = Field(
        default=False, description="Keep the log for a new project with the same id and path."
    )


class ProjectList(Payload):
    """List the projects that the key may see."""


class Watch(Payload):
    """From the result on, `project_changed` comes for each project that the key may see."""


class Unwatch(Payload):
    """No `project_changed` comes behind the result; asking again changes nothing."""


class ProjectJoin(ProjectRequest):
    """Get the updates of a project, from a position or from now on. At most one of `after_seq`,
    `since` and `last` may be given."""

    after_seq: Seq | None = Field(default=None, description="The last `seq` that the client has.")
    since: Timestamp | None = None
    last: Seq | None = Field(default=None, description="Begin so many updates back.")
    log_id: Text | None = Field(default=None, description="The log that `after_seq` is of.")
    ephemeral: bool = Field(
        default=True, description="False: leave out most of what is not logged."
    )


class ProjectLeave(ProjectRequest):
    """Get no more updates of a project."""


class Options(BaseModel):
    """What holds for one prompt only. Any other field is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    model: OptionText | None = None
    fallback_model: OptionText | None = None
    permission_mode: Mode | None = None
    allowed_tools: list[OptionText] | None = None
    disallowed_tools: list[OptionText] | None = None
    append_system_prompt: OptionText | None = None
    add_dirs: list[OptionText] | None = None
    max_turns: Annotated[int, Field(ge=1)] | None = None
    timeout_seconds: Annotated[float, Field(gt=0)] | None = None


class Execute(ProjectRequest):
    """Run a prompt, at once or when its turn comes. It has `prompt` or `content`, never both."""

    prompt: Annotated[str, Field(min_length=1)] | None = None
    content: Content | None = None
    options: Options = Options()
    request_key: Annotated[Text, Field(max_length=REQUEST_KEY_MAX_LENGTH)] | None = Field(
        default=None,
        alias="key",
        description="A prompt with a key runs once in a project, however often it is sent.",
    )
    traceparent: Text | None = Field(
        default=None,
        description="W3C Trace Context: the client's span. A malformed one is ignored.",
    )


class AgentInterrupt(ProjectRequest):
    """Ask the CLI to stop its turn."""

    execution_id: Text | None = Field(default=None, description="Default: the running one.")


class AgentKill(ProjectRequest):
    """End an execution, or take it out of the queue."""

    execution_id: Text | None = Field(default=None, description="Default: the running one.")


class AgentNewSession(ProjectRequest):
    """Begin a new conversation with the next prompt."""


class PermissionAnswer(ProjectRequest):
    """Answer a `permission_request`. The first answer wins."""

    permission_id: Text
    decision: Literal["allow", "deny"]
    message: Text | None = Field(default=None, description="For `deny`: tells the agent why.")
    updated_input: ToolInput | None = Field(
        default=None, description="For `allow`: replaces the tool's input."
    )
    remember: bool = Field(
        default=False, description="For `allow`: the suggestions hold for the rest of the session."
    )


class GetMessages(ProjectRequest):
    """Read a page of the log. All bounds that are given hold together."""

    after_seq: Seq | None = Field(default=None, description="Exclusive; read forwards from there.")
    before_seq: Seq | None = Field(default=None, description="Exclusive.")
    since: Timestamp | None = Field(default=None, description="Inclusive; read forwards.")
    until: Timestamp | None = Field(default=None, description="Inclusive.")
    limit: Annotated[int, Field(ge=1, le=HISTORY_LIMIT_MAX)] = HISTORY_LIMIT_DEFAULT


class GetRecords(ProjectRequest):
    """Read a page of the records of some types, and count all of them. Version 1 has no such
    request."""

    update_types: tuple[str, ...]
    after: Timestamp | None = Field(default=None, description="Exclusive.")
    offset: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=1, le=HISTORY_LIMIT_MAX)] = HISTORY_LIMIT_DEFAULT


class HealthCheck(Payload):
    """Ask how the hub is."""


class MachineCheck(HealthCheck):
    """Ask also for the hub's limits, and how its machine is. Version 1 has no such request."""


class Authenticate(Payload):
    """Say who the client is, by a signature over the challenge of the greeting and `host`."""

    public_key: Text = Field(description="In OpenSSH's one-line form; a certificate may be, too.")
    signature: Text = Field(description="Armored, as `ssh-keygen -Y sign` writes it.")
    host: DialledHost


@dataclass(frozen=True, slots=True)
class Ping:
    """Answered with the same payload, whatever it is."""

    payload: Any


# What goes to a project, and what goes elsewhere: the unions that actors match on.
ToAgent = Execute | AgentInterrupt | AgentKill | AgentNewSession | PermissionAnswer
ToProject = ProjectJoin | ProjectLeave | ProjectTrust | ToAgent | GetMessages | GetRecords
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
class Terms:
    """How a request is carried out where that depends on the version of the protocol.

    `only_if_idle`: refuse it (`Busy`) while anything runs or waits in the project.
    `behind_updates`: answer it behind the updates that it causes, also behind the end of an
    execution that it ends. `holds_updates`: send the connection no update until it is answered.
    """

    only_if_idle: bool = False
    behind_updates: bool = False
    holds_updates: bool = False


USUAL = Terms()


@dataclass(frozen=True, slots=True)
class Request:
    """One valid request. `type` is its name on the wire; the reply repeats `id`, which may be
    None."""

    type: str
    id: str | None
    body: Body
    terms: Terms = USUAL
