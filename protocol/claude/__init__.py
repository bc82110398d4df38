"""The Claude Code command line: its arguments, and the lines of its input and output. Pure.

`command_line.py` has the arguments and the environment, `settings.py` what a prompt's options ask
of a process, `input.py` the lines that the hub writes, `output.py` the lines that the CLI writes,
`long_line.py` the lines that are cut, and `damaged_line.py` those that something has damaged. All
of it was observed with 2.1.197 and 2.1.331 (tests/test_conversations.py).
"""

from protocol.claude.command_line import (
    BACKGROUND_TOOLS,
    FIXED_ARGUMENTS,
    NO_BACKGROUND_ENVIRONMENT,
    STATE_EVENTS,
    Distrust,
    SessionChoice,
    arguments,
    option_arguments,
)
from protocol.claude.input import (
    allow_tool_line,
    deny_tool_line,
    end_session_line,
    interrupt_line,
    permissions_line,
    refuse_control_line,
    set_mode_line,
    set_model_line,
    user_line,
)
from protocol.claude.long_line import Cut, RawLine, long_line
from protocol.claude.output import (
    STATES,
    STORED_GROWTH_MAX,
    AgentLine,
    ControlCancel,
    ControlRequest,
    ControlResponse,
    Phase,
    TaskNews,
    TurnEnd,
    is_session_id,
    parse_line,
    parse_lines,
    text_line,
)
from protocol.claude.settings import NO_RULES, LaunchSettings, Rules, TurnSettings, settings_of

__all__ = [
    "BACKGROUND_TOOLS",
    "FIXED_ARGUMENTS",
    "NO_BACKGROUND_ENVIRONMENT",
    "NO_RULES",
    "STATES",
    "STATE_EVENTS",
    "STORED_GROWTH_MAX",
    "AgentLine",
    "ControlCancel",
    "ControlRequest",
    "ControlResponse",
    "Cut",
    "Distrust",
    "LaunchSettings",
    "Phase",
    "RawLine",
    "Rules",
    "SessionChoice",
    "TaskNews",
    "TurnEnd",
    "TurnSettings",
    "allow_tool_line",
    "arguments",
    "deny_tool_line",
    "end_session_line",
    "interrupt_line",
    "is_session_id",
    "long_line",
    "option_arguments",
    "parse_line",
    "parse_lines",
    "permissions_line",
    "refuse_control_line",
    "set_mode_line",
    "set_model_line",
    "settings_of",
    "text_line",
    "user_line",
]
