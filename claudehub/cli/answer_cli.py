"""`claudehub answer`: answer what an agent asks, from any terminal."""

from collections.abc import Mapping, Sequence

import click

import claudehub
from claudehub.cli.failures import Failed, explained, told
from claudehub.cli.options import as_json, complete_project, on_hub
from claudehub.cli.tables import print_json
from claudehub.cli.where import Where, reached
from claudehub.client.reading import waiting_requests
from claudehub.show.answers import NotUnderstood, chosen
from claudehub.show.questions import Asked, answering_command, question_of

_DECISIONS = ("allow", "deny")


@click.command()
@click.argument(
    "words", nargs=-1, metavar="[PROJECT] [ID] [allow|deny]", shell_complete=complete_project
)
@click.option(
    "--choose",
    "choices",
    multiple=True,
    metavar="QUESTION=ANSWER",
    help="Answer a question: a choice, its number, several with commas, or your own words. "
    "With one question ANSWER is enough. Repeatable.",
)
@click.option("--message", "-m", help="If you deny: tell the agent why.")
@click.option("--remember", is_flag=True, help="If you allow: do not ask again in this session.")
@as_json
@on_hub
@told
def answer(
    words: tuple[str, ...],
    choices: tuple[str, ...],
    message: str | None,
    remember: bool,
    as_json: bool,
    where: Where,
) -> None:
    """Answer what an agent asks. `claudehub pending` shows what waits.

    If only one question waits, neither PROJECT nor ID is needed. The first answer counts, from
    whichever device it comes.

    \b
    Example:
      claudehub answer allow
      claudehub answer site deny -m "use npm ci"
      claudehub answer site 205572b403ddafe4 allow --remember
      claudehub answer --choose "Which colour?=Blue"
    """
    decision, names = _decision(words, choices)
    _check_options(decision, message, remember)
    with reached(where) as hub, explained(hub):
        projects = hub.projects()
        waiting = [request for info in projects for request in waiting_requests(info)]
        if len(names) == 2 and names not in [(w.project_id, w.permission_id) for w in waiting]:
            # Let the hub say what became of it.
            hub.project(names[0], create=False).answer(names[1], decision)
            return
        _check_names(names, projects, waiting)
        request = _chosen(waiting, names)
        hub.project(request.project_id).answer(
            request,
            decision,
            message=message,
            answers=_answers(request, choices, decision),
            remember=remember,
        )
        if as_json:
            print_json({"project_id": request.project_id, "permission_id": request.permission_id})


def _check_options(decision: str, message: str | None, remember: bool) -> None:
    """Raise click.UsageError for an option that this decision would ignore."""
    if message is not None and decision == "allow":
        raise click.UsageError("--message goes with `deny`")
    if remember and decision == "deny":
        raise click.UsageError("--remember goes with `allow`")


def _check_names(
    names: Sequence[str],
    projects: Sequence[claudehub.ProjectInfo],
    waiting: Sequence[claudehub.PermissionRequest],
) -> None:
    """Raise claudehub.RequestRefused for a name that is neither a project nor a question."""
    known = {*(p.id for p in projects), *(w.permission_id for w in waiting)}
    for name in names:
        if name not in known:
            raise claudehub.RequestRefused("project_not_found", "", {"project_id": name})


def _decision(words: tuple[str, ...], choices: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Return the decision, and what names the question. A choice is a decision."""
    if words and words[-1] in _DECISIONS:
        decision, names = words[-1], words[:-1]
    elif choices:
        decision, names = "allow", words
    else:
        raise click.UsageError("say `allow` or `deny` at the end, or --choose an answer")
    if choices and decision == "deny":
        raise click.UsageError("--choose answers a question; `deny` refuses it: give one of them")
    if len(names) > 2:
        raise click.UsageError("give PROJECT and ID, and nothing else, before the decision")
    return decision, names


def _chosen(
    waiting: Sequence[claudehub.PermissionRequest], names: tuple[str, ...]
) -> claudehub.PermissionRequest:
    """Return the one question that is meant. Raises Failed."""
    meant = [w for w in waiting if set(names) <= {w.project_id, w.permission_id}]
    if len(meant) == 1:
        return meant[0]
    where = f" in `{' '.join(names)}`" if names else ""
    if not meant:
        raise Failed(f"nothing waits for an answer{where}")
    listed = "\n".join(f"  {answering_command(question_of(request))}" for request in meant[:10])
    raise Failed(f"{len(meant)} questions wait{where}; say which:\n{listed}")


def _answers(
    request: claudehub.PermissionRequest, choices: Sequence[str], decision: str
) -> Mapping[str, str] | None:
    """Return the answers to the questions of AskUserQuestion. Raises click.UsageError."""
    asked = question_of(request).asked
    if not asked:
        if choices:
            raise click.UsageError("this is no question with choices; say `allow` or `deny`")
        return None
    if decision == "deny":
        return None
    found: dict[str, str] = {}
    for choice in choices:
        question, text = _matched(asked, choice)
        try:
            found[question.text] = chosen(question, text)
        except NotUnderstood as error:
            raise click.UsageError(f"--choose {choice!r}: {error}") from None
    missing = [question.text for question in asked if question.text not in found]
    if missing:
        command = answering_command(question_of(request))
        raise click.UsageError(f"no answer to {missing[0]!r}: {command}")
    return found


def _matched(asked: Sequence[Asked], choice: str) -> tuple[Asked, str]:
    """Return which question a choice answers, and with what. Raises click.UsageError."""
    for question in asked:
        for name in (question.text, question.header):
            if name and choice.startswith(f"{name}="):
                return question, choice.removeprefix(f"{name}=")
    if len(asked) == 1 and "=" not in choice:
        return asked[0], choice
    names = ", ".join(repr(question.text) for question in asked)
    raise click.UsageError(f"--choose {choice!r} names none of the questions: {names}")
