"""`claudehub run`."""

import sys
from collections.abc import Callable

import click

from claudehub.cli import commands
from claudehub.cli.options import as_json as _json
from claudehub.cli.options import on_hub
from claudehub.cli.where import Where
from claudehub.client.address import usual_url
from claudehub.client.connection import ClientError
from claudehub.client.identity import Identity
from claudehub.client.target import Target


@click.command()
@click.argument("project")
@click.argument("prompt")
@click.option("--model", help="For this prompt only.")
@click.option("--permission-mode", help="For this prompt only.")
@click.option("--timeout", "timeout_s", type=float, help="Seconds, at most the hub's EXEC_TIMEOUT.")
@_json
@on_hub
def run(
    project: str,
    prompt: str,
    model: str | None,
    permission_mode: str | None,
    timeout_s: float | None,
    as_json: bool,
    where: Where,
) -> None:
    """Run PROMPT in PROJECT and stream what the agent does. Ctrl-C ends the execution.

    PROJECT is an id, or a path with a slash in it; the command turns that folder into a project.
    The PROMPT `-` reads standard input. A prompt that begins with a dash follows `--`.

    Exit code: 0 success, 1 error, 3 timeout, 4 killed, 5 cancelled, 6 lost, 7 no connection.

    \b
    Example:
      claudehub run site "Fix the failing test"
      git diff | claudehub run ./ -
      claudehub run site -- "- a list, not an option"
    """
    if prompt == "-":
        prompt = sys.stdin.read()
    options: dict[str, object] = {
        "model": model,
        "permission_mode": permission_mode,
        "timeout_seconds": timeout_s,
    }
    _run(commands.run_prompt, where, project, prompt, options, as_json)


def _run(command: Callable[..., int], where: Where, *arguments: object) -> None:
    target = Target(where.url or usual_url(), Identity(where.key))
    try:
        sys.exit(command(target, *arguments))
    except ClientError as error:
        click.echo(f"claudehub: {error}", err=True)
        sys.exit(commands.exit_code_of(error))
