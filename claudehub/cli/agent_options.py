"""The options of one prompt."""

import functools
from collections.abc import Callable
from typing import Any

import click

from claudehub.cli.moments import SECONDS

# By their names in the protocol.
_OPTIONS: dict[str, Callable[[Callable[..., Any]], Callable[..., Any]]] = {
    "model": click.option("--model", help="The model, for this prompt only."),
    "fallback_model": click.option("--fallback-model", help="The model if that is overloaded."),
    "permission_mode": click.option(
        "--permission-mode", metavar="MODE", help="plan, acceptEdits, default, …"
    ),
    "allowed_tools": click.option(
        "--allow-tool",
        "allowed_tools",
        multiple=True,
        metavar="RULE",
        help="A tool that needs no permission, such as 'Bash(git *)'. Repeatable.",
    ),
    "disallowed_tools": click.option(
        "--deny-tool",
        "disallowed_tools",
        multiple=True,
        metavar="RULE",
        help="A tool that is refused. Repeatable.",
    ),
    "add_dirs": click.option(
        "--add-dir",
        "add_dirs",
        multiple=True,
        metavar="FOLDER",
        help="Another folder that the agent may use. Repeatable.",
    ),
    "append_system_prompt": click.option(
        "--system-prompt",
        "append_system_prompt",
        metavar="TEXT",
        help="Text to add to the system prompt.",
    ),
    "max_turns": click.option(
        "--max-turns", type=click.IntRange(min=1), help="End after so many turns."
    ),
    "timeout_seconds": click.option(
        "--timeout",
        "timeout_seconds",
        type=SECONDS,
        help="The time limit, such as 90 or 5m; at most the hub's EXEC_TIMEOUT.",
    ),
}


def agent_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options. The command gets those that were given as `options`."""

    @functools.wraps(command)
    def with_options(**given: Any) -> Any:
        values = {name: given.pop(name) for name in _OPTIONS}
        options = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
            if value is not None and value != ()
        }
        return command(options=options, **given)

    wrapped: Callable[..., Any] = with_options
    for option in reversed(_OPTIONS.values()):
        wrapped = option(wrapped)
    return wrapped
