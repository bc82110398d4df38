"""What an attacker found in the client library: each is tried again here."""

import asyncio
import base64
import gc
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

import claudehub
from claudehub.testing import Ask, FakeHub, Hold, Steps
from tests.harness import HubProcess

TIME_S = 30


def in_time(action: Callable[[], None]) -> None:
    """Do something that waits for ever if it fails. Raises what it raises, and TimeoutError."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            action()
        except BaseException as error:  # noqa: BLE001 - the test's own thread raises it
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(TIME_S)
    if thread.is_alive():
        raise TimeoutError
    if failures:
        raise failures[0]


def test_the_garbage_collector_may_end_an_iteration_in_any_thread() -> None:
    with FakeHub() as fake:
        fake.script("p", lambda prompt: ["a"] * 200)
        in_time(lambda: abandon_iterations(fake.url))


def abandon_iterations(url: str) -> None:
    with claudehub.connect(url) as hub:
        project = hub.project("p")
        updates = project.follow()

        class Holder:
            """Keeps an iteration in a circle, so that only the collector frees it."""

            iteration: Any
            circle: Any

        threshold = gc.get_threshold()
        gc.set_threshold(1, 1, 1)
        try:
            for _ in range(20):
                holder = Holder()
                holder.iteration = iter(project.execute("x"))
                holder.circle = holder
                next(holder.iteration)
                del holder
            assert project.execute("last").wait(20) == "success"
        finally:
            gc.set_threshold(*threshold)
        finished = 0
        while finished < 21:
            finished += isinstance(updates.get(20), claudehub.ExecutionFinished)


def test_a_prompt_that_is_awaited_twice_is_sent_once() -> None:
    async def use(url: str) -> list[str]:
        async with claudehub.aio.connect(url) as hub:
            running = (await hub.project("p")).execute("x")
            first = await running
            second = await running
            kinds = [update.type async for update in running]
            assert first is second
            return kinds

    with FakeHub() as fake:
        fake.project("p")
        kinds = asyncio.run(use(fake.url))
        assert (kinds[0], kinds[-1]) == ("prompt", "execution_finished")
        assert len(fake.prompts) == 1


def test_waits_that_are_cancelled_lose_nothing_and_send_nothing_twice() -> None:
    async def some(iteration: Any, timeout_s: float) -> Any:
        return await asyncio.wait_for(anext(iteration), timeout_s)

    async def use(fake: FakeHub) -> list[str]:
        async with claudehub.aio.connect(fake.url) as hub:
            project = await hub.project("p")
            fake.stop()
            running, following = project.execute("x"), project.follow(after=0)
            for _ in range(3):
                for iteration in (running, following):
                    with pytest.raises(TimeoutError):
                        await some(iteration, 0.05)
            fake.start()
            kinds = [(await some(running, 20)).type]
            while True:  # the script holds behind its prompt
                try:
                    kinds.append((await some(running, 0.3)).type)
                except TimeoutError:
                    break
            fake.release("p")
            kinds += [update.type async for update in running]
            assert (await some(following, 20)).type == "prompt"
            return kinds

    with FakeHub() as fake:
        fake.script("p", lambda prompt: [Hold(), "done"])
        kinds = asyncio.run(use(fake))
        assert kinds[0] == "prompt" and kinds[-1] == "execution_finished"
        assert kinds.count("execution_finished") == 1
        assert len(fake.prompts) == 1


def test_an_iteration_that_is_closed_while_it_begins_ends() -> None:
    async def use(fake: FakeHub) -> None:
        async with claudehub.aio.connect(fake.url) as hub:
            project = await hub.project("p")
            fake.stop()
            updates = project.follow()
            waiting = asyncio.create_task(anext(updates, None))  # type: ignore[arg-type]
            began = asyncio.Event()
            asyncio.get_running_loop().call_soon(began.set)
            await began.wait()  # behind the first step of the other task
            updates.close()
            fake.start()
            assert await asyncio.wait_for(waiting, 20) is None

    with FakeHub() as fake:
        fake.project("p")
        asyncio.run(use(fake))


def test_a_callback_that_exits_wakes_who_waits() -> None:
    def ask_on() -> None:
        while True:
            hub.projects()

    with FakeHub() as fake, claudehub.connect(fake.url) as hub:
        hub.on_state(lambda state: sys.exit(3))
        fake.drop_connections()
        with pytest.raises(claudehub.ConnectionLost):
            in_time(ask_on)


def test_a_child_process_is_told_to_connect_anew() -> None:
    with FakeHub() as fake, claudehub.connect(fake.url) as hub:
        engine = hub._engine
        engine._pid = os.getpid() + 1  # as fork() leaves it
        with pytest.raises(RuntimeError, match="connect there anew"):
            hub.projects()
        with pytest.raises(RuntimeError, match="connect there anew"):
            hub.watch()
        engine._pid = os.getpid()


def test_other_scripts_have_the_room_that_the_hub_gives() -> None:
    with FakeHub() as fake, claudehub.connect(fake.url) as hub:
        prompt = "я" * 300_000
        fake.project("p")
        assert hub.project("p").execute(prompt).wait(20) == "success"
        assert fake.prompts[0].prompt == prompt
        with pytest.raises(ValueError, match="surrogates"):
            hub.project("p").execute("\ud800")


def test_an_answer_that_is_cancelled_does_not_lose_its_question() -> None:
    async def use(url: str) -> list[str]:
        async with claudehub.aio.connect(url) as hub:
            gate = asyncio.Event()

            async def slow(question: claudehub.PermissionRequest) -> str:
                await gate.wait()
                return "allow"

            project = await hub.project("p")
            running = aiter(await project.execute("x", on_permission=slow))
            kinds = []
            with pytest.raises(TimeoutError):  # the question, while `slow` thinks
                while True:
                    kinds.append((await asyncio.wait_for(anext(running), 0.3)).type)
            assert "execution_started" in kinds and "permission_request" not in kinds
            gate.set()
            async with asyncio.timeout(TIME_S):
                return kinds + [update.type async for update in running]

    def agent(prompt: str) -> Steps:
        answer = yield Ask("Bash", {"command": "x"})
        return "yes" if answer.is_allowed else "no"

    with FakeHub() as fake:
        fake.script("p", agent)
        kinds = asyncio.run(use(fake.url))
    assert kinds.count("permission_request") == 1 and kinds[-1] == "execution_finished"


def test_a_record_that_is_nested_too_deeply_is_passed_without_its_data(hub: HubProcess) -> None:
    """An asyncio client once connected again for ever: it has the program's own stack above it."""
    deep = b'{"type":"system","deep":' + b"[" * 900 + b"]" * 900 + b"}\n"
    prompt = f"[[raw:{base64.b64encode(deep).decode()}]]"

    async def read() -> list[claudehub.Update]:
        async with claudehub.aio.connect(hub.url) as client:
            project = await client.project(hub.folder("deep"))
            async with asyncio.timeout(TIME_S):
                return [update async for update in await project.execute(prompt)]

    def below(frames: int) -> list[claudehub.Update]:
        return below(frames - 1) if frames else asyncio.run(read())

    updates = below(200)
    numbers = [update.seq for update in updates if update.seq is not None]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert isinstance(updates[-1], claudehub.ExecutionFinished)
    assert [update.type for update in updates if update.seq and not update.data] == ["claude"]
