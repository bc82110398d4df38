"""The client of a hub: run prompts, follow projects, answer questions.

    import claudehub

    with claudehub.connect() as hub:
        site = hub.project("~/src/site")
        for update in site.execute("Fix the failing test"):
            match update:
                case claudehub.ClaudeText(text=text):
                    print(text)
                case claudehub.PermissionRequest() as question:
                    site.answer(question, "allow")

docs/client.md describes it. `claudehub.aio` is the same for asyncio, and `claudehub.testing` has a
hub for tests. Names are imported when they are first used: the program `claudehub serve` lives in
this package too, and needs none of them.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from claudehub import aio, testing
    from claudehub.client.answer import Answer
    from claudehub.client.blocking import Execution, Hub, Project, connect
    from claudehub.client.errors import (
        ConnectFailed,
        ConnectionLost,
        Failure,
        HubError,
        NoReply,
        RequestRefused,
    )
    from claudehub.client.iteration import Updates
    from claudehub.client.lines import (
        ApiRetry,
        ClaudeLine,
        ClaudeText,
        RateLimit,
        Result,
        Thinking,
        ToolResult,
        ToolUse,
    )
    from claudehub.client.position import Position
    from claudehub.client.session import State
    from claudehub.client.updates import (
        ClaudeDelta,
        ExecutionFinished,
        ExecutionQueued,
        ExecutionStarted,
        FilesChanged,
        Gap,
        HistoryGone,
        OutputText,
        PermissionRequest,
        PermissionResolved,
        ProjectChanged,
        ProjectDeleted,
        ProjectInfo,
        Prompt,
        QueuedPrompt,
        SessionReset,
        Status,
        Update,
    )

_CLIENT = "claudehub.client"
# In which module each public name is; a module of its own name is imported whole.
_MODULES = {
    "aio": "claudehub.aio",
    "testing": "claudehub.testing",
    **dict.fromkeys(("Execution", "Hub", "Project", "connect"), f"{_CLIENT}.blocking"),
    **dict.fromkeys(
        ("ConnectFailed", "ConnectionLost", "Failure", "HubError", "NoReply", "RequestRefused"),
        f"{_CLIENT}.errors",
    ),
    **dict.fromkeys(
        (
            "ApiRetry",
            "ClaudeLine",
            "ClaudeText",
            "RateLimit",
            "Result",
            "Thinking",
            "ToolResult",
            "ToolUse",
        ),
        f"{_CLIENT}.lines",
    ),
    **dict.fromkeys(
        (
            "ClaudeDelta",
            "ExecutionFinished",
            "ExecutionQueued",
            "ExecutionStarted",
            "FilesChanged",
            "Gap",
            "HistoryGone",
            "OutputText",
            "PermissionRequest",
            "PermissionResolved",
            "ProjectChanged",
            "ProjectDeleted",
            "ProjectInfo",
            "Prompt",
            "QueuedPrompt",
            "SessionReset",
            "Status",
            "Update",
        ),
        f"{_CLIENT}.updates",
    ),
    "Answer": f"{_CLIENT}.answer",
    "Position": f"{_CLIENT}.position",
    "State": f"{_CLIENT}.session",
    "Updates": f"{_CLIENT}.iteration",
}

__all__ = [
    "Answer",
    "ApiRetry",
    "ClaudeDelta",
    "ClaudeLine",
    "ClaudeText",
    "ConnectFailed",
    "ConnectionLost",
    "Execution",
    "ExecutionFinished",
    "ExecutionQueued",
    "ExecutionStarted",
    "Failure",
    "FilesChanged",
    "Gap",
    "HistoryGone",
    "Hub",
    "HubError",
    "NoReply",
    "OutputText",
    "PermissionRequest",
    "PermissionResolved",
    "Position",
    "Project",
    "ProjectChanged",
    "ProjectDeleted",
    "ProjectInfo",
    "Prompt",
    "QueuedPrompt",
    "RateLimit",
    "RequestRefused",
    "Result",
    "SessionReset",
    "State",
    "Status",
    "Thinking",
    "ToolResult",
    "ToolUse",
    "Update",
    "Updates",
    "aio",
    "connect",
    "testing",
]


if not TYPE_CHECKING:  # or a type checker takes every name for a public one

    def __getattr__(name: str) -> Any:
        """Import a public name (PEP 562)."""
        module_name = _MODULES.get(name)
        if module_name is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = importlib.import_module(module_name)
        found = module if module_name == f"{__name__}.{name}" else getattr(module, name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return __all__
