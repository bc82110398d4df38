"""What the commands of a client do. Each function returns an exit code."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import simplejson

from claudehub.cli.following import answer_permission, follow_execution
from claudehub.cli.render import Renderer
from claudehub.client.connection import (
    ClientError,
    ConnectFailed,
    ConnectionEnded,
    HubClient,
    RequestFailed,
)
from claudehub.client.target import Target

EXIT_BY_OUTCOME = {
    "success": 0,
    "error": 1,
    "timeout": 3,
    "killed": 4,
    "cancelled": 5,
    "lost": 6,
    "interrupted": 130,
}
EXIT_FAILED = 1
EXIT_NO_CONNECTION = 7
LAST_SHOWN = 20


def exit_code_of(error: ClientError) -> int:
    no_connection = isinstance(error, ConnectFailed | ConnectionEnded)
    return EXIT_NO_CONNECTION if no_connection else EXIT_FAILED


def run_prompt(
    target: Target, project: str, prompt: str, options: dict[str, Any], as_json: bool
) -> int:
    with HubClient(target) as hub:
        project_id = _project_id(hub, project)
        hub.request("project_join", project_id=project_id)
        answer = hub.request("execute", project_id=project_id, prompt=prompt, options=options)
        execution_id = answer["execution_id"]
        if answer["state"] == "queued":
            click.echo(f"waiting, at place {answer['position']} in the queue", err=True)
        finished = follow_execution(hub, project_id, execution_id, _shower(as_json))
    outcome = finished["outcome"]
    if outcome != "success":
        click.echo(f"claudehub: {outcome}: {finished['result'] or ''}", err=True)
        if finished["stderr"]:
            click.echo(finished["stderr"].rstrip(), err=True)
    return EXIT_BY_OUTCOME.get(outcome, EXIT_FAILED)


def answer(
    target: Target,
    project: str,
    permission_id: str,
    decision: str,
    message: str | None,
    remember: bool,
) -> int:
    with HubClient(target) as hub:
        answer_permission(
            hub, project, permission_id, decision=decision, message=message, remember=remember
        )
    return 0


def tail_project(
    target: Target,
    project: str,
    last: int | None,
    after_seq: int | None,
    since: str | None,
    as_json: bool,
) -> int:
    if last is None and after_seq is None and since is None:
        last = LAST_SHOWN
    with HubClient(target) as hub:
        hub.request(
            "project_join",
            project_id=_project_id(hub, project),
            last=last,
            after_seq=after_seq,
            since=since,
        )
        show = _shower(as_json)
        position = after_seq
        try:
            for update in _until_deleted(hub.updates()):
                position = update.get("seq", position)
                show(update)
        except KeyboardInterrupt:
            return 0
        except ConnectionEnded as error:
            again = "" if position is None else f"; `--after-seq {position}` continues from here"
            raise ConnectionEnded(f"{error}{again}") from None
    return 0


def _until_deleted(updates: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for update in updates:
        yield update
        if update["update_type"] == "project_deleted":
            return


def _project_id(hub: HubClient, project: str) -> str:
    """Return an id unchanged. Make a project of a path, unless its folder has one."""
    if "/" not in project and project not in (".", ".."):
        return project
    path = str(Path(project).expanduser().absolute())
    try:
        answer = hub.request("project_create", path=path)
    except RequestFailed as error:
        if error.code == "project_exists":
            return str(error.details["project_id"])
        raise
    click.echo(f"made project {answer['project']['project_id']} of {path}", err=True)
    return str(answer["project"]["project_id"])


def _shower(as_json: bool) -> Any:
    if as_json:
        return lambda update: click.echo(simplejson.dumps(update))
    return Renderer(click.echo).show
