"""What many commands share: which hub they speak to, and how they print."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from claudehub.cli.hubs import HubsUnusable, load_hubs
from claudehub.cli.where import Where, expanded, project_ids

URL_VARIABLE, KEY_VARIABLE, HUB_VARIABLE = "CLAUDEHUB_URL", "CLAUDEHUB_KEY", "CLAUDEHUB_HUB"

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")


def complete_hub(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of hubs that begin so."""
    try:
        return [name for name in load_hubs().by_name if name.startswith(incomplete)]
    except HubsUnusable:
        return []


def on_hub(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that name a hub. The command gets `where`."""

    @click.option(
        "--hub",
        "hub_name",
        envvar=HUB_VARIABLE,
        show_envvar=True,
        metavar="NAME",
        shell_complete=complete_hub,
        help="A hub of `claudehub hub list`.",
    )
    @click.option(
        "--url",
        envvar=URL_VARIABLE,
        show_envvar=True,
        help="A hub's address: ws://, wss:// or unix:PATH. Default: the hub of `hub use`, the Unix "
        "socket of this machine's hub, its WS_PORT (ws://127.0.0.1:8080).",
    )
    @click.option(
        "--key",
        envvar=KEY_VARIABLE,
        show_envvar=True,
        type=click.Path(path_type=Path),
        help="The SSH key for a hub that wants one. Default: those of ~/.ssh.",
    )
    @functools.wraps(command)
    def with_where(
        *, hub_name: str | None, url: str | None, key: Path | None, **options: Any
    ) -> Any:
        context = click.get_current_context()
        if context.get_parameter_source("hub_name") is ParameterSource.COMMANDLINE:
            url = (
                None if context.get_parameter_source("url") is ParameterSource.ENVIRONMENT else url
            )
        return command(where=chosen(hub_name, url, key), **options)

    return with_where


def chosen(hub_name: str | None, url: str | None, key: Path | None) -> Where:
    """Return the hub that the user means. Raises click.UsageError."""
    if hub_name is not None and url is not None:
        raise click.UsageError("--hub and --url name two hubs; give one of them")
    key = None if key is None else expanded(key)
    if url is not None:
        return Where(url, key)
    try:
        hubs = load_hubs()
        name = hub_name or hubs.used
        if name is None:
            return Where(None, key)
        named = hubs.get(name)
    except HubsUnusable as error:
        raise click.UsageError(str(error)) from None
    return Where(named.url, key or (expanded(Path(named.key)) if named.key else None))


def complete_project(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[str]:
    """Return the ids of the hub's projects that begin so; none if the hub does not answer."""
    given = context.params
    try:
        where = chosen(given.get("hub_name"), given.get("url"), given.get("key"))
    except click.UsageError:
        return []
    return [found for found in project_ids(where) if found.startswith(incomplete)]


project = click.argument("project", shell_complete=complete_project)
maybe_project = click.argument("project", required=False, shell_complete=complete_project)
