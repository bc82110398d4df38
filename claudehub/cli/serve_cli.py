"""`claudehub serve`, the server, and `claudehub demo`."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from claudehub.cli.exit_codes import FAILED, USAGE

if TYPE_CHECKING:
    from actors.config.settings import Config


class EarlySignals(Protocol):
    """What __main__.py knows of the signals that came before the server took them."""

    def hand_over(self) -> bool: ...

    def ends(self, code: int) -> None: ...


def settings_options(
    *, is_hidden: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add --config, and one option for each variable of the configuration. Those that are hidden
    are not in the help."""
    from actors.config.settings import Config
    from actors.config.written import default_text

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for name, field in reversed(Config.model_fields.items()):
            flag = "--" + name.replace("_", "-")
            text = f"{field.description} (default: {default_text(name)})."
            option = click.option(flag, name, metavar="VALUE", help=text, hidden=is_hidden)
            command = option(command)
        return click.option(
            "--config",
            "config_file",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="TOML, its keys are the variables in lower case.",
        )(command)

    return add


@click.command()
@settings_options()
@click.option(
    "--check",
    "only_check",
    is_flag=True,
    help="Say what would start, and exit: 0 if it would, 1 if not, 2 for a wrong configuration.",
)
@click.pass_obj
def serve(
    early: EarlySignals | None,
    /,
    config_file: Path | None,
    only_check: bool,
    **flags: object,
) -> None:
    """Run the hub, until SIGTERM or Ctrl-C.

    Every option is also an environment variable: --ws-port is WS_PORT. Prints one line once clients
    can connect.

    \b
    Example:
      claudehub serve --ws-port 0 --project-roots ~/src --exec-timeout 30m
      claudehub serve --check
    """
    from actors.server import outlet

    outlet.hold_descriptors()  # before anything is opened that stays open
    from actors.config.faults import ConfigurationError
    from actors.server import main as server

    load = _loader(flags, config_file)
    try:
        config = load(server.faults)
    except ConfigurationError as error:
        for fault in error.faults:
            click.echo(f"claudehub: {fault}", err=True)
        sys.exit(USAGE)
    if only_check:
        lines, code = server.check(config)
        click.echo("\n".join(lines))
        sys.exit(code)
    sys.exit(_serve(config, load, early))


def _serve(config: "Config", load: Callable[[], "Config"], early: EarlySignals | None) -> int:
    """Run the server; return the exit code."""
    from actors.server import main as server
    from actors.server import outlet
    from actors.server.errors import StartFailed

    with outlet.spoken():
        try:
            hung_up = (lambda: False) if early is None else early.hand_over
            code = server.serve(config, server.say, load, hung_up)
        except StartFailed as error:
            server.say_last(config, str(error))
            code = FAILED
    if early is not None:
        early.ends(code)
    return code


def _loader(flags: Mapping[str, object], named: Path | None) -> "Callable[..., Config]":
    """Return what reads the configuration, at the start and at SIGHUP."""
    from actors.config.sources import default_file, load

    file = named

    def read(check: Callable[["Config"], list[str]] | None = None) -> "Config":
        nonlocal file
        # Once it was there, it must be there: without it, other settings would hold.
        file = file or default_file()
        return load(flags, file, check)

    return read


@click.command()
@click.option("--claude", is_flag=True, help="Use the real CLI (CLAUDE_CMD) and not the stand-in.")
def demo(claude: bool) -> None:
    """Show the whole job: a server, two clients, one prompt, a kill -9, and nothing lost.

    \b
    Example:
      claudehub demo
    """
    from claudehub.cli.demo import run_demo

    sys.exit(run_demo(use_claude=claude))
