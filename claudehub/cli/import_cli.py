"""`claudehub import`: take over the data of the older server."""

from pathlib import Path

import click

from claudehub.cli.exit_codes import USAGE
from claudehub.cli.failures import told
from claudehub.cli.log_cli import data_dir_option
from claudehub.cli.options import as_json


@click.command("import")
@click.argument(
    "folder", metavar="DIR", type=click.Path(path_type=Path, exists=True, file_okay=False)
)
@click.option("--dry-run", is_flag=True, help="Say what would come, and write nothing.")
@data_dir_option
@click.option("--project-roots", metavar="VALUE", help="As for `claudehub serve`.")
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="As for `claudehub serve`.",
)
@as_json
@told
def import_data(
    folder: Path,
    dry_run: bool,
    data_dir: Path | None,
    project_roots: str | None,
    config_file: Path | None,
    as_json: bool,
) -> int:
    """Take over the projects and their history from DIR, the data_dir of the older server, into
    DATA_DIR. DIR is only read, and that server may run. The hub must not run.

    Ids, times and Claude's conversations stay. What was imported before is left alone, so the
    command can be repeated, also after it was interrupted. Exit code: 0 all projects are here, 1
    some are not.

    \b
    Example:
      claudehub import ~/.pocket_agent --dry-run
      claudehub import ~/.pocket_agent
    """
    from claudehub.cli import import_commands

    flags = {
        "data_dir": None if data_dir is None else str(data_dir.absolute()),
        "project_roots": project_roots,
    }
    settings = import_commands.settings_of(flags, config_file)
    if settings is None:
        return USAGE
    return import_commands.import_folder(folder, settings, dry_run=dry_run, as_json=as_json)
