"""`claudehub run`: one prompt, from its start to its end."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any

import click

import claudehub
from claudehub.cli.agent_options import agent_options
from claudehub.cli.exit_codes import BY_OUTCOME, FAILED, IN_HELP
from claudehub.cli.failures import explained, told
from claudehub.cli.moments import SECONDS
from claudehub.cli.options import as_json, on_hub, project
from claudehub.cli.output import say
from claudehub.cli.tables import print_json
from claudehub.cli.taking import Taking
from claudehub.cli.trusting import offer_trust
from claudehub.cli.where import Notices, Where, connected
from claudehub.client.flows import is_path
from claudehub.show.keyboard import Keyboard, keyboard_of
from claudehub.show.live import LiveRun, Requests
from claudehub.show.notes import Note
from claudehub.show.safe_text import one_line
from claudehub.show.screen import screen_of
from claudehub.show.transcript import Transcript

_STDIN = "-"
_TERMINAL = "/dev/tty"

_HELP = f"""Run PROMPT in PROJECT and stream what the agent does.

PROJECT is an id, or a path with a slash in it; a folder that is no project becomes one. Without a
PROMPT, or with `-`, standard input is the prompt. A prompt that begins with a dash follows `--`.

Ctrl-C interrupts the agent, a second one kills it, and a third leaves it alone. If the connection
is lost, the command connects again and goes on where it was. With --wait it gives up after a while.
Ctrl-D at a question leaves it to your other devices.

\b
Example:
  claudehub run site "Fix the failing test"
  git diff | claudehub run ./ -
  claudehub run site --detach "Update the dependencies"
  claudehub run site -- "- a list, not an option"

{IN_HELP}"""


@click.command(help=_HELP)
@project
@click.argument("prompt", required=False)
@click.option(
    "--once", metavar="KEY", help="Run it once, however often a command with this KEY is started."
)
@click.option("--detach", "-d", is_flag=True, help="Print the execution's id, and leave.")
@click.option(
    "--wait",
    "wait_s",
    type=SECONDS,
    metavar="DURATION",
    help="Give up if the hub does not take the prompt, or is gone, for so long. Default: 1m if the "
    "hub is gone before it has taken the prompt; otherwise for ever.",
)
@agent_options
@as_json
@on_hub
@told
def run(
    project: str,
    prompt: str | None,
    once: str | None,
    detach: bool,
    wait_s: float | None,
    options: dict[str, Any],
    as_json: bool,
    where: Where,
) -> int | None:
    """Send a prompt, and follow it to its end."""
    text = _prompt(prompt)
    with connected(where, wait_s) as hub, explained(hub):
        with Taking(hub, wait_s) as taking:
            found = _project(hub, project)  # it may ask the user something, and wait
            taking.sends()
            execution = found.execute(text, key=once, **options)
        if detach:
            print_json({"execution_id": execution.id}) if as_json else say(execution.id)
            return 0
        _follow(hub, execution, as_json)
    return _end(execution)


def _prompt(prompt: str | None) -> str:
    """Return the prompt: as it was typed, or what standard input has."""
    if prompt is None and sys.stdin.isatty():
        say("The prompt, and then Ctrl-D on a line of its own:", err=True)
    try:
        if prompt is None or prompt == _STDIN:
            # Whatever the locale says: the bytes of a pipe are UTF-8, or no prompt.
            text = io.TextIOWrapper(io.BytesIO(sys.stdin.buffer.read()), "utf-8").read()
        else:
            text = prompt
            text.encode("utf-8")
    except UnicodeError:
        raise click.UsageError("the prompt is not UTF-8") from None
    if not text.strip():
        raise click.UsageError("the prompt is empty")
    return text


def _project(hub: claudehub.Hub, name: str) -> claudehub.Project:
    """Return a project. A folder that is none becomes one, and the user hears of it."""
    if not is_path(name):
        return hub.project(name)
    before = {info.id for info in hub.projects()}
    found = hub.project(name)
    if found.id not in before:
        info = found.info()
        say(f"made project {found.id} of {one_line(info.path)}", err=True)
        offer_trust(found, info)
    return found


def _follow(hub: claudehub.Hub, execution: claudehub.Execution, as_json: bool) -> None:
    """Show an execution until its end, ask what it asks, and let Ctrl-C end it."""
    screen = screen_of(sys.stderr if as_json else sys.stdout)
    transcript = Transcript(screen, with_questions=False)

    def answer(request: claudehub.PermissionRequest, said: claudehub.Answer) -> None:
        execution.project.answer(
            request, said.decision, message=said.message, answers=said.answers,
            updated_input=said.updated_input, remember=said.remember,
        )  # fmt: skip

    def show_json(update: claudehub.Update) -> None:
        print_json(update.raw)

    with _keyboard() as keyboard:
        requests = Requests(answer, execution.interrupt, execution.kill)
        show = show_json if as_json else transcript.show
        live = LiveRun(show, screen, keyboard, requests)
        notices = Notices(hub, lambda text: live.say(Note(text, is_warning=True)))
        hub.on_state(notices.changed)
        try:
            live.run(execution)
        except KeyboardInterrupt:
            name = execution.project.id
            live_on = f"the execution goes on; `claudehub tail -f {name}` shows it"
            say(f"claudehub: {live_on}, `claudehub kill {name}` ends it", err=True)
            raise
        finally:
            transcript.close()


@contextlib.contextmanager
def _keyboard() -> Iterator[Keyboard | None]:
    """Yield the keyboard. If the prompt came through a pipe, it is that of the terminal."""
    if sys.stdin.isatty() or not sys.stdout.isatty():
        yield keyboard_of(0) if sys.stdin.isatty() else None
        return
    try:
        terminal = os.open(_TERMINAL, os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError:
        yield None
        return
    try:
        yield keyboard_of(terminal)
    finally:
        os.close(terminal)


def _end(execution: claudehub.Execution) -> int:
    """Say how the execution ended, unless it was a success; return the exit code."""
    if execution.outcome is None:
        say("claudehub: the project was deleted", err=True)
        return FAILED
    if execution.outcome != "success":  # the transcript has its words
        say(f"claudehub: {execution.outcome}", err=True)
    return BY_OUTCOME.get(execution.outcome, FAILED)
