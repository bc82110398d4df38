"""`claudehub answer`."""

import sys
from collections.abc import Callable

import click

from claudehub.cli import commands
from claudehub.cli.options import on_hub
from claudehub.cli.where import Where
from claudehub.client.address import usual_url
from claudehub.client.connection import ClientError
from claudehub.client.identity import Identity
from claudehub.client.target import Target


@click.command()
@click.argument("project")
@click.argument("permission_id")
@click.argument("decision", type=click.Choice(["allow", "deny"]))
@click.option("--message", help="If you deny: tell the agent why.")
@click.option("--remember", is_flag=True, help="Do not ask again in this session.")
@on_hub
def answer(
    project: str,
    permission_id: str,
    decision: str,
    message: str | None,
    remember: bool,
    where: Where,
) -> None:
    """Answer a permission that an agent waits for.

    \b
    Example:
      claudehub answer site 205572b403ddafe4 allow --remember
    """
    _run(commands.answer, where, project, permission_id, decision, message, remember)


def _run(command: Callable[..., int], where: Where, *arguments: object) -> None:
    target = Target(where.url or usual_url(), Identity(where.key))
    try:
        sys.exit(command(target, *arguments))
    except ClientError as error:
        click.echo(f"claudehub: {error}", err=True)
        sys.exit(commands.exit_code_of(error))
