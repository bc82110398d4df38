"""The hub, its projects and executions, for programs with threads. aio.py is the same with `await`.

Any number of threads may use one Hub.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from claudehub.client import flows
from claudehub.client.address import parse_address, usual_url
from claudehub.client.answer import Answer, answer_of, is_too_late
from claudehub.client.calls import Call
from claudehub.client.dialling import connect_failed
from claudehub.client.engine import Engine
from claudehub.client.errors import ConnectionLost, RequestRefused
from claudehub.client.facts import ExecutionFacts, HubFacts
from claudehub.client.flows import After, Start
from claudehub.client.history import History, Moment
from claudehub.client.identity import Identity
from claudehub.client.iteration import Updates
from claudehub.client.position import Position
from claudehub.client.progress import Begun, Progress
from claudehub.client.session import Session, State
from claudehub.client.streams import Stream, WatchStream
from claudehub.client.updates import (
    Gap,
    HistoryGone,
    PermissionRequest,
    ProjectInfo,
    Update,
)

OnPermission = Callable[[PermissionRequest], str | Answer | None]


def connect(
    url: str | None = None,
    *,
    key: str | Path | None = None,
    reconnect: bool = True,
    give_up_after_s: float | None = None,
) -> "Hub":
    """Connect to a hub, and authenticate if it asks for a key.

    `url` is ws://, wss:// or unix:PATH; without one CLAUDEHUB_URL counts, then the Unix socket of
    this machine's hub, then its WS_PORT (ws://127.0.0.1:8080). `key` is the file of an SSH key;
    without one those of ~/.ssh are tried. With `reconnect` a lost connection is made again, for
    `give_up_after_s` seconds or for ever. Raises ConnectFailed.
    """
    address = parse_address(url or usual_url())
    session = Session(address, reconnect=reconnect, give_up_after_s=give_up_after_s)
    try:
        engine = Engine(session, Identity(None if key is None else Path(key).expanduser()))
    except OSError as error:  # such as no free descriptors
        raise connect_failed(address, error) from None
    engine.start()
    return Hub(engine)


class Hub(HubFacts):
    """A hub. Leaving its `with` block closes the connection."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine.session, time.monotonic)
        self._engine = engine

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection. Threads that wait for it are woken, and their iterations end."""
        self._engine.close()

    def on_state(self, callback: Callable[[State], Any]) -> None:
        """Call `callback` with each new state, on a thread of the library. It must not wait for the
        hub."""
        self._engine.on_state(callback)

    def projects(self) -> list[ProjectInfo]:
        return self._engine.run(flows.projects())

    def project(self, id_or_path: str | Path, create: bool = True) -> "Project":
        """Return a project, by its id or by its folder (with a slash). A folder that is no project
        becomes one, unless `create` is False. An id is not looked up. Raises RequestRefused."""
        wanted = flows.wanted_project(str(id_or_path), isinstance(id_or_path, Path), create)
        return Project(self._engine, self._engine.run(wanted))

    def create(
        self,
        path: str | Path,
        project_id: str | None = None,
        name: str | None = None,
        trusted: bool | None = None,
        *,
        continue_conversation: bool = True,
    ) -> "Project":
        """Make a project of an existing folder. Raises RequestRefused."""
        facts: dict[str, Any] = {"project_id": project_id, "name": name, "trusted": trusted}
        facts["continue"] = None if continue_conversation else False
        return Project(self._engine, self._engine.run(flows.created(path, **facts)).project_id)

    def health(self) -> Mapping[str, Any]:
        """Return what `health_check` says."""
        return self._engine.run(flows.asked(Call("health_check")))

    def watch(self) -> "Updates":
        """Iterate over the states of all projects: first, and after each reconnection, the present
        one of each, then every change. The updates are ProjectChanged and ProjectDeleted."""
        watcher = WatchStream()
        subscriptions = self._engine.session.subscriptions
        return Updates(
            self._engine,
            watcher,
            lambda: subscriptions.watch(watcher),
            lambda: subscriptions.unwatch(watcher),
        )


class Project:
    """A project of a hub, by its id."""

    def __init__(self, engine: Engine, project_id: str) -> None:
        self._engine = engine
        self.id = project_id

    def info(self) -> ProjectInfo:
        """Return the hub's description of it. Raises RequestRefused if it does not exist."""
        return self._engine.run(flows.described(self.id))

    def execute(
        self,
        prompt: str | list[Any],
        *,
        key: str | None = None,
        on_permission: OnPermission | None = None,
        traceparent: str | None = None,
        **options: Any,
    ) -> "Execution":
        """Send a prompt, or content blocks, and return when the hub has stored it.

        A prompt with a `key` runs once, however often it is sent, also by a program that was
        started again; without one a key is made. `on_permission` is called with each question of
        the agent while the execution is iterated or waited for; it returns `"allow"`, `"deny"`, an
        Answer, or None to leave the question to others. `traceparent` (W3C Trace Context) makes the
        hub's span of the execution a child of the program's. `options` are those of the protocol.
        Raises RequestRefused.
        """
        begun = self._engine.run(flows.executed(self.id, prompt, key, traceparent, options))
        return Execution(self, begun, on_permission)

    def follow(
        self,
        after: After = None,
        last: int | None = None,
        since: Moment | None = None,
        ephemeral: bool = True,
    ) -> Updates:
        """Iterate over the updates, for ever: without a hole and without a double, over any number
        of lost connections.

        Begin behind `after` (a Position, a number, or 0 for all), `last` updates back, at the time
        `since`, or now. If the log no longer holds what was asked for, a HistoryGone comes in its
        place. The iteration ends when the project is deleted or the hub is closed.
        """
        return self._open(
            self._engine.run(flows.started_at(self.id, after, last, since)), ephemeral
        )

    def history(
        self,
        after: Position | int = 0,
        before: Position | int | None = None,
        since: Moment | None = None,
        until: Moment | None = None,
        *,
        newest_first: bool = False,
    ) -> Iterator[Update]:
        """Iterate over stored updates, oldest first; pages are fetched as they are needed. `after`
        and `before` are exclusive, `since` and `until` inclusive."""
        pages = History(self.id, after, before, since, until, newest_first)
        while not pages.is_over:
            yield from self._engine.run(flows.page_of(pages))

    def answer(
        self,
        permission: PermissionRequest | str,
        decision: str,
        *,
        message: str | None = None,
        answers: Mapping[str, str] | None = None,
        updated_input: Mapping[str, Any] | None = None,
        remember: bool = False,
    ) -> None:
        """Answer a permission request, or a question: `answers={"Which colour?": "Blue"}`.

        `message` tells the agent why, with `"deny"`. `updated_input` replaces the tool's input.
        `remember` makes the CLI's suggestions hold for the rest of its session. Raises
        RequestRefused (`already_answered`, `permission_not_found`).
        """
        said = Answer(decision, message, answers, updated_input, remember)
        self._engine.run(flows.answered(self.id, permission, said))

    def interrupt(self, execution_id: str | None = None) -> str:
        """Ask the agent to stop its turn; return the execution's id. Raises RequestRefused
        (`nothing_running`)."""
        return self._engine.run(flows.ended(self.id, "agent_interrupt", execution_id))

    def kill(self, execution_id: str | None = None) -> str:
        """End the agent's processes; return the execution's id. Raises RequestRefused
        (`nothing_running`)."""
        return self._engine.run(flows.ended(self.id, "agent_kill", execution_id))

    def new_session(self) -> None:
        """Let the next prompt begin a new conversation."""
        self._engine.run(flows.asked(Call("agent_new_session", project_id=self.id)))

    def trust(self, trusted: bool = True) -> ProjectInfo:
        """Say if the folder's own settings, hooks and servers may take effect."""
        return self._engine.run(flows.trusted(self.id, trusted))

    def delete(self, keep_history: bool = False) -> None:
        call = Call("project_delete", project_id=self.id, keep_history=keep_history or None)
        self._engine.run(flows.asked(call))

    def _open(self, start: Start, ephemeral: bool) -> Updates:
        stream = Stream(self.id, start.position, ephemeral)
        subscriptions = self._engine.session.subscriptions
        return Updates(
            self._engine,
            stream,
            lambda: subscriptions.add(stream),
            lambda: subscriptions.remove(stream),
            [start.gone] if start.gone is not None else None,
        )


class Execution(ExecutionFacts):
    """One run of one prompt.

    Iterating gives its updates from its prompt to its ExecutionFinished, also if the connection or
    the hub goes away in between. Each iteration begins anew.
    """

    def __init__(self, project: Project, begun: Begun, on_permission: OnPermission | None) -> None:
        super().__init__(begun)
        self.project = project
        self._engine = project._engine
        self._on_permission = on_permission

    def __iter__(self) -> Iterator[Update]:
        return self._read(None, ephemeral=True)

    def wait(self, timeout_s: float | None = None) -> str:
        """Wait for the end, and return the outcome. Raises TimeoutError and HubError."""
        if self.outcome is None:
            for _ in self._read(timeout_s, ephemeral=False):
                pass
        if self.outcome is None:
            raise ConnectionLost("the hub or the project was closed before the end was known")
        return self.outcome

    def interrupt(self) -> None:
        """Ask the agent to stop."""
        self._engine.run(flows.ended(self.project.id, "agent_interrupt", self.id))

    def kill(self) -> None:
        """End the agent's processes, or take the prompt out of the queue."""
        self._engine.run(flows.ended(self.project.id, "agent_kill", self.id))

    def _read(self, timeout_s: float | None, ephemeral: bool) -> Iterator[Update]:
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        updates = self.project._open(Start(self._begun.position), ephemeral)
        try:
            yield from self._ours(updates, deadline_s)
        except GeneratorExit:
            # Perhaps by the garbage collector, in whichever thread it runs: no lock may be taken.
            updates._abandon()
            raise
        except BaseException:
            updates.close()
            raise
        updates.close()

    def _ours(self, updates: Updates, deadline_s: float | None) -> Iterator[Update]:
        """Yield the updates of this execution up to its end."""
        progress = Progress(self._begun)
        while progress.outcome is None:
            left_s = None if deadline_s is None else max(0.0, deadline_s - time.monotonic())
            try:
                update = updates.get(left_s)
            except EOFError:
                return
            is_ours = progress.take(update)
            if isinstance(update, Gap | HistoryGone):
                lost_at = flows.lost_at(self.project.id, self.id)
                progress.gone(update, self._engine.run(lost_at))
            self._progress.learn(progress)
            if is_ours:
                self._ask(update)
                yield update

    def _ask(self, update: Update) -> None:
        """Let the program answer a question."""
        if self._on_permission is None or not isinstance(update, PermissionRequest):
            return
        said = answer_of(self._on_permission(update))
        if said is None:
            return
        try:
            self._engine.run(flows.answered(self.project.id, update, said))
        except RequestRefused as error:
            if not is_too_late(error):
                raise
