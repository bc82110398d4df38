"""`claudehub config`: which settings hold, whether a file is right, and a file to begin with."""

from pathlib import Path

import click

from claudehub.cli.exit_codes import SUCCESS, USAGE
from claudehub.cli.failures import told
from claudehub.cli.migrate_cli import migrate
from claudehub.cli.options import as_json
from claudehub.cli.output import say
from claudehub.cli.serve_cli import settings_options
from claudehub.cli.tables import print_json, print_table


@click.group()
def config() -> None:
    """Look at the settings of the server.

    \b
    Example:
      claudehub config show
      claudehub config example > config.toml
      claudehub config check config.toml
      claudehub config migrate ~/.pocket_agent/config.json
    """


@config.command()
@settings_options(is_hidden=True)
@as_json
@told
def show(config_file: Path | None, as_json: bool, **flags: object) -> int:
    """Show each setting: its value, and whether a flag, a variable, the file or the default gives
    it. Takes the options of `claudehub serve`, and says what `serve` would do with them. Hides
    passwords and keys. Exit code 2 if a setting is wrong.

    \b
    Example:
      claudehub config show
      claudehub config show --config FILE --ws-port 9000
      claudehub config show --json
    """
    from actors.config.report import settings
    from actors.config.sources import default_file, fault_lines, look

    file = config_file or default_file()
    found = look(flags, file)
    rows = list(settings(found))
    if as_json:
        for row in rows:
            source, place = row.origin.source, row.origin.place or None
            print_json({"name": row.name, "value": row.value, "source": source, "place": place})
    else:
        print_table(
            ("SETTING", "VALUE", "FROM"),
            [(row.name.upper(), row.value, str(row.origin)) for row in rows],
        )
    for line in fault_lines(found, file):
        say(f"claudehub: {line}", err=True)
    return USAGE if found.faults else SUCCESS


@config.command()
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@told
def check(file: Path) -> int:
    """Check a configuration file, without the environment and without flags. Exit code 2 if it has
    faults: one line for each, with the number of its line in the file. Folders that it names must
    exist. `claudehub serve --check` also looks at the command, ports, keys and certificates.

    \b
    Example:
      claudehub config check ~/.config/claudehub/config.toml
    """
    from actors.config.sources import look

    found = look({}, file, has_environment=False)
    for fault in sorted(found.faults, key=lambda fault: fault.line or 0):
        place = f"{file}" if fault.line is None else f"{file}:{fault.line}"
        say(f"{place}: {fault.in_file()}", err=True)
    if not found.faults:
        count = len(found.origins)
        say(f"{file}: ok, {count} setting{'s' * (count != 1)}")
    return USAGE if found.faults else SUCCESS


@config.command()
def example() -> None:
    """Print a configuration file with every setting, its default and what it does.

    \b
    Example:
      claudehub config example > ~/.config/claudehub/config.toml
    """
    from actors.config.example_file import example_file

    click.echo(example_file(), nl=False)


config.add_command(migrate)
