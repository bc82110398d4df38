"""The CLI's arguments and environment, from a fixed table.

The prompt never reaches the command line: a prompt that begins with `-` would be an option, and one
above 128 KiB would not start.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from protocol.claude.settings import LaunchSettings, TurnSettings
from protocol.requests import Options

FIXED_ARGUMENTS = (
    "-p",
    "--input-format=stream-json",
    "--output-format=stream-json",
    "--verbose",
    "--include-partial-messages",
    "--permission-prompt-tool=stdio",
)
# Turns that start by themselves: no environment variable of the CLI switches these two off.
BACKGROUND_TOOLS = ("ScheduleWakeup", "Monitor")
NO_BACKGROUND_ENVIRONMENT = {
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
    "CLAUDE_CODE_DISABLE_CRON": "1",
}
# Has the CLI say when it is idle. 2.1.331 needs it not: it says when it is done with a user line.
STATE_EVENTS = {"CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS": "1"}
# 2.1.331 records the system prompt with a session and restores it on --resume. With this option the
# requested prompt holds. An older version ends with an unknown option.
FRESH_SYSTEM_PROMPT = "--system-prompt-snapshot"
# The options of a prompt that become arguments; the others are sent to the process.
_OPTION_ARGUMENTS = {
    "model": "--model",
    "fallback_model": "--fallback-model",
    "append_system_prompt": "--append-system-prompt",
    "max_turns": "--max-turns",
}


# Nothing of the folder's own settings, hooks, helpers, commands and servers.
_DISTRUST_ARGUMENTS = ("--setting-sources=user", "--strict-mcp-config")
# With both, the CLI reads the instructions of the folder all the same, which are text: CLAUDE.md,
# .claude/CLAUDE.md and .claude/rules.
_TEXT_ARGUMENT = "--add-dir"
TEXT_ENVIRONMENT = {"CLAUDE_CODE_ADDITIONAL_DIRECTORIES_CLAUDE_MD": "1"}
# The CLI lets git read without asking, and reads by itself at its start (2.1.197).
_GIT_SETTINGS = '{"permissions":{"ask":["Bash(git:*)"]},"includeGitInstructions":false}'
# Reading git starts no program of the repository for its work tree, and does not go into
# repositories inside of it, which have settings of their own. (git-config(1), GIT_CONFIG_COUNT)
GIT_ENVIRONMENT = {
    "GIT_CONFIG_COUNT": "2",
    "GIT_CONFIG_KEY_0": "core.fsmonitor",
    "GIT_CONFIG_VALUE_0": "false",
    "GIT_CONFIG_KEY_1": "diff.ignoreSubmodules",
    "GIT_CONFIG_VALUE_1": "all",
}


@dataclass(frozen=True, slots=True)
class Distrust:
    """How to start the CLI in a folder that nobody trusts. `text_of`: that folder, if its
    instructions may be read. `asks_for_git`: git would run programs of the folder."""

    text_of: str | None
    asks_for_git: bool

    def arguments(self) -> list[str]:
        text = [] if self.text_of is None else [f"{_TEXT_ARGUMENT}={self.text_of}"]
        git = [f"--settings={_GIT_SETTINGS}"] if self.asks_for_git else []
        return [*_DISTRUST_ARGUMENTS, *text, *git]

    def environment(self) -> Mapping[str, str]:
        return GIT_ENVIRONMENT if self.text_of is None else {**GIT_ENVIRONMENT, **TEXT_ENVIRONMENT}


@dataclass(frozen=True, slots=True)
class SessionChoice:
    """Which conversation a process continues: `resume` names it; else `continue_latest` takes the
    folder's latest one; else it begins a new one."""

    resume: str | None = None
    continue_latest: bool = False


def arguments(
    session: SessionChoice,
    launch: LaunchSettings,
    turn: TurnSettings,
    *,
    background: bool,
    knows_snapshots: bool,
    distrust: Distrust | None = None,
) -> list[str]:
    """Return the arguments behind the command. `background` is AGENT_BACKGROUND. `knows_snapshots`:
    the CLI has FRESH_SYSTEM_PROMPT. `distrust`: nobody trusts the folder.

    `--name=value` keeps a value from being read as an option, and a variadic option from taking the
    next argument. Rules are never arguments: nothing could take them back.
    """
    args = list(FIXED_ARGUMENTS)
    if session.resume is not None:
        args.append(f"--resume={session.resume}")
    elif session.continue_latest:
        args.append("-c")
    if knows_snapshots:
        args.append(f"{FRESH_SYSTEM_PROMPT}=off")
    if distrust is not None:
        args += distrust.arguments()
    table: tuple[tuple[str, str | int | None], ...] = (
        ("--permission-mode", turn.mode),
        (_OPTION_ARGUMENTS["model"], turn.model),
        (_OPTION_ARGUMENTS["fallback_model"], launch.fallback_model),
        ("--disallowedTools", None if background else ",".join(BACKGROUND_TOOLS)),
        (_OPTION_ARGUMENTS["append_system_prompt"], launch.append_system_prompt),
        (_OPTION_ARGUMENTS["max_turns"], launch.max_turns),
    )
    return args + [f"{name}={value}" for name, value in table if value is not None]


def option_arguments(options: Options) -> dict[str, str]:
    """Return the arguments that a prompt's options become, by the name of the option."""
    values = {field: getattr(options, field) for field in _OPTION_ARGUMENTS}
    return {f: f"{_OPTION_ARGUMENTS[f]}={v}" for f, v in values.items() if v is not None}
