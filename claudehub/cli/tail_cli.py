"""`claudehub tail` and `history`."""

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
@click.option("--last", type=int, default=None, help="Begin that many updates back (default 20).")
@click.option("--after-seq", type=int, help="Begin behind that number.")
@click.option("--since", help="Begin at a time, such as 2026-11-23T08:00:00Z.")
@_json
@on_hub
def tail(
    project: str,
    last: int | None,
    after_seq: int | None,
    since: str | None,
    as_json: bool,
    where: Where,
) -> None:
    """Show the latest updates of PROJECT, and then what comes, until Ctrl-C.

    \b
    Example:
      claudehub tail site --last 100
    """
    _run(commands.tail_project, where, project, last, after_seq, since, as_json)


def _run(command: Callable[..., int], where: Where, *arguments: object) -> None:
    target = Target(where.url or usual_url(), Identity(where.key))
    try:
        sys.exit(command(target, *arguments))
    except ClientError as error:
        click.echo(f"claudehub: {error}", err=True)
        sys.exit(commands.exit_code_of(error))
