"""The command line: which commands there are, and in which module each one is.

A command's module is imported when the command runs: `claudehub run` must not wait for what only
the server needs.
"""

import importlib
import sys
from collections.abc import Sequence
from typing import Any

import click

from claudehub.cli.exit_codes import INTERRUPTED, SUCCESS, USAGE
from claudehub.cli.output import say
from claudehub.cli.version import print_version

_SECTIONS = {
    "Work with an agent": {
        "run": "run_cli:run",
        "attach": "attach_cli:attach",
        "tail": "tail_cli:tail",
        "history": "tail_cli:history",
        "answer": "answer_cli:answer",
        "interrupt": "control_cli:interrupt",
        "kill": "control_cli:kill",
        "new-session": "control_cli:new_session",
    },
    "See what is going on": {
        "watch": "attach_cli:watch",
        "status": "state_cli:status",
        "pending": "state_cli:pending",
        "queue": "state_cli:queue",
        "health": "state_cli:health",
    },
    "Set up": {
        "projects": "projects_cli:projects",
        "hub": "hub_cli:hub",
        "completion": "completion_cli:completion",
    },
    "The server": {
        "serve": "serve_cli:serve",
        "doctor": "doctor_cli:doctor",
        "service": "service_cli:service",
        "config": "config_cli:config",
        "demo": "serve_cli:demo",
        "log": "log_cli:log",
        "import": "import_cli:import_data",
        "audit": "audit_cli:audit",
        "schema": "schema_cli:schema",
    },
}
_PLACES = {name: place for section in _SECTIONS.values() for name, place in section.items()}


class Commands(click.Group):
    """All commands, each imported when it is needed."""

    def sections(self) -> dict[str, list[str]]:
        """Return the commands by what they are for."""
        return {title: list(section) for title, section in _SECTIONS.items()}

    def main(  # type: ignore[override]  # click has an overload for each mode
        self, args: Sequence[str] | None = None, standalone_mode: bool = True, **extra: Any
    ) -> Any:
        """Run a command. A wrong command line gets two lines: the fault, and where help is."""
        if not standalone_mode:
            return super().main(args, standalone_mode=False, **extra)
        try:
            code = super().main(args, standalone_mode=False, **extra)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            code = USAGE
        except click.UsageError as error:
            path = error.ctx.command_path if error.ctx is not None else "claudehub"
            say(f"claudehub: {error.format_message()}", err=True)
            say(f"  `{path} --help` shows how", err=True)
            code = USAGE
        except click.ClickException as error:
            error.show()
            code = error.exit_code
        except click.Abort:
            code = INTERRUPTED
        except OSError as error:  # also of a help text, and of what prints before it does anything
            from claudehub.cli.failures import told_fault

            code = told_fault(error)
        sys.exit(code if isinstance(code, int) else SUCCESS)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_PLACES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = _PLACES.get(cmd_name)
        if place is None:
            return None
        module_name, _, name = place.partition(":")
        module = importlib.import_module(f"claudehub.cli.{module_name}")
        command = getattr(module, name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show the commands by what they are for."""
        longest = max(len(name) for name in _PLACES)
        for title, section in _SECTIONS.items():
            rows = []
            for name in section:
                command = self.get_command(ctx, name)
                assert command is not None
                room = formatter.width - 6 - longest
                rows.append((name.ljust(longest), command.get_short_help_str(room)))
            with formatter.section(title):
                formatter.write_dl(rows)


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=print_version,
    help="Show the version, the commit and the Python.",
)
def main() -> None:
    """A WebSocket hub for Claude Code: run prompts in project folders, keep every line, and send
    it live to every client.

    \b
    Example:
      claudehub demo                            # the whole job, on a stand-in agent
      claudehub serve                           # the hub, on port 8080
      claudehub run ~/src/site "Fix the tests"  # from another terminal
    """
