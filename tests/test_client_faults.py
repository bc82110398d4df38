"""The client library against a real hub, over a network that cuts, splits, holds and swallows."""

import asyncio
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import claudehub
from claudehub.client import backoff, session
from claudehub.client.errors import ConnectionLost
from claudehub.client.updates import HistoryGone, Prompt, Update
from tests.fault_proxy import TO_CLIENT, TO_HUB, FaultProxy, Place
from tests.harness import HubProcess
from tests.processes import wait_until
from tests.test_ssh import keygen, public

# A question, several lines, and partial output: what a session consists of.
PROMPT = "[[tool:Bash:echo hi]][[lines:3]]"
# The first frames behind the handshake and the greeting: a first connection that is cut before
# them has failed.
FIRST = {TO_HUB: 1, TO_CLIENT: 2}


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reconnect sooner: there are hundreds of losses."""
    monkeypatch.setattr(backoff, "FIRST_S", 0.01)


@pytest.fixture
def proxy(hub: HubProcess) -> Iterator[FaultProxy]:
    with FaultProxy(hub.url) as proxy:
        yield proxy


def made(hub: HubProcess, name: str) -> str:
    with claudehub.connect(hub.url) as direct:
        return direct.create(hub.folder(name), name).id


def stored(hub: HubProcess, project_id: str) -> list[Update]:
    """Return what the log holds."""
    with claudehub.connect(hub.url) as direct:
        return list(direct.project(project_id).history())


# -- one session: a prompt whose question is answered, and a reader beside it


def session_of(url: str, project_id: str) -> tuple[str, list[Update], list[Update]]:
    """Hold a session; return the execution's id, its updates, and what the reader got meanwhile."""
    with claudehub.connect(url) as hub:
        site = hub.project(project_id)
        follower = site.follow()
        run = site.execute(PROMPT, on_permission=lambda question: "allow")
        ran = list(run)
        assert run.outcome == "success"
        read = []
        while not read or read[-1].seq != ran[-1].seq:
            read.append(next(follower))
        return run.id, ran, read


async def async_session_of(url: str, project_id: str) -> tuple[str, list[Update], list[Update]]:
    async with claudehub.aio.connect(url) as hub:
        site = await hub.project(project_id)
        follower = await site.follow()
        run = await site.execute(PROMPT, on_permission=lambda question: "allow")
        ran = [update async for update in run]
        assert run.outcome == "success"
        read: list[Update] = []
        while not read or read[-1].seq != ran[-1].seq:
            read.append(await anext(follower))
        return run.id, ran, read


def in_asyncio(url: str, project_id: str) -> tuple[str, list[Update], list[Update]]:
    return asyncio.run(async_session_of(url, project_id))


HOLD = {"threads": session_of, "asyncio": in_asyncio}
Hold = Callable[[str, str], tuple[str, list[Update], list[Update]]]


def held(hold: Hold, hub: HubProcess, proxy: FaultProxy, project_id: str) -> None:
    """Hold a session, and compare what came out with the log."""
    before = len(stored(hub, project_id))
    execution_id, ran, read = hold(proxy.url, project_id)
    log = stored(hub, project_id)[before:]
    assert [update.raw for update in read if update.seq] == [update.raw for update in log]
    own = [update for update in log if update.execution_id == execution_id]
    assert [update.raw for update in ran if update.seq] == [update.raw for update in own]
    assert [type(update) for update in log].count(Prompt) == 1


@pytest.fixture(params=HOLD)
def hold(request: pytest.FixtureRequest) -> Hold:
    found: Hold = HOLD[request.param]
    return found


def frames_of(hold: Hold, hub: HubProcess, proxy: FaultProxy, name: str) -> dict[str, list[int]]:
    """Return the sizes of the frames of a session that nothing disturbs."""
    project_id = made(hub, name)
    held(hold, hub, proxy, project_id)  # the second one has a process that is warm
    held(hold, hub, proxy, project_id)
    return {direction: counter.sizes for direction, counter in proxy.counters().items()}


def places_between(sizes: dict[str, list[int]]) -> list[Place]:
    return [
        Place(direction, frame + 1)
        for direction in (TO_HUB, TO_CLIENT)
        for frame in range(FIRST[direction], len(sizes[direction]))
    ]


def places_inside(sizes: dict[str, list[int]]) -> list[Place]:
    """Return three places in every third frame: in its head, in the middle, before its end."""
    return [
        Place(direction, frame, offset)
        for direction in (TO_HUB, TO_CLIENT)
        for frame in range(FIRST[direction], len(sizes[direction]), 3)
        for offset in sorted({1, sizes[direction][frame] // 2, sizes[direction][frame] - 1})
        if 0 < offset < sizes[direction][frame]
    ]


def test_a_cut_at_any_boundary_of_frames_loses_and_repeats_nothing(
    hub: HubProcess, proxy: FaultProxy, hold: Hold
) -> None:
    project_id = f"between-{hold.__name__.strip('_').replace('_', '-')}"
    places = places_between(frames_of(hold, hub, proxy, project_id))
    assert len(places) > 25
    for place in places:
        proxy.cuts = [place]
        held(hold, hub, proxy, project_id)
    # The last frames of a session may be in another order, or not be there.
    assert proxy.cuts_done > 0.9 * len(places)


def test_a_cut_inside_a_frame_loses_and_repeats_nothing(
    hub: HubProcess, proxy: FaultProxy, hold: Hold
) -> None:
    project_id = f"inside-{hold.__name__.strip('_').replace('_', '-')}"
    places = places_inside(frames_of(hold, hub, proxy, project_id))
    assert len(places) > 20
    for place in places:
        proxy.cuts = [place]
        held(hold, hub, proxy, project_id)
    assert proxy.cuts_done > 0.8 * len(places)
