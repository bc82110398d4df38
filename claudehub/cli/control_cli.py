"""End what runs, or begin a new conversation."""

import contextlib
from collections.abc import Iterator

import click

import claudehub
from claudehub.cli.failures import Failed, explained, told
from claudehub.cli.options import as_json, on_hub, project
from claudehub.cli.output import say
from claudehub.cli.tables import print_json
from claudehub.cli.where import Where, reached

_execution = click.argument("execution", required=False)


@click.command()
@project
@_execution
@as_json
@on_hub
@told
def interrupt(project: str, execution: str | None, as_json: bool, where: Where) -> None:
    """Ask the agent of PROJECT to stop its turn. Print the execution's id.

    \b
    Example:
      claudehub interrupt site
    """
    with reached(where) as hub, explained(hub):
        found = hub.project(project, create=False)
        with _known(execution):
            _print_execution(found.interrupt(execution), as_json)


@click.command()
@project
@_execution
@as_json
@on_hub
@told
def kill(project: str, execution: str | None, as_json: bool, where: Where) -> None:
    """End the agent's processes in PROJECT, or take EXECUTION out of the queue. Print its id.

    \b
    Example:
      claudehub kill site
    """
    with reached(where) as hub, explained(hub):
        found = hub.project(project, create=False)
        with _known(execution):
            _print_execution(found.kill(execution), as_json)


@click.command("new-session")
@project
@as_json
@on_hub
@told
def new_session(project: str, as_json: bool, where: Where) -> None:
    """Let the next prompt in PROJECT begin a new conversation.

    \b
    Example:
      claudehub new-session site
    """
    with reached(where) as hub, explained(hub):
        found = hub.project(project, create=False)
        found.new_session()
        if as_json:
            print_json(found.info().raw)


@contextlib.contextmanager
def _known(execution: str | None) -> Iterator[None]:
    """Name the execution if it neither runs nor waits."""
    try:
        yield
    except claudehub.RequestRefused as error:
        if execution is None or error.code != "nothing_running":
            raise
        raise Failed(f"no execution `{execution}` runs or waits there") from None


def _print_execution(execution_id: str, as_json: bool) -> None:
    print_json({"execution_id": execution_id}) if as_json else say(execution_id)
