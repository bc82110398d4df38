"""What `claudehub --version` says."""

import platform

import click

from protocol import VERSION
from storage.build import commit


def version_text() -> str:
    known = commit()
    built = f"commit {known}, " if known else ""
    return f"claudehub {VERSION} ({built}Python {platform.python_version()})"


def print_version(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    """Print the version and exit, if the option is given."""
    if value and not context.resilient_parsing:
        click.echo(version_text())
        context.exit()
