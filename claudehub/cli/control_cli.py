"""End what runs, or begin a new conversation."""

import click

from claudehub.cli.failures import explained, told
from claudehub.cli.options import on_hub, project
from claudehub.cli.where import Where, reached

_execution = click.argument("execution", required=False)


@click.command()
@project
@_execution
@on_hub
@told
def interrupt(project: str, execution: str | None, where: Where) -> None:
    """Ask the agent of PROJECT to stop its turn. Print the execution's id.

    \b
    Example:
      claudehub interrupt site
    """
    with reached(where) as hub, explained(hub):
        click.echo(hub.project(project, create=False).interrupt(execution))


@click.command()
@project
@_execution
@on_hub
@told
def kill(project: str, execution: str | None, where: Where) -> None:
    """End the agent's processes in PROJECT, or take EXECUTION out of the queue. Print its id.

    \b
    Example:
      claudehub kill site
    """
    with reached(where) as hub, explained(hub):
        click.echo(hub.project(project, create=False).kill(execution))


@click.command("new-session")
@project
@on_hub
@told
def new_session(project: str, where: Where) -> None:
    """Let the next prompt in PROJECT begin a new conversation.

    \b
    Example:
      claudehub new-session site
    """
    with reached(where) as hub, explained(hub):
        hub.project(project, create=False).new_session()
