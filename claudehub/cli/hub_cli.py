"""`claudehub hub`: names for hubs."""

from dataclasses import replace
from pathlib import Path

import click

import claudehub
from claudehub.cli.failures import Failed
from claudehub.cli.hubs import NAME, Hubs, HubsUnusable, NamedHub, load_hubs, save_hubs
from claudehub.cli.options import complete_hub
from claudehub.cli.output import say
from claudehub.cli.tables import print_json, print_table
from claudehub.cli.where import expanded
from claudehub.client.address import parse_address


@click.group()
def hub() -> None:
    """Give hubs names, and choose the one that commands speak to.

    \b
    Example:
      claudehub hub add home wss://hub.example.org --key ~/.ssh/id_ed25519
      claudehub hub use home
    """


def _load() -> Hubs:
    try:
        return load_hubs()
    except HubsUnusable as error:
        raise Failed(str(error)) from None


def _save(hubs: Hubs) -> None:
    try:
        save_hubs(hubs)
    except HubsUnusable as error:
        raise Failed(str(error)) from None


_name = click.argument("name", shell_complete=complete_hub)


@hub.command()
@_name
@click.argument("url")
@click.option("--key", type=click.Path(path_type=Path), help="The SSH key for this hub.")
def add(name: str, url: str, key: Path | None) -> None:
    """Give the hub at URL a NAME; a name that is taken gets the new address.

    \b
    Example:
      claudehub hub add home wss://hub.example.org --key ~/.ssh/id_ed25519
    """
    if not NAME.fullmatch(name):
        raise click.BadParameter("letters, digits, dots, dashes", param_hint="NAME")
    try:
        parse_address(url)
    except claudehub.ConnectFailed as error:
        raise click.BadParameter(str(error), param_hint="URL") from None
    hubs = _load()
    path = None if key is None else str(expanded(key).absolute())
    _save(replace(hubs, by_name={**hubs.by_name, name: NamedHub(url, path)}))


@hub.command()
@_name
def remove(name: str) -> None:
    """Forget NAME.

    \b
    Example:
      claudehub hub remove home
    """
    hubs = _load()
    _known(hubs, name)
    left = {other: found for other, found in hubs.by_name.items() if other != name}
    _save(Hubs(left, None if hubs.used == name else hubs.used))


@hub.command()
@_name
def use(name: str) -> None:
    """Let all commands speak to NAME, unless --hub, --url or CLAUDEHUB_URL names another hub. `-`
    goes back to the hub of this machine.

    \b
    Example:
      claudehub hub use home
      claudehub hub use -
    """
    hubs = _load()
    if name != "-":
        _known(hubs, name)
    _save(replace(hubs, used=None if name == "-" else name))


@hub.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
def list_hubs(as_json: bool) -> None:
    """Show the named hubs; `*` is the one in use.

    \b
    Example:
      claudehub hub list
    """
    hubs = _load()
    if as_json:
        for name, found in sorted(hubs.by_name.items()):
            used = name == hubs.used
            print_json({"name": name, "url": found.url, "key": found.key, "used": used})
    elif not hubs.by_name:
        say("no hubs have names; `claudehub hub add NAME URL` gives one", err=True)
    else:
        rows = [
            ("*" if name == hubs.used else "", name, found.url, found.key or "")
            for name, found in sorted(hubs.by_name.items())
        ]
        print_table(("", "NAME", "URL", "KEY"), rows)


def _known(hubs: Hubs, name: str) -> None:
    try:
        hubs.get(name)
    except HubsUnusable as error:
        raise click.BadParameter(str(error), param_hint="NAME") from None
