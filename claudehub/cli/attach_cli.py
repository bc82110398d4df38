"""`claudehub attach` and `claudehub watch`: the live views, which need the extra `tui`."""

import contextlib
import importlib.util
import shlex
import sys

import click

from claudehub.cli.exit_codes import FAILED
from claudehub.cli.failures import explained, told
from claudehub.cli.options import as_json, on_hub, project
from claudehub.cli.output import say
from claudehub.cli.tables import print_json
from claudehub.cli.where import Where, reached

# It brings the rest of the extra `tui`. No command installs claudehub by its name: it is on no
# package index, so the name there may be anybody's.
_TEXTUAL = "'textual>=8.2,<9'"


@click.command()
@project
@on_hub
@told
def attach(project: str, where: Where) -> None:
    """Show PROJECT live: the conversation, its questions, and a prompt.

    PROJECT is an id, or a path with a slash in it; the command turns that folder into a project.
    F1 lists the keys. When you leave, the agent goes on.

    \b
    Example:
      claudehub attach site
      claudehub attach ./
    """
    if not _is_terminal():
        _fail("attach needs a terminal; `claudehub tail` prints what happens")
    _need_textual()
    from claudehub.tui import start

    start.attach(where.url, where.key, project)


@click.command()
@as_json
@on_hub
@told
def watch(as_json: bool, where: Where) -> None:
    """Show all projects live: first what waits for you, then what executes.

    Without a terminal, print the state of each project and then each change, in a line.

    \b
    Example:
      claudehub watch
      claudehub watch | grep waits
      claudehub watch --json
    """
    if as_json or not _is_terminal():
        _print_changes(where, as_json)
        return
    _need_textual()
    from claudehub.tui import start

    start.watch(where.url, where.key)


def _print_changes(where: Where, as_json: bool) -> None:
    from claudehub.tui.plain_watch import change_words

    with reached(where, None) as hub, explained(hub), contextlib.suppress(KeyboardInterrupt):
        for update in hub.watch():
            if as_json:
                print_json(update.raw)
            else:
                say(change_words(update))


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _need_textual() -> None:
    if importlib.util.find_spec("textual") is None:
        python = shlex.quote(sys.executable)
        _fail(f"this view needs textual; type: {python} -m pip install {_TEXTUAL}")


def _fail(message: str) -> None:
    say(f"claudehub: {message}", err=True)
    sys.exit(FAILED)
