"""Follow one execution on a terminal: its output, its questions, and Ctrl-C."""

import sys
from collections.abc import Callable, Iterator
from typing import Any

import click
import simplejson

from claudehub.client.connection import HubClient, RequestFailed
from claudehub.show.safe_text import plain, shortened

_INPUT_LENGTH = 2_000
_ANSWERS: dict[str, dict[str, Any]] = {
    "y": {"decision": "allow"},
    "r": {"decision": "allow", "remember": True},
    "n": {"decision": "deny"},
}


def follow_execution(
    hub: HubClient, project_id: str, execution_id: str, show: Callable[[dict[str, Any]], Any]
) -> dict[str, Any]:
    """Show an execution's updates until its end; return the data of its execution_finished. The
    first Ctrl-C interrupts the execution, the second kills it."""
    updates = hub.updates()
    requests = iter(("agent_interrupt", "agent_kill"))
    while True:
        try:
            for update in updates:
                if execution_id not in (
                    update.get("execution_id"),
                    update["data"].get("execution_id"),
                ):
                    continue
                show(update)
                if update["update_type"] == "permission_request":
                    _ask(hub, project_id, update["data"])
                if update["update_type"] == "execution_finished":
                    finished: dict[str, Any] = update["data"]
                    return finished
        except (KeyboardInterrupt, click.Abort):
            _end(hub, requests, project_id, execution_id)
            updates = hub.updates()


def _end(hub: HubClient, requests: Iterator[str], project_id: str, execution_id: str) -> None:
    """Ask the hub to end the execution. A Ctrl-C during the request counts as the next one."""
    asked = False
    while not asked:
        try:
            request = next(requests, "agent_kill")
            asked = _ask_to_end(hub, request, project_id, execution_id)
        except KeyboardInterrupt:
            continue


def _ask_to_end(hub: HubClient, request: str, project_id: str, execution_id: str) -> bool:
    """Send one request to end the execution; return False if the next Ctrl-C has more to do."""
    again = "; again to kill it" if request == "agent_interrupt" else ""
    click.echo(f"\nending the execution{again}", err=True)
    try:
        hub.request(request, project_id=project_id, execution_id=execution_id)
    except RequestFailed as error:
        if error.code != "nothing_running":
            raise
        # It may wait in the queue, from which agent_kill takes it, or it has just ended.
        return request == "agent_kill"
    return True


def _ask(hub: HubClient, project_id: str, question: dict[str, Any]) -> None:
    """Ask the user on a terminal. Elsewhere print the command that answers; another client may
    answer too."""
    permission_id = question["permission_id"]
    if not sys.stdin.isatty():
        command = f"claudehub answer {project_id} {permission_id} allow"
        click.echo(f"a permission is needed; for example: {command}", err=True)
        return
    shown = plain(shortened(simplejson.dumps(question["input"]), _INPUT_LENGTH))
    text = f"{plain(question['tool'])} {shown}\nAllow it? [y]es, yes and [r]emember, [n]o"
    choice = click.prompt(text, type=click.Choice(list(_ANSWERS)), show_choices=False, err=True)
    try:
        answer_permission(hub, project_id, permission_id, **_ANSWERS[choice])
    except RequestFailed as error:
        if error.code not in ("already_answered", "permission_not_found"):
            raise
        click.echo(str(error), err=True)


def answer_permission(
    hub: HubClient, project_id: str, permission_id: str, **answer: Any
) -> dict[str, Any]:
    """Send `decision`, and `message` or `remember`. Raises RequestFailed if the answer comes too
    late."""
    return hub.request(
        "permission_answer", project_id=project_id, permission_id=permission_id, **answer
    )
