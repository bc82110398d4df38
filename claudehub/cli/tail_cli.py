"""`claudehub tail` and `claudehub history`: what has happened, and what happens."""

import sys
from collections.abc import Iterable, Iterator
from itertools import islice

import click

import claudehub
from claudehub.cli.failures import explained, told
from claudehub.cli.moments import MOMENT
from claudehub.cli.options import as_json, on_hub, project
from claudehub.cli.output import echo
from claudehub.cli.tables import print_json
from claudehub.cli.where import GONE_S, Where, reached
from claudehub.show.screen import Screen, recorder_of, screen_of
from claudehub.show.transcript import Transcript

LAST_SHOWN = 40
# Updates are read from the end until they show enough lines: so many, and then each time as many as
# before. All are shown anew each time, since an update may show only what a later one makes of it.
_FIRST_STEP = 200


class _PositionType(click.ParamType[claudehub.Position]):
    """A number, or a position as `--json` prints it: LOG:NUMBER."""

    name = "position"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> claudehub.Position:
        try:
            return claudehub.Position.parse(value if ":" in value else f":{value}")
        except ValueError:
            self.fail(f"{value!r} is no position: a number, or LOG:NUMBER", param, ctx)


_POSITION = _PositionType()


@click.command()
@project
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option(
    "--last",
    "-n",
    type=click.IntRange(min=0),
    default=None,
    metavar="N",
    help=f"Show the last N lines (with --json: updates). Default: {LAST_SHOWN}.",
)
@click.option("--since", type=MOMENT, help="Begin at a time (2026-11-24), or so long ago (2h).")
@click.option("--after", type=_POSITION, help="Begin behind that update.")
@as_json
@on_hub
@told
def tail(
    project: str,
    follow: bool,
    last: int | None,
    since: str | None,
    after: claudehub.Position | None,
    as_json: bool,
    where: Where,
) -> None:
    """Show the latest of PROJECT, and with -f what comes, until Ctrl-C.

    \b
    Example:
      claudehub tail site
      claudehub tail -f site
      claudehub tail site --since 2h
    """  # fmt: skip
    if sum(choice is not None for choice in (last, since, after)) > 1:
        raise click.UsageError("--last, --since and --after are three ways to say where to begin")
    with reached(where, None if follow else GONE_S) as hub, explained(hub):
        found = hub.project(project, create=False)
        show = _shower(as_json, is_live=follow)
        if since is None and after is None:
            count = LAST_SHOWN if last is None else last
            end = _show_last(found, count, as_json)
            begun = end
        else:
            begun = after
        if follow:
            _show_all(found.follow(after=begun, since=since if begun is None else None), show)
        elif since is not None or after is not None:
            _show_all(found.history(after or 0, since=since), show)


@click.command()
@project
@click.option("--since", type=MOMENT, help="Begin at a time (2026-11-24), or so long ago (2h).")
@click.option("--until", type=MOMENT, help="End at a time.")
@click.option("--after", type=_POSITION, help="Begin behind that update.")
@click.option("--before", type=_POSITION, help="End before that update.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many updates.")
@click.option("--newest-first", is_flag=True, help="Read backwards.")
@as_json
@on_hub
@told
def history(
    project: str,
    since: str | None,
    until: str | None,
    after: claudehub.Position | None,
    before: claudehub.Position | None,
    limit: int | None,
    newest_first: bool,
    as_json: bool,
    where: Where,
) -> None:
    """Show the stored updates of PROJECT, all of them or a part.

    \b
    Example:
      claudehub history site --since 2026-11-24 --until 2026-11-25
      claudehub history site --json > site.jsonl
    """
    with reached(where) as hub, explained(hub):
        pages = hub.project(project, create=False).history(
            after or 0, before, since, until, newest_first=newest_first
        )
        _show_all(islice(pages, limit), _shower(as_json, is_live=False))


class _Shower:
    """Prints updates."""

    def __init__(self, as_json: bool, screen: Screen, *, is_live: bool) -> None:
        self._as_json = as_json
        self._transcript = Transcript(screen, with_time=True, with_commands=is_live)

    def show(self, update: claudehub.Update) -> None:
        if self._as_json:
            print_json(update.raw)
        else:
            self._transcript.show(update)

    def close(self) -> None:
        if not self._as_json:
            self._transcript.close()


def _shower(as_json: bool, *, is_live: bool) -> _Shower:
    return _Shower(as_json, screen_of(sys.stdout), is_live=is_live)


def _show_all(updates: Iterable[claudehub.Update], shower: _Shower) -> None:
    """Show updates until their end, or Ctrl-C."""
    try:
        for update in updates:
            shower.show(update)
    except KeyboardInterrupt:
        return
    finally:
        shower.close()


def _show_last(project: claudehub.Project, count: int, as_json: bool) -> claudehub.Position | None:
    """Show the last lines, or updates as JSON; return where to go on."""
    backwards = project.history(newest_first=True)
    if as_json:
        taken = list(islice(backwards, count))
        for update in reversed(taken):
            print_json(update.raw)
        return taken[0].position if taken else _end(project)
    lines: list[str] = []
    read: list[claudehub.Update] = []
    while len(lines) < count and (step := list(islice(backwards, len(read) or _FIRST_STEP))):
        read += step
        lines = list(_lines(reversed(read)))
    shown = lines[-count:] if count else []
    for line in shown:
        echo(line)
    return read[0].position if read else _end(project)


def _end(project: claudehub.Project) -> claudehub.Position | None:
    """Return the end of the log."""
    newest = next(project.history(newest_first=True), None)
    return newest.position if newest is not None else claudehub.Position("", 0)


def _lines(updates: Iterable[claudehub.Update]) -> Iterator[str]:
    """Yield the lines in which updates are shown, with the colours of the terminal."""
    written: list[str] = []
    shower = _Shower(False, recorder_of(sys.stdout, written.append), is_live=False)
    for update in updates:
        shower.show(update)
    shower.close()
    yield from "".join(written).splitlines()
