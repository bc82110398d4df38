"""Ask on a terminal if a folder that somebody else may have written is to be trusted."""

import sys
from typing import Any

import click

from claudehub.client.connection import HubClient, RequestFailed
from claudehub.show.safe_text import plain


def offer_trust(hub: HubClient, project: dict[str, Any]) -> None:
    """Name the files of a new project that have no effect, and ask if they are to have it.

    Elsewhere than on a terminal, print the command that trusts it.
    """
    files = project.get("untrusted_files") or []
    if project.get("trusted", True) or not files:
        return
    project_id = project["project_id"]
    click.echo(f"{plain(project['path'])} is not trusted; these files have no effect:", err=True)
    for name in files:
        click.echo(f"  {plain(name)}", err=True)
    if not sys.stdin.isatty():
        click.echo(f"`claudehub projects trust {project_id}` gives them effect", err=True)
        return
    click.echo("With effect they can run programs and send your API key elsewhere.", err=True)
    if click.confirm("Do you trust who wrote them?", default=False, err=True):
        try:
            hub.request("project_trust", project_id=project_id, trusted=True)
        except RequestFailed as error:
            click.echo(str(error), err=True)
