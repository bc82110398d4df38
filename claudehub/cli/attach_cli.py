"""`claudehub attach` and `claudehub watch`: the live views, which need the extra `tui`."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from claudehub.client.errors import ConnectFailed, ConnectionLost, HubError

EXIT_FAILED = 1
EXIT_NO_CONNECTION = 7


def _hub(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say which hub, and with which key."""
    url = click.option(
        "--url",
        envvar="CLAUDEHUB_URL",
        show_envvar=True,
        help="The hub (default: its socket if there is one, else ws://127.0.0.1:8080).",
    )
    key = click.option(
        "--key",
        envvar="CLAUDEHUB_KEY",
        show_envvar=True,
        type=click.Path(path_type=Path),
        help="The SSH key for a hub that wants one (default: those of ~/.ssh).",
    )
    return url(key(command))


@click.command()
@click.argument("project")
@_hub
def attach(project: str, url: str | None, key: Path | None) -> None:
    """Show PROJECT live: the conversation, its questions, and a prompt.

    PROJECT is an id, or a path with a slash in it; the command turns that folder into a project.
    F1 lists the keys. Leaving ends nothing: the agent goes on.

    \b
    Example:
      claudehub attach site
      claudehub attach ./
    """
    if not sys.stdout.isatty() or not sys.stdin.isatty():
        _fail("attach needs a terminal; `claudehub tail` prints what happens", EXIT_FAILED)
    _need_textual()
    from claudehub.tui import start

    _run(lambda: start.attach(url, key, project))


@click.command()
@_hub
def watch(url: str | None, key: Path | None) -> None:
    """Show all projects live: what waits for you first, then what executes.

    If the output is no terminal, each change is printed in a line.

    \b
    Example:
      claudehub watch
      claudehub watch | grep waits
    """
    is_screen = sys.stdout.isatty() and sys.stdin.isatty()
    if is_screen:
        _need_textual()
        from claudehub.tui import start

        _run(lambda: start.watch(url, key))
    else:
        from claudehub.tui import plain_watch

        _run(lambda: plain_watch.watch_lines(url, key, click.echo))


def _need_textual() -> None:
    if importlib.util.find_spec("textual") is None:
        _fail("this view needs textual; type: pipx install 'claudehub[tui]'", EXIT_FAILED)


def _run(show: Callable[[], None]) -> None:
    try:
        show()
    except (ConnectFailed, ConnectionLost) as error:
        _fail(str(error), EXIT_NO_CONNECTION)
    except HubError as error:
        _fail(str(error), EXIT_FAILED)
    except KeyboardInterrupt:
        sys.exit(130)


def _fail(message: str, code: int) -> None:
    click.echo(f"claudehub: {message}", err=True)
    sys.exit(code)
