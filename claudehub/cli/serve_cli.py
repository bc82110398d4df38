"""`claudehub serve`, the server, and `claudehub demo`."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from claudehub.cli.exit_codes import FAILED, USAGE


def _shown(default: object, description: str) -> object:
    """Return a default as it would be typed."""
    if isinstance(default, bool):
        return ("no", "yes")[default] if description.startswith("yes") else ("off", "on")[default]
    shown = " ".join(default) if isinstance(default, tuple) else default
    return "none" if shown in ("", None) else shown


def _settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add one option for each variable of the configuration."""
    from actors.config.settings import Config

    for name, field in reversed(Config.model_fields.items()):
        flag = "--" + name.replace("_", "-")
        default = field.get_default(call_default_factory=True, validated_data={})
        description = field.description or ""
        text = f"{description} (default: {_shown(default, description)})."
        command = click.option(flag, name, metavar="VALUE", help=text)(command)
    return command


@click.command()
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="TOML, its keys are the variables in lower case.",
)
@_settings
def serve(config_file: Path | None, **flags: object) -> None:
    """Run the hub, until SIGTERM or Ctrl-C.

    Every option is also an environment variable: --ws-port is WS_PORT. Prints one line once clients
    can connect.

    \b
    Example:
      claudehub serve --ws-port 0 --project-roots ~/src --exec-timeout 30m
    """
    from actors.server import outlet

    outlet.hold_descriptors()  # before anything is opened that stays open
    import actors.config.sources as config_source
    from actors.config.settings import Config
    from actors.server import main as server
    from actors.server.errors import StartFailed

    def load() -> Config:
        return config_source.load(flags, config_file or config_source.default_file())

    try:
        config = load()
        server.check(config)
    except config_source.ConfigurationError as error:
        for fault in error.faults:
            click.echo(f"claudehub: {fault}", err=True)
        sys.exit(USAGE)
    with outlet.spoken():
        try:
            code = server.serve(config, server.say, load)
        except StartFailed as error:
            sys.stderr.write(f"claudehub: {error}\n")
            code = FAILED
    sys.exit(code)


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
