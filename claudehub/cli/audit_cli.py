"""`claudehub audit`: show who did what, from the audit files, with or without a running server."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import simplejson

from actors.config.sources import data_folder
from claudehub.cli.log_cli import data_dir_option, json_option
from claudehub.cli.log_commands import LogCommandError, parse_since
from claudehub.cli.output import echo
from claudehub.show.safe_text import plain
from storage.audit import NAME, older_files, read_lines
from storage.data_version import check_version
from storage.errors import StorageError

Line = dict[str, Any]


@click.command()
@click.option("--action", "actions", multiple=True, help="A request's type, or key_revoked, …")
@click.option("--user", help="A user, or a key's fingerprint.")
@click.option("--project", help="A project's id.")
@click.option("--since", help="A time, such as 2026-11-23T08:00:00Z, or how long ago: 2h.")
@click.option("--failed", is_flag=True, help="Only what was refused, or has no known outcome.")
@json_option
@data_dir_option
def audit(
    actions: tuple[str, ...],
    user: str | None,
    project: str | None,
    since: str | None,
    failed: bool,
    as_json: bool,
    data_dir: Path | None,
) -> None:
    """Show the audit log: every request, with who asked, from where, and what became of it.

    \b
    Example:
      claudehub audit --action execute --action agent_kill --since 24h
      claudehub audit --failed --json
    """

    def is_wanted(line: Line) -> bool:
        return (
            (not actions or line.get("action") in actions)
            and (user is None or user in (line.get("user"), line.get("key")))
            and (project is None or line.get("project_id") == project)
            and (begin is None or str(line.get("timestamp")) >= begin)
            and (not failed or line.get("ok") is not True)
        )

    try:
        begin = None if since is None else parse_since(since, datetime.now(UTC))
        folder = data_folder(data_dir)
        check_version(folder)
        if not (folder / NAME).exists() and not older_files(folder):
            raise LogCommandError(f"there is no audit log in {folder}; --data-dir names another")
        for raw, line in _lines(folder):
            if is_wanted(line):
                echo(raw if as_json else _shown(line))
    except (OSError, LogCommandError, StorageError) as error:
        click.echo(f"claudehub: {error}", err=True)
        sys.exit(1)


def _lines(folder: Path) -> Iterator[tuple[str, Line]]:
    """Yield the lines that can be read, and print the number of each that cannot."""
    for number, raw in enumerate(read_lines(folder), start=1):
        text = raw.decode("utf-8", errors="replace").rstrip("\n")
        try:
            line = simplejson.loads(text)
        except (ValueError, RecursionError):
            line = None
        if isinstance(line, dict):
            yield text, line
        else:
            click.echo(f"claudehub: line {number} is torn", err=True)


def _shown(line: Line) -> str:
    who = line.get("user") or line.get("client_id") or "-"
    uid = line.get("uid")
    where = line.get("address") or ("-" if uid is None else f"uid {uid}")
    outcome = {True: "ok", False: str(line.get("code"))}.get(line.get("ok"), "unknown")  # type: ignore[arg-type]
    parts = [line.get("timestamp"), line.get("action"), outcome, who, where]
    parts += [line[name] for name in ("project_id", "execution_id") if line.get(name)]
    details = line.get("details")
    if isinstance(details, dict) and (count := details.get("count")) is not None:
        parts.append(f"({count} times)")
    if (suppressed := line.get("suppressed")) is not None:
        parts.append(f"({suppressed} more were not kept)")
    return "  ".join(plain(str(part)) for part in parts)
