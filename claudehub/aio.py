"""The client for asyncio: the same as `claudehub.connect`, with `async with`, `async for` and
`await`.

    async with claudehub.aio.connect() as hub:
        site = await hub.project("~/src/site")
        async for update in site.execute("Fix the failing test"):
            print(update)

All calls belong to the event loop in which the hub was connected.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Mapping
from pathlib import Path
from typing import Any, Self

from claudehub.client import flows
from claudehub.client.address import parse_address, usual_url
from claudehub.client.answer import Answer, answer_of, is_too_late
from claudehub.client.async_engine import AsyncEngine
from claudehub.client.async_iteration import Updates
from claudehub.client.calls import Call
from claudehub.client.errors import ConnectionLost, RequestRefused
from claudehub.client.facts import ExecutionFacts, HubFacts
from claudehub.client.flows import After
from claudehub.client.history import History, Moment
from claudehub.client.identity import Identity
from claudehub.client.position import Position
from claudehub.client.progress import Begun, Progress
from claudehub.client.session import Session, State
from claudehub.client.streams import Stream, WatchStream
from claudehub.client.updates import Gap, HistoryGone, PermissionRequest, ProjectInfo, Update

Said = str | Answer | None
OnPermission = Callable[[PermissionRequest], Said | Awaitable[Said]]


class connect:  # noqa: N801 - it is called as a function, as open() and websockets.connect are
    """Connect to a hub: `async with connect() as hub`, or `hub = await connect()`.

    The parameters and errors are those of `claudehub.connect`.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        key: str | Path | None = None,
        reconnect: bool = True,
        give_up_after_s: float | None = None,
    ) -> None:
        self._url = url
        self._identity = Identity(None if key is None else Path(key).expanduser())
        self._options: dict[str, Any] = {
            "reconnect": reconnect,
            "give_up_after_s": give_up_after_s,
        }
        self._hub: Hub | None = None

    def __await__(self) -> Generator[Any, None, "Hub"]:
        return self._connected().__await__()

    async def __aenter__(self) -> "Hub":
        self._hub = await self._connected()
        return self._hub

    async def __aexit__(self, *_: object) -> None:
        if self._hub is not None:
            await self._hub.close()

    async def _connected(self) -> "Hub":
        address = parse_address(self._url or usual_url())
        engine = AsyncEngine(Session(address, **self._options), self._identity)
        try:
            await engine.start()
        except BaseException:
            await engine.close()
            raise
        return Hub(engine)


class Hub(HubFacts):
    """A hub."""

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine.session, asyncio.get_running_loop().time)
        self._engine = engine

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection. Tasks that wait for it are woken, and their iterations end."""
        await self._engine.close()

    def on_state(self, callback: Callable[[State], Any]) -> None:
        """Call `callback` with each new state."""
        self._engine.on_state(callback)

    async def projects(self) -> list[ProjectInfo]:
        return await self._engine.run(flows.projects())

    async def project(self, id_or_path: str | Path, create: bool = True) -> "Project":
        """Return a project, by its id or by its folder (with a slash). A folder that is no project
        becomes one, unless `create` is False. An id is not looked up. Raises RequestRefused."""
        wanted = flows.wanted_project(str(id_or_path), isinstance(id_or_path, Path), create)
        return Project(self._engine, await self._engine.run(wanted))

    async def create(
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
        info = await self._engine.run(flows.created(path, **facts))
        return Project(self._engine, info.project_id)

    async def health(self) -> Mapping[str, Any]:
        """Return what `health_check` says."""
        return await self._engine.run(flows.asked(Call("health_check")))

    def watch(self) -> "Updates":
        """Iterate over the states of all projects: first, and after each reconnection, the present
        one of each, then every change. The updates are ProjectChanged and ProjectDeleted."""
        updates = Updates(self._engine)
        updates.watch(WatchStream())
        return updates


class Project:
    """A project of a hub, by its id."""

    def __init__(self, engine: AsyncEngine, project_id: str) -> None:
        self._engine = engine
        self.id = project_id

    async def info(self) -> ProjectInfo:
        """Return the hub's description of it. Raises RequestRefused if it does not exist."""
        return await self._engine.run(flows.described(self.id))

    def execute(
        self,
        prompt: str | list[Any],
        *,
        key: str | None = None,
        on_permission: OnPermission | None = None,
        traceparent: str | None = None,
        **options: Any,
    ) -> "Executing":
        """Send a prompt, or content blocks: `execution = await project.execute(…)` when the hub has
        stored it, or `async for update in project.execute(…)`.

        The parameters and errors are those of the blocking client; `on_permission` may also be a
        coroutine function.
        """

        async def execution() -> Execution:
            flow = flows.executed(self.id, prompt, key, traceparent, options)
            begun = await self._engine.run(flow)
            return Execution(self, begun, on_permission)

        return Executing(self._engine, execution)

    def follow(
        self,
        after: After = None,
        last: int | None = None,
        since: Moment | None = None,
        ephemeral: bool = True,
    ) -> Updates:
        """Iterate over the updates, as the blocking client does. The iteration begins with
        `await project.follow()`, or when the program asks for the first update."""

        async def start(updates: Updates) -> None:
            found = flows.started_at(self.id, after, last, since)
            begin = await self._engine.run(found)
            updates.read(Stream(self.id, begin.position, ephemeral), begin.gone)

        return Updates(self._engine, start)

    async def history(
        self,
        after: Position | int = 0,
        before: Position | int | None = None,
        since: Moment | None = None,
        until: Moment | None = None,
        *,
        newest_first: bool = False,
    ) -> AsyncIterator[Update]:
        """Iterate over stored updates, oldest first; pages are fetched as they are needed. `after`
        and `before` are exclusive, `since` and `until` inclusive."""
        pages = History(self.id, after, before, since, until, newest_first)
        while not pages.is_over:
            for update in await self._engine.run(flows.page_of(pages)):
                yield update

    async def answer(
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
        await self._engine.run(flows.answered(self.id, permission, said))

    async def interrupt(self, execution_id: str | None = None) -> str:
        """Ask the agent to stop its turn; return the execution's id. Raises RequestRefused
        (`nothing_running`)."""
        return await self._engine.run(flows.ended(self.id, "agent_interrupt", execution_id))

    async def kill(self, execution_id: str | None = None) -> str:
        """End the agent's processes; return the execution's id. Raises RequestRefused
        (`nothing_running`)."""
        return await self._engine.run(flows.ended(self.id, "agent_kill", execution_id))

    async def new_session(self) -> None:
        """Let the next prompt begin a new conversation."""
        await self._engine.run(flows.asked(Call("agent_new_session", project_id=self.id)))

    async def trust(self, trusted: bool = True) -> ProjectInfo:
        """Say if the folder's own settings, hooks and servers may take effect."""
        return await self._engine.run(flows.trusted(self.id, trusted))

    async def delete(self, keep_history: bool = False) -> None:
        call = Call("project_delete", project_id=self.id, keep_history=keep_history or None)
        await self._engine.run(flows.asked(call))


class Executing(AsyncIterator[Update]):
    """A prompt that is sent when it is awaited, or iterated."""

    def __init__(
        self, engine: AsyncEngine, execution: Callable[[], Coroutine[Any, Any, "Execution"]]
    ) -> None:
        self._engine = engine
        self._execution = execution
        self._sending: asyncio.Task[Execution] | None = None
        self._updates: AsyncIterator[Update] | None = None

    def __await__(self) -> Generator[Any, None, "Execution"]:
        return self._sent().__await__()

    async def __anext__(self) -> Update:
        if self._updates is None:
            self._updates = aiter(await self._sent())
        return await anext(self._updates)

    async def _sent(self) -> "Execution":
        """Send the prompt once, however often it is awaited, and also if a wait is cancelled."""
        if self._sending is None:
            self._sending = self._engine.begin(self._execution())
        return await asyncio.shield(self._sending)


class _Reading(AsyncIterator[Update]):
    """The updates of one execution. A wait may be cancelled, and nothing is lost by that."""

    def __init__(self, execution: "Execution", ephemeral: bool) -> None:
        self._execution = execution
        self._engine = execution._engine
        self._progress = Progress(execution._begun)
        self._updates = Updates(self._engine)
        self._stream = Stream(execution.project.id, execution._begun.position, ephemeral)
        self._has_begun = False
        self._pending: Update | None = None
        self._ours: Update | None = None

    async def __anext__(self) -> Update:
        if not self._has_begun:
            self._has_begun = True
            self._updates.read(self._stream, None)
        while self._ours is None:
            if self._pending is None:
                if self._progress.outcome is not None:
                    self._updates.close()
                    raise StopAsyncIteration
                try:
                    self._pending = await self._updates.get()
                except EOFError:
                    raise StopAsyncIteration from None
            is_ours = await self._is_ours(self._pending)
            self._ours, self._pending = self._pending if is_ours else None, None
        await self._execution._ask(self._ours)
        found, self._ours = self._ours, None
        return found

    async def _is_ours(self, update: Update) -> bool:
        """Take an update, behind what has to be awaited: a wait that is cancelled begins anew."""
        lost_at = None
        if isinstance(update, Gap | HistoryGone):
            execution = self._execution
            lost_at = await self._engine.run(flows.lost_at(execution.project.id, execution.id))
        is_ours = self._progress.take(update)
        if isinstance(update, Gap | HistoryGone):
            self._progress.gone(update, lost_at)
        self._execution._progress.learn(self._progress)
        return is_ours


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

    def __aiter__(self) -> AsyncIterator[Update]:
        return _Reading(self, ephemeral=True)

    async def wait(self, timeout_s: float | None = None) -> str:
        """Wait for the end, and return the outcome. Raises TimeoutError and HubError."""
        if self.outcome is None:
            async with asyncio.timeout(timeout_s):
                async for _ in _Reading(self, ephemeral=False):
                    pass
        if self.outcome is None:
            raise ConnectionLost("the hub or the project was closed before the end was known")
        return self.outcome

    async def interrupt(self) -> None:
        """Ask the agent to stop."""
        await self._engine.run(flows.ended(self.project.id, "agent_interrupt", self.id))

    async def kill(self) -> None:
        """End the agent's processes, or take the prompt out of the queue."""
        await self._engine.run(flows.ended(self.project.id, "agent_kill", self.id))

    async def _ask(self, update: Update) -> None:
        """Let the program answer a question."""
        if self._on_permission is None or not isinstance(update, PermissionRequest):
            return
        said = self._on_permission(update)
        if inspect.isawaitable(said):
            said = await said
        answer = answer_of(said)
        if answer is None:
            return
        try:
            await self._engine.run(flows.answered(self.project.id, update, answer))
        except RequestRefused as error:
            if not is_too_late(error):
                raise
