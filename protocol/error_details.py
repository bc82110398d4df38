"""What an error tells beside its code and its message, as a type."""

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict


class ErrorDetails(TypedDict, total=False):
    """The facts that a client needs to go on after an error; which there are depends on the
    code."""

    field: Annotated[str, Field(description="The path of the bad field: `payload.after_seq`.")]
    type: Annotated[str, Field(description="`unknown_type`: the type that is not known.")]
    project_id: Annotated[str, Field(description="The missing project, or the one in the way.")]
    roots: Annotated[list[str], Field(description="`path_not_allowed`: where projects may lie.")]
    retry_after_seconds: Annotated[float, Field(description="`rate_limited`")]
    log_id: Annotated[str, Field(description="`history_gone`: the log that there is now.")]
    first_seq: Annotated[int, Field(description="`history_gone`")]
    last_seq: Annotated[int, Field(description="`history_gone`")]
    by: Annotated[str, Field(description="`already_answered`: who has answered.")]
    decision: Annotated[Literal["allow", "deny"], Field(description="`already_answered`")]
