"""`claudehub projects`: list, create, trust and delete."""

import sys
from pathlib import Path

import click

from claudehub.cli.failures import explained, told
from claudehub.cli.options import as_json, on_hub, project
from claudehub.cli.output import say
from claudehub.cli.tables import print_json, print_table
from claudehub.cli.trusting import offer_trust
from claudehub.cli.where import Where, reached
from claudehub.show.safe_text import local_time, one_line


@click.group()
def projects() -> None:
    """List, create, trust and delete projects.

    \b
    Example:
      claudehub projects create ~/src/site
      claudehub projects list
    """


@projects.command("list")
@as_json
@on_hub
@told
def list_projects(as_json: bool, where: Where) -> None:
    """Show the projects of the hub.

    \b
    Example:
      claudehub projects list
    """
    with reached(where) as hub:
        found = hub.projects()
    if as_json:
        for info in found:
            print_json(info.raw)
        return
    if not found:
        say("no projects; `claudehub projects create FOLDER` makes one", err=True)
        return
    print_table(
        ("PROJECT", "STATUS", "ASKS", "QUEUE", "UPDATES", "LAST ACTIVE", "FOLDER"),
        [
            (
                info.id,
                info.status,
                str(len(info.pending_permissions)),
                str(len(info.queue)),
                str(info.last_seq),
                local_time(info.last_active),
                info.path
                if info.trusted or not info.untrusted_files
                else f"{info.path} (not trusted)",
            )
            for info in found
        ],
    )


@projects.command("create")
@click.argument("path", type=click.Path(path_type=Path), metavar="FOLDER")
@click.option("--id", "project_id", help="Default: made from the folder's name.")
@click.option("--name", help="For people. Default: the folder's name.")
@click.option("--new-conversation", is_flag=True, help="Do not continue the folder's latest one.")
@click.option(
    "--trust/--no-trust",
    "trusted",
    default=None,
    help="Let the folder's own settings, hooks and servers take effect. Default: the hub's "
    "TRUST_PROJECTS; on a terminal the command asks.",
)
@as_json
@on_hub
@told
def create_project(
    path: Path,
    project_id: str | None,
    name: str | None,
    new_conversation: bool,
    trusted: bool | None,
    as_json: bool,
    where: Where,
) -> None:
    """Make a project of an existing folder.

    \b
    Example:
      claudehub projects create ~/src/site --id site
    """
    with reached(where) as hub, explained(hub):
        made = hub.create(
            path, project_id, name, trusted, continue_conversation=not new_conversation
        )
        info = made.info()
        if as_json:
            print_json(info.raw)
        else:
            say(made.id)
        offer_trust(made, info)


@projects.command("trust")
@project
@click.option("--revoke", is_flag=True, help="Trust it no longer.")
@as_json
@on_hub
@told
def trust_project(project: str, revoke: bool, as_json: bool, where: Where) -> None:
    """Let a folder's own settings, hooks, helpers and MCP servers take effect.

    They can run programs as soon as a prompt starts. It holds from the next prompt on.

    \b
    Example:
      claudehub projects trust site
      claudehub projects trust site --revoke
    """
    with reached(where) as hub, explained(hub):
        info = hub.project(project, create=False).trust(not revoke)
    if as_json:
        print_json(info.raw)
    for name in info.untrusted_files:
        say(f"without effect: {one_line(name)}", err=True)


@projects.command("delete")
@project
@click.option("--keep-history", is_flag=True, help="Keep its log for a later project there.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@as_json
@on_hub
@told
def delete_project(
    project: str, keep_history: bool, yes: bool, as_json: bool, where: Where
) -> None:
    """Delete a project and its history. The folder itself is not touched.

    \b
    Example:
      claudehub projects delete site
    """
    with reached(where) as hub, explained(hub):
        found = hub.project(project, create=False)
        if not yes and not keep_history and sys.stdin.isatty():
            count = found.info().last_seq
            if not click.confirm(f"Delete {found.id} and its {count:,} updates?", err=True):
                return
        found.delete(keep_history)
        if as_json:
            print_json({"project_id": found.id})
