"""`claudehub doctor`: is everything here that a hub needs?"""

from pathlib import Path

import click

from claudehub.cli.exit_codes import FAILED, SUCCESS, USAGE
from claudehub.cli.failures import told
from claudehub.cli.options import as_json
from claudehub.cli.serve_cli import settings_options


@click.command()
@settings_options(is_hidden=True)
@as_json
@click.option(
    "--bundle",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write a .tar.gz for whoever helps you. Shows first what goes in, and asks.",
)
@click.option(
    "--log",
    metavar="FILE",
    help="With --bundle: what the hub has written to standard error; - for standard input.",
)
@click.option("--yes", is_flag=True, help="With --bundle: do not ask.")
@told
def doctor(
    config_file: Path | None,
    as_json: bool,
    bundle: Path | None,
    log: str | None,
    yes: bool,
    **flags: object,
) -> int:
    """Check what a hub needs: the CLI and its sign-in, folders, ports, certificates, keys, limits,
    the disk, the clock, the sandbox. Each line is ok, a warning or a fault, with what mends it.

    Takes the options and variables of `claudehub serve`. Needs no running hub; one that runs is
    looked at, too. Changes nothing, and does not call the API.

    Exit code: 0 there is no fault, warnings or not; 1 there is one; 2 the configuration has one.

    \b
    Example:
      claudehub doctor
      claudehub doctor --json
      journalctl -u claudehub | claudehub doctor --bundle hub.tar.gz --log - --yes
    """
    if bundle is None and (log is not None or yes):
        raise click.UsageError("--log and --yes go with --bundle")
    if log == "-" and not yes:
        raise click.UsageError("--log - reads standard input, so give --yes")
    from actors.doctor.finding import Level
    from claudehub.cli.doctor_report import examined, print_as_json, print_lines

    reports, look = examined(flags, config_file)
    print_as_json(reports) if as_json else print_lines(reports)
    if bundle is not None:
        from claudehub.cli.doctor_bundle import write_bundle

        if not write_bundle(bundle, reports, look, log=log, asks=not yes):
            return FAILED
    if look.faults:
        return USAGE
    levels = {found.level for report in reports for found in report.findings}
    return FAILED if Level.FAULT in levels else SUCCESS
