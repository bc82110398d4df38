"""`claudehub attach` and `claudehub watch`: the live views, which need the extra `tui`."""

import importlib.util
import sys

import click

from claudehub.cli.exit_codes import FAILED
from claudehub.cli.failures import told
from claudehub.cli.options import on_hub, project
from claudehub.cli.where import Where


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
@on_hub
@told
def watch(where: Where) -> None:
    """Show all projects live: first what waits for you, then what executes.

    Without a terminal, print each change in a line.

    \b
    Example:
      claudehub watch
      claudehub watch | grep waits
    """
    if not _is_terminal():
        from claudehub.tui import plain_watch

        plain_watch.watch_lines(where.url, where.key, click.echo)
        return
    _need_textual()
    from claudehub.tui import start

    start.watch(where.url, where.key)


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _need_textual() -> None:
    if importlib.util.find_spec("textual") is None:
        _fail("this view needs textual; type: pipx install 'claudehub[tui]'")


def _fail(message: str) -> None:
    click.echo(f"claudehub: {message}", err=True)
    sys.exit(FAILED)
