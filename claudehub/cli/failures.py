"""What went wrong, in the words of the command line, and what to type next.

Each text has at most three lines. docs/errors.md lists them; tests/test_failures.py provokes each.
"""

import errno
import functools
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

import claudehub
from claudehub.cli.exit_codes import FAILED, INTERRUPTED, NO_CONNECTION
from claudehub.cli.output import say
from claudehub.show.safe_text import one_line, shortened

_IDS_SHOWN = 12
_TEXT_MAX = 600
# What a full or broken disk says when a command prints into a file.
_OUTPUT_FAULTS = (errno.ENOSPC, errno.EIO, errno.EBADF, errno.EFBIG, errno.EDQUOT)
_NEXT = {
    claudehub.Failure.NOTHING_LISTENS: "`claudehub serve` starts a hub; --url names another one",
    claudehub.Failure.NAME: "is the address right? `claudehub hub list` shows those with a name",
    claudehub.Failure.UNREACHABLE: "is the machine on, and the tunnel or VPN up?",
    claudehub.Failure.ADDRESS: "",
    claudehub.Failure.CERTIFICATE: "",
    claudehub.Failure.TLS_EXPECTED: "",
    claudehub.Failure.TLS_NOT_SPOKEN: "",
    claudehub.Failure.NOT_A_HUB: "is it the right port, and is PATH_PREFIX in the address?",
    claudehub.Failure.REFUSED: "",
    claudehub.Failure.FULL: "try again later, or raise MAX_CONN of the hub",
    claudehub.Failure.KEY: "--key FILE names another key; the hub's AUTHORIZED_KEYS must have it",
}


class Failed(click.ClickException):
    """A command cannot do what it was asked; the text says why, and what helps."""

    def show(self, file: Any = None) -> None:
        """Print the text to `file`, or to standard error without one."""
        say(f"claudehub: {self.message}", err=True, file=file)


def failure_words(error: claudehub.HubError, hub: claudehub.Hub | None) -> str:
    """Return what to print. `hub` is asked which projects there are, if it can be."""
    if isinstance(error, claudehub.ConnectFailed):
        return _joined(str(error), _NEXT[error.failure])
    if isinstance(error, claudehub.RequestRefused):
        maker = _REFUSALS.get(error.code)
        if maker is None:
            return f"{error.message} ({error.code})"
        if error.code == "project_not_found":
            return _no_project(error.details, hub)
        return maker(error, error.details)
    if isinstance(error, claudehub.ConnectionLost):
        return _joined(
            str(error), "the execution, if one runs, goes on: `claudehub tail PROJECT` shows it"
        )
    return str(error)


def _joined(problem: str, remedy: str) -> str:
    return f"{problem}\n{remedy}" if remedy else problem


def _no_project(details: Mapping[str, Any], hub: claudehub.Hub | None) -> str:
    wanted = details.get("path") or details.get("project_id") or "of that name"
    ids = details.get("projects") or _ids(hub)
    if not ids:
        return f"no project `{wanted}`; `claudehub projects create FOLDER` makes one"
    shown = ", ".join(ids[:_IDS_SHOWN]) + (", …" if len(ids) > _IDS_SHOWN else "")
    return f"no project `{wanted}`; there are: {shown}"


def _ids(hub: claudehub.Hub | None) -> list[str]:
    if hub is None or hub.state is not claudehub.State.CONNECTED:
        return []
    try:
        return [project.id for project in hub.projects()]
    except claudehub.HubError:
        return []  # the first error is the one to tell


def _exists(error: claudehub.RequestRefused, details: Mapping[str, Any]) -> str:
    return _joined(
        f"{error.message}: `{details.get('project_id')}`",
        f"`claudehub run {details.get('project_id')} PROMPT` uses it",
    )


def _roots(error: claudehub.RequestRefused, details: Mapping[str, Any]) -> str:
    roots = ", ".join(details.get("roots", ()))
    allowed = f"the hub allows: {roots}; PROJECT_ROOTS of the hub" if roots else "PROJECT_ROOTS"
    return _joined(error.message, f"{allowed} says where projects may be")


def _answered(error: claudehub.RequestRefused, details: Mapping[str, Any]) -> str:
    return f"answered already, by {details.get('by')}: {details.get('decision')}"


def _option(error: claudehub.RequestRefused, details: Mapping[str, Any]) -> str:
    """Name the flag, not the field of the protocol."""
    path = str(details.get("field", ""))
    said = error.message.removeprefix(f"{path}: ")
    name = next((part for part in path.split(".") if part in _FLAGS), None)
    return f"{_FLAGS[name]}: {said}" if name is not None else error.message


def _plainly(remedy: str) -> Callable[[claudehub.RequestRefused, Mapping[str, Any]], str]:
    return lambda error, details: _joined(error.message, remedy)


# What the command line calls a field of the protocol.
_FLAGS = {
    "prompt": "the prompt",
    "key": "--once",
    "model": "--model",
    "fallback_model": "--fallback-model",
    "permission_mode": "--permission-mode",
    "allowed_tools": "--allow-tool",
    "disallowed_tools": "--deny-tool",
    "append_system_prompt": "--system-prompt",
    "add_dirs": "--add-dir",
    "max_turns": "--max-turns",
    "timeout_seconds": "--timeout",
    "project_id": "the id",
    "name": "--name",
    "path": "the folder",
}
_REFUSALS: dict[str, Callable[[claudehub.RequestRefused, Mapping[str, Any]], str]] = {
    "project_not_found": _plainly(""),
    "project_exists": _exists,
    "path_not_allowed": _roots,
    "invalid_path": _plainly(""),
    "project_nesting": _plainly("`claudehub projects list` shows the folders of all projects"),
    "too_many_projects": _plainly("`claudehub projects delete PROJECT` makes room"),
    "already_answered": _answered,
    "permission_not_found": _plainly("`claudehub pending` shows what waits for an answer"),
    "nothing_running": lambda error, details: (
        "nothing runs there; `claudehub status` shows what does"
    ),
    "queue_full": _plainly("`claudehub queue PROJECT` shows what waits; MAX_QUEUE is the limit"),
    "invalid_options": _option,
    "invalid_message": _option,
    "unauthenticated": _plainly("--key FILE names another key"),
    "forbidden": _plainly(""),
    "rate_limited": _plainly("RATE_LIMIT of the hub is the limit"),
    "storage_failed": _plainly("`claudehub health` says what is wrong with the hub"),
    "unknown_type": _plainly("the hub is older than this command: update it"),
}


def told(command: Callable[..., int | None]) -> Callable[..., None]:
    """Run a command; print what goes wrong, and exit with the code of the result."""

    @functools.wraps(command)
    def with_words(*arguments: Any, **options: Any) -> None:
        try:
            code = command(*arguments, **options) or 0
        except (KeyboardInterrupt, click.Abort):
            code = INTERRUPTED
        except claudehub.HubError as error:
            code = _report(error, None)
        except OSError as error:
            if error.errno == errno.EPIPE:  # `| head`: click ends the program in silence
                raise
            code = told_fault(error)
        sys.exit(code)

    return with_words


def told_fault(error: OSError) -> int:
    """Print what the system refuses, in one line; return the exit code."""
    is_output = error.errno in _OUTPUT_FAULTS
    words = f"the output cannot be written: {error.strerror}" if is_output else str(error)
    say(f"claudehub: {one_line(words)}", err=True)
    return FAILED


@contextmanager
def explained(hub: claudehub.Hub) -> Iterator[claudehub.Hub]:
    """Report a refusal while the hub can still be asked what there is instead."""
    try:
        yield hub
    except claudehub.RequestRefused as error:
        sys.exit(_report(error, hub))


def _report(error: claudehub.HubError, hub: claudehub.Hub | None) -> int:
    lines = shortened(failure_words(error, hub), _TEXT_MAX).splitlines()
    for number, line in enumerate(lines):
        say(("claudehub: " if number == 0 else "  ") + one_line(line), err=True)
    is_far = isinstance(error, claudehub.ConnectFailed | claudehub.ConnectionLost)
    return NO_CONNECTION if is_far else FAILED
