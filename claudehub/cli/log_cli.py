"""`claudehub log`: look at the message logs in a data folder, with or without a running server."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

EXIT_FAILED = 1

data_dir_option = click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="The server's DATA_DIR (default: as the server finds it).",
)
json_option = click.option("--json", "as_json", is_flag=True, help="As JSON, one object a line.")


@click.group()
def log() -> None:
    """Look at the message logs: verify, show, count, export. Safe beside a running server.

    \b
    Example:
      claudehub log show site --since 2h
      claudehub log verify
    """


@log.command()
@click.argument("projects", nargs=-1)
@data_dir_option
def verify(projects: tuple[str, ...], data_dir: Path | None) -> None:
    """Check every record of all projects, or of PROJECTS: its CRC, its number, its time.

    Exit code: 0 all is whole, 1 something is missing or damaged.

    \b
    Example:
      claudehub log verify
      claudehub log verify site
    """
    from claudehub.cli import log_commands

    _run(log_commands.verify_logs, data_dir, projects)


@log.command()
@click.argument("project")
@click.option("--since", help="A time (2026-11-24T08:00:00Z, 2026-11-24), or how long ago (2h).")
@click.option("--after", "after_seq", type=click.IntRange(min=0), help="Begin behind that number.")
@click.option("--last", type=click.IntRange(min=0), help="Begin so many back (default 20).")
@click.option("--follow", "-f", is_flag=True, help="Go on with what is written, until Ctrl-C.")
@click.option("--type", "types", multiple=True, help="Only this update_type; may be repeated.")
@json_option
@data_dir_option
def show(
    project: str,
    since: str | None,
    after_seq: int | None,
    last: int | None,
    follow: bool,
    types: tuple[str, ...],
    as_json: bool,
    data_dir: Path | None,
) -> None:
    """Show the updates of PROJECT (an id, or the path of its folder).

    \b
    Example:
      claudehub log show site --since 2h
      claudehub log show site --last 1000 --type execution_finished --json
      claudehub log show ~/src/site --follow
    """
    from claudehub.cli import log_commands

    given = [value for value in (since, after_seq, last) if value is not None]
    if len(given) > 1:
        raise click.UsageError("--since, --after and --last exclude each other")
    start = log_commands.Start(since=since, after_seq=after_seq, last=last)
    _run(log_commands.show_log, data_dir, project, start, frozenset(types), follow, as_json)


@log.command()
@click.argument("projects", nargs=-1)
@json_option
@data_dir_option
def stats(projects: tuple[str, ...], as_json: bool, data_dir: Path | None) -> None:
    """Show how much there is: records, bytes, files, first, last, records a day.

    \b
    Example:
      claudehub log stats
    """
    from claudehub.cli import log_commands

    _run(log_commands.show_stats, data_dir, projects, as_json)


@log.command()
@click.argument("project")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file, made when all is written (default: standard output).",
)
@click.option("--since", help="As for `show`.")
@data_dir_option
def export(project: str, output: Path | None, since: str | None, data_dir: Path | None) -> None:
    """Write the history of PROJECT as JSON Lines: each update as clients got it.

    What cannot be read is a line of type `gap`, and makes the exit code 1.

    \b
    Example:
      claudehub log export site -o site.jsonl
      claudehub log export site | jq -r 'select(.update_type == "prompt").data.prompt'
    """
    from claudehub.cli import log_commands

    _run(log_commands.export_log, data_dir, project, output, since)


@log.command("new-id")
@click.argument("projects", nargs=-1)
@data_dir_option
def new_id(projects: tuple[str, ...], data_dir: Path | None) -> None:
    """Give the logs of all projects, or of PROJECTS, a new id: after a backup was restored.

    Clients that saw more than the backup holds then learn it (history_gone), and do not mistake
    new updates for those they know. The server must not run.

    \b
    Example:
      claudehub log new-id
    """
    from claudehub.cli import log_commands

    _run(log_commands.renew_ids, data_dir, projects)


def _run(command: Callable[..., int], data_dir: Path | None, *arguments: Any) -> None:
    from actors.config.sources import data_folder
    from claudehub.cli.log_commands import LogCommandError
    from storage.data_version import check_version
    from storage.errors import StorageError

    folder = data_folder(data_dir)
    try:
        check_version(folder)
        sys.exit(command(folder, *arguments))
    except (LogCommandError, StorageError) as error:
        click.echo(f"claudehub: {error}", err=True)
        sys.exit(EXIT_FAILED)
    except BrokenPipeError:  # the reader has gone, as `head` does
        sys.stderr.close()
        sys.exit(EXIT_FAILED)
    except OSError as error:
        click.echo(f"claudehub: {error}", err=True)
        sys.exit(EXIT_FAILED)
