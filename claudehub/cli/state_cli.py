"""What is going on: `status`, `queue`, `pending` and `health`."""

import sys
from collections.abc import Mapping
from typing import Any

import click

import claudehub
from claudehub.cli.exit_codes import FAILED, SUCCESS
from claudehub.cli.failures import explained, told
from claudehub.cli.options import as_json, maybe_project, on_hub, project
from claudehub.cli.output import say
from claudehub.cli.tables import print_json, print_table
from claudehub.cli.where import Where, reached
from claudehub.client.reading import waiting_requests
from claudehub.show.lines import Kind
from claudehub.show.questions import Form, answering_command, question_of
from claudehub.show.safe_text import local_time, one_line, shortened
from claudehub.show.screen import STYLES, Style, screen_of

_PROMPT, _QUESTION = 60, 120


@click.command()
@maybe_project
@as_json
@on_hub
@told
def status(project: str | None, as_json: bool, where: Where) -> None:
    """Show what the hub does, or what PROJECT does.

    \b
    Example:
      claudehub status
      claudehub status site
    """
    with reached(where) as hub, explained(hub):
        if project is not None:
            info = hub.project(project, create=False).info()
            print_json(info.raw) if as_json else _print_project(info)
        elif as_json:
            print_json({**hub.health(), "url": hub.url})
        else:
            _print_hub(hub)


def _print_project(info: claudehub.ProjectInfo) -> None:
    facts = {
        "project": info.id,
        "folder": info.path,
        "status": info.status,
        "execution": info.execution_id or "none",
        "queue": str(len(info.queue)),
        "asks": str(len(info.pending_permissions)),
        "clients": str(info.subscribers),
        "updates": f"{info.first_seq} to {info.last_seq}" if info.last_seq else "none",
        "last active": local_time(info.last_active),
        "session": info.session_id or "none",
        "trusted": "yes" if info.trusted else "no",
    }
    for name, value in facts.items():
        say(f"{name + ':':<13}{one_line(str(value))}")
    _print_waiting(info)


def _print_hub(hub: claudehub.Hub) -> None:
    health, found = hub.health(), hub.projects()
    claude = health.get("claude") or "not found"
    facts = {
        "hub": f"{hub.url} ({hub.welcome.get('server')}, Claude Code {claude})",
        "health": str(health.get("status")),
        "connections": str(health.get("connections")),
        "projects": f"{len(found)}, {health.get('executing')} of them executing",
    }
    for name, value in facts.items():
        say(f"{name + ':':<13}{one_line(value)}")
        if name == "health":
            _print_problems(health)
    for info in found:
        _print_waiting(info)


def _print_problems(health: Mapping[str, Any]) -> None:
    for problem in health.get("problems") or ():
        say(f"  {one_line(str(problem))}")


def _print_waiting(info: claudehub.ProjectInfo) -> None:
    for request in waiting_requests(info):
        command = one_line(f"claudehub answer {info.id} {request.permission_id}")
        say(f"waits for you: {_in_one_line(request)}\n  {command} allow|deny")


@click.command()
@project
@as_json
@on_hub
@told
def queue(project: str, as_json: bool, where: Where) -> None:
    """Show the prompts of PROJECT that wait, the next one first.

    \b
    Example:
      claudehub queue site
      claudehub kill site EXECUTION    # takes one out
    """
    with reached(where) as hub, explained(hub):
        info = hub.project(project, create=False).info()
    if as_json:
        for place, entry in enumerate(info.raw["queue"], 1):
            print_json({"position": place, **entry})
    elif not info.queue:
        say("nothing waits", err=True)
    else:
        rows = [
            (str(place), entry.execution_id, entry.client_id, shortened(entry.prompt, _PROMPT))
            for place, entry in enumerate(info.queue, 1)
        ]
        print_table(("PLACE", "EXECUTION", "CLIENT", "PROMPT"), rows)


@click.command()
@maybe_project
@as_json
@on_hub
@told
def pending(project: str | None, as_json: bool, where: Where) -> None:
    """Show what waits for an answer: of all projects in a line each, of PROJECT in full.

    \b
    Example:
      claudehub pending
      claudehub pending site
      claudehub answer allow    # if one waits
    """
    with reached(where) as hub, explained(hub):
        if project is None:
            projects = hub.projects()
        else:
            projects = [hub.project(project, create=False).info()]
    if as_json:
        for info in projects:
            for entry in info.pending_permissions:
                print_json({"project_id": info.id, **entry})
        return
    found = [request for info in projects for request in waiting_requests(info)]
    if not found:
        say("nothing waits for an answer", err=True)
    elif project is not None:
        for request in found:
            _print_question(request)
    else:
        rows = [(asked.project_id, asked.permission_id, _in_one_line(asked)) for asked in found]
        print_table(("PROJECT", "ID", "QUESTION"), rows)


def _in_one_line(request: claudehub.PermissionRequest) -> str:
    """Return what is asked, and how many lines of it are not shown."""
    question = question_of(request)
    about, more = " / ".join(part.text for part in question.asked), ""
    if question.form is not Form.CHOICES and question.body:
        about = question.body[0].text
        left_out = sum(line.kind is not Kind.NOTE for line in question.body[1:])
        lines = "1 line" if left_out == 1 else f"{left_out} lines"
        more = f" (+ {lines}: `claudehub pending {request.project_id}`)" if left_out else ""
    return shortened(one_line(f"{question.heading} {about}"), _QUESTION) + more


def _print_question(request: claudehub.PermissionRequest) -> None:
    """Print all of what is asked."""
    screen, question = screen_of(sys.stdout), question_of(request)
    screen.line((Style.YELLOW, "? "), (Style.BOLD, question.heading))
    for line in (*question.body, *(part for each in question.asked for part in each.lines)):
        screen.line((STYLES.get(line.kind, Style.NORMAL), f"    {line}"))
    for phrase in question.remember:
        screen.line((Style.DIM, f"  --remember would allow: {phrase}"))
    screen.line((Style.DIM, f"  {answering_command(question)}"))


@click.command()
@click.option(
    "--alive",
    "only_alive",
    is_flag=True,
    help="Exit with 0 if it answers, even if it is degraded or full: for what restarts it.",
)
@as_json
@on_hub
@told
def health(only_alive: bool, as_json: bool, where: Where) -> int:
    """Say if the hub works, for health checks.

    Exit code: 0 it does, 1 it is degraded, 7 it is not there.

    \b
    Example:
      claudehub health && echo fine
      claudehub health --alive    # a restart would not help a hub that answers
    """
    try:
        with reached(where) as hub:
            said = hub.health()
    except claudehub.ConnectFailed as error:
        if not only_alive or error.failure is not claudehub.Failure.FULL:
            raise
        # It lives: it has counted its connections. A restart would end all of them.
        say(f"claudehub: {one_line(str(error))}", err=True)
        return SUCCESS
    if as_json:
        print_json(said)
    else:
        say(one_line(str(said.get("status"))))
        _print_problems(said)
    return SUCCESS if only_alive or said.get("status") == "ok" else FAILED
