"""`claudehub config migrate`: the older server's configuration as ours."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from claudehub.cli.exit_codes import SUCCESS, USAGE
from claudehub.cli.failures import told
from claudehub.cli.output import say

if TYPE_CHECKING:
    from claudehub.moving.entries import Source
    from claudehub.moving.old_settings import OldSettings

_DEFAULT_ROOT = "~/.pocket_agent"


@click.command()
@click.argument("file", type=click.Path(path_type=Path), metavar="[FILE]", required=False)
@click.option(
    "--env", "has_environment", is_flag=True, help="Take the POCKET_AGENT_ variables too; they win."
)
@click.option(
    "--root-dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help=f"The --root-dir of the old server (default: {_DEFAULT_ROOT}).",
)
@told
def migrate(file: Path | None, has_environment: bool, root_dir: Path | None) -> int:
    """Print the configuration of the older server (pocket_agent, a JSON file) as a configuration
    file of claudehub. Comments say what was never in effect, what means something else here, and
    what has no counterpart. Changes no file. Without FILE, it takes the config.json of the old
    server's root folder. Exit code 2 if the old server would not have started with it.

    \b
    Example:
      claudehub config migrate ~/.pocket_agent/config.json > config.toml
      claudehub config check config.toml
      claudehub config migrate --env
    """
    from claudehub.moving.old_settings import OldConfigurationError, read_settings
    from claudehub.moving.translation import configuration

    root = Path(os.path.expanduser(root_dir or _DEFAULT_ROOT))
    place = file or root / "config.json"
    text = _text(place, is_needed=file is not None or not has_environment)
    environment = os.environ if has_environment else {}
    try:
        old = read_settings(text, environment, str(root))
    except OldConfigurationError as error:
        for fault in error.faults:
            where = str(place) if text is not None else "the environment"
            _fail(where, fault.source, fault.problem)
        return USAGE
    if file is None:
        found = "is the old configuration" if text is not None else "is not there: old defaults"
        say(f"claudehub: {place} {found}", err=True)
    if old.unknown_keys and not any(value.given_by for value in old.values.values()):
        say(f"claudehub: {place} has no key of the old server; is it the right file?", err=True)
    taken = None if text is None else str(place)
    # TOML is UTF-8, whatever the encoding of the terminal.
    click.echo(configuration(old, _source(taken, has_environment, old)).encode(), nl=False)
    return SUCCESS


def _source(taken: str | None, has_environment: bool, old: "OldSettings") -> "Source":
    """Return what is around the settings: the old data folder, and variables."""
    from claudehub.moving.entries import Source
    from claudehub.moving.old_projects import look
    from claudehub.moving.other_files import never_read

    data_dir = Path(old.text("data_dir")).absolute()
    return Source(
        file=taken,
        has_environment=has_environment,
        data_dir=str(data_dir),
        roots=look(data_dir),
        never_read=never_read(os.environ if has_environment else {}),
    )


def _text(place: Path, *, is_needed: bool) -> str | None:
    """Return the text of the old file, None if there is none and none is needed. Exit with code 2
    if it cannot be read."""
    from actors.config.file_text import text_of_file

    try:
        return text_of_file(place)
    except FileNotFoundError:
        if not is_needed:
            return None
        _fail(
            str(place), None, "there is no such file\nname the old server's JSON file, or `--env`"
        )
    except IsADirectoryError:
        remedy = f"name the file in it, or the folder with `--root-dir {place}`"
        _fail(str(place), None, f"is a folder\n{remedy}")
    except OSError as error:
        _fail(str(place), None, f"cannot be read: {error.strerror}")
    except ValueError as error:
        _fail(str(place), None, str(error))
    sys.exit(USAGE)


def _fail(place: str, source: str | None, problem: str) -> None:
    """Print what is wrong; the remedy, if there is one, is a second line."""
    named = f"{place}: " if source is None else f"{place}: {source}: "
    first, _, remedy = problem.partition("\n")
    say(f"claudehub: {named}{first}" + (f"\n  {remedy}" if remedy else ""), err=True)
