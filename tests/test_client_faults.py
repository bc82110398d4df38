"""The client library against a real hub, over a network that cuts, splits and swallows."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest

import claudehub
from claudehub.client import backoff, session
from claudehub.client.errors import ConnectionLost, HubError, RequestRefused
from claudehub.client.updates import HistoryGone, PermissionResolved, ProjectDeleted, Prompt, Update
from storage.segments import list_segments
from tests.fault_proxy import TO_CLIENT, TO_HUB, FaultProxy, Place
from tests.harness import HubProcess
from tests.processes import wait_until
from tests.test_ssh import keygen, public

# A question, several lines, and partial output: what a session consists of.
PROMPT = "[[tool:Bash:touch asked]][[lines:3]]"
# The first frames behind the handshake and the greeting: a first connection that is cut before
# them has failed.
FIRST = {TO_HUB: 1, TO_CLIENT: 2}


# There are hundreds of losses.
QUICKLY = patch.multiple(backoff, FIRST_S=0.01, LONGEST_S=0.1)


@pytest.fixture(autouse=True)
def quickly() -> Iterator[None]:
    """Reconnect sooner."""
    with QUICKLY:
        yield


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
    kinds = [type(update) for update in log]
    assert kinds.count(Prompt) == 1
    resolved = [update for update in log if isinstance(update, PermissionResolved)]
    assert [update.decision for update in resolved] == ["allow"]


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
    assert proxy.cuts_done > 0.7 * len(places)


def test_a_cut_inside_a_frame_loses_and_repeats_nothing(
    hub: HubProcess, proxy: FaultProxy, hold: Hold
) -> None:
    project_id = f"inside-{hold.__name__.strip('_').replace('_', '-')}"
    places = places_inside(frames_of(hold, hub, proxy, project_id))
    assert len(places) > 20
    for place in places:
        proxy.cuts = [place]
        held(hold, hub, proxy, project_id)
    assert proxy.cuts_done > 0.7 * len(places)


@pytest.mark.parametrize("size", [1, 7])
def test_pieces_of_any_size_are_put_together(
    hub: HubProcess, proxy: FaultProxy, hold: Hold, size: int
) -> None:
    project_id = f"pieces-{size}-{hold.__name__.replace('_', '-')}"
    made(hub, project_id)
    proxy.piece_bytes = size
    held(hold, hub, proxy, project_id)


def test_losses_in_a_row_are_lived_through(hub: HubProcess, proxy: FaultProxy, hold: Hold) -> None:
    """One in the middle, then one after the other in each stage of coming back."""
    project_id = f"row-{hold.__name__.replace('_', '-')}"
    made(hub, project_id)
    proxy.cuts = [
        Place(TO_CLIENT, 8),
        Place(TO_HUB, 0, 5),
        Place(TO_CLIENT, 0, 20),
        Place(TO_CLIENT, 1),
        Place(TO_CLIENT, 1, 3),
        Place(TO_HUB, 2),
        Place(TO_CLIENT, 3),
    ]
    held(hold, hub, proxy, project_id)
    assert proxy.cuts == [] and proxy.cuts_done == 7


# -- silence, restarts


def test_a_connection_that_swallows_everything_is_left(
    share_hub: Any, monkeypatch: pytest.MonkeyPatch, hold: Hold
) -> None:
    """No socket tells it: only the pings of the hub stay out."""
    monkeypatch.setattr(session, "HEARTBEAT_SLACK_S", 0.1)
    hub = share_hub(HEARTBEAT="200ms")
    project_id = f"swallowed-{hold.__name__.replace('_', '-')}"
    made(hub, project_id)
    with FaultProxy(hub.url) as proxy:
        proxy.cuts = [Place(TO_CLIENT, 6, swallows=True)]
        held(hold, hub, proxy, project_id)
        assert proxy.connections == 2


def in_thread(found: list[Any], work: Callable[[], Any]) -> threading.Thread:
    """Begin some work; its result, or the error that ends it, goes to `found`."""

    def run() -> None:
        try:
            found.append(work())
        except (HubError, EOFError) as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


# In a session that asks for a project by its id and has joined nothing.
REPLY_TO_FIRST_REQUEST, REPLY_TO_SECOND_REQUEST = 2, 3


def lose_log(hub: HubProcess, project_id: str) -> None:
    segments = list_segments(hub.data / "projects" / project_id / "log")
    assert segments
    for segment in segments:
        segment.path.unlink()


def read_to(follower: Iterator[Update], last: Update) -> list[Update]:
    """Read until an update has come."""
    read = [next(follower)]
    while read[-1].raw != last.raw:
        read.append(next(follower))
    return read


def raws(updates: list[Update]) -> list[Any]:
    """Return what is stored of updates."""
    return [update.raw for update in updates if update.seq]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Kill a hub with -9 under three programs, and start it again: one that runs a prompt and
    follows, one whose prompt was stored and not answered, and one whose log is lost meanwhile."""
    hub = HubProcess(tmp_path_factory.mktemp("killed").resolve()).start()
    for name in ("follows", "unanswered", "lost"):
        made(hub, name)
    unanswered: list[Any] = []
    with QUICKLY, FaultProxy(hub.url) as proxy, claudehub.connect(proxy.url) as client:
        follower = client.project("follows").follow(after=0)
        run = client.project("follows").execute("[[lines:20]][[hang]]")
        read = [next(follower) for _ in range(4)]
        lost = client.project("lost").execute("[[hang]]")
        lost_updates = iter(lost)
        next(lost_updates)
        proxy.cuts = [Place(TO_CLIENT, REPLY_TO_SECOND_REQUEST, 1)]
        proxy.is_down_after_cut = True
        with claudehub.connect(proxy.url) as second:
            site = second.project("unanswered")
            thread = in_thread(unanswered, lambda: site.execute("once"))
            wait_until(lambda: proxy.cuts_done == 1)
            hub.stop(signal.SIGKILL)
            lose_log(hub, "lost")
            proxy.upstream = hub.start().url
            proxy.is_down = False
            thread.join()
            unanswered[0].wait()
        ran = list(run)
        again = client.project("follows").execute("again").wait()
        log = stored(hub, "follows")
        read += read_to(follower, log[-1])
        told = [*lost_updates]
        prompts = [u for u in stored(hub, "unanswered") if isinstance(u, Prompt)]
    assert hub.stop() == 0
    facts = locals()
    return SimpleNamespace(**facts)


def test_a_reader_loses_and_repeats_nothing_when_its_hub_is_killed(killed: SimpleNamespace) -> None:
    assert raws(killed.read) == raws(killed.log)
    assert killed.again == "success"


def test_an_execution_of_a_killed_hub_ends_as_lost(killed: SimpleNamespace) -> None:
    own = [update for update in killed.log if update.execution_id == killed.run.id]
    assert raws(killed.ran) == raws(own)
    assert killed.run.outcome == "lost" and killed.run.text is None


def test_a_prompt_whose_reply_a_killed_hub_has_not_sent_runs_once(killed: SimpleNamespace) -> None:
    assert [prompt.execution_id for prompt in killed.prompts] == [killed.unanswered[0].id]


def test_an_execution_whose_log_is_lost_is_lost(killed: SimpleNamespace) -> None:
    assert killed.lost.outcome == "lost"
    assert any(isinstance(update, HistoryGone) for update in killed.told)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Stop a hub in order under a program, lose one of its logs, and start it again."""
    hub = HubProcess(tmp_path_factory.mktemp("stopped").resolve()).start()
    for name in ("running", "other-log"):
        made(hub, name)
    states: list[str] = []
    with QUICKLY, FaultProxy(hub.url) as proxy, claudehub.connect(proxy.url) as client:
        client.on_state(states.append)
        site = client.project("other-log")
        site.execute("before").wait()
        before = stored(hub, "other-log")
        follower = site.follow(after=0)
        read = read_to(follower, before[-1])
        run = client.project("running").execute("[[hang]]")
        hub.stop()
        lose_log(hub, "other-log")
        proxy.upstream = hub.start().url
        outcome = run.wait()
        site.execute("after").wait()
        after = stored(hub, "other-log")
        went_on = read_to(follower, after[-1])
    assert hub.stop() == 0
    facts = locals()
    return SimpleNamespace(**facts)


def test_a_hub_that_stops_in_order_ends_an_execution_as_killed(stopped: SimpleNamespace) -> None:
    assert stopped.outcome == "killed"
    assert stopped.states == ["waiting", "connected", "closed"]


def test_another_log_is_told_and_the_reader_goes_on(stopped: SimpleNamespace) -> None:
    gone, *rest = stopped.went_on
    assert raws(stopped.read) == raws(stopped.before)
    assert isinstance(gone, HistoryGone)
    assert gone.log_id != stopped.before[0].position.log_id
    assert raws(rest) == raws(stopped.after)


def test_a_project_that_is_deleted_while_the_reader_is_away_ends_it(
    hub: HubProcess, proxy: FaultProxy
) -> None:
    made(hub, "deleted")
    with claudehub.connect(proxy.url) as client, claudehub.connect(hub.url) as direct:
        follower = client.project("deleted").follow()
        proxy.is_down = True
        proxy.cut()
        wait_until(lambda: client.state == "waiting")
        direct.project("deleted").delete()
        proxy.is_down = False
        (last,) = follower
        assert isinstance(last, ProjectDeleted) and last.by is None


# -- requests whose reply is lost


def test_a_project_whose_creation_was_not_answered_is_made_once(
    hub: HubProcess, proxy: FaultProxy
) -> None:
    proxy.cuts = [Place(TO_CLIENT, REPLY_TO_FIRST_REQUEST, 1)]
    with claudehub.connect(proxy.url) as client:
        assert client.create(hub.folder("made-once"), "made-once").id == "made-once"
        assert proxy.cuts_done == 1
        with pytest.raises(RequestRefused, match="project_exists"):
            client.create(hub.folder("made-once"), "made-once")


def test_an_interrupt_whose_reply_is_lost_has_worked(hub: HubProcess, proxy: FaultProxy) -> None:
    made(hub, "interrupted")
    with claudehub.connect(hub.url) as direct:
        run = direct.project("interrupted").execute("[[hang]]")
        proxy.cuts = [Place(TO_CLIENT, REPLY_TO_SECOND_REQUEST, 1)]
        with claudehub.connect(proxy.url) as client:
            assert client.project("interrupted").interrupt() == run.id
        assert run.wait() == "interrupted" and proxy.cuts_done == 1


# -- keys


def test_a_revoked_key_ends_everything_with_its_reason(start_hub: Any, scratch: Path) -> None:
    key, file = keygen(scratch), scratch / "authorized_keys"
    file.write_text(public(key))
    hub = start_hub(AUTHORIZED_KEYS=str(file))
    found: list[Any] = []
    with claudehub.connect(hub.url, key=key) as client:
        site = client.create(hub.folder("p"))
        follower = site.follow()
        thread = in_thread(found, lambda: list(follower))
        file.write_text("# nobody\n")
        thread.join()
        assert isinstance(found[0], ConnectionLost) and "AUTHORIZED_KEYS" in str(found[0])
        assert client.state == "closed"
        with pytest.raises(ConnectionLost, match="AUTHORIZED_KEYS"):
            client.projects()


def test_a_key_that_is_refused_after_a_restart_ends_it(start_hub: Any, scratch: Path) -> None:
    key, other = keygen(scratch), keygen(scratch, name="other")
    file = scratch / "authorized_keys"
    file.write_text(public(key))
    hub = start_hub(AUTHORIZED_KEYS=str(file))
    with FaultProxy(hub.url) as proxy:

        async def hold() -> None:
            async with claudehub.aio.connect(proxy.url, key=key) as client:
                site = await client.create(hub.folder("p"))
                follower = await site.follow()
                hub.stop()
                file.write_text(public(other))
                hub.start()
                proxy.upstream = hub.url
                with pytest.raises(ConnectionLost, match="not in AUTHORIZED_KEYS"):
                    await anext(follower)
                assert client.state == "closed"

        asyncio.run(hold())
        with pytest.raises(claudehub.ConnectFailed) as failed:
            claudehub.connect(proxy.url, key=key)
        assert failed.value.failure is claudehub.Failure.KEY
        with claudehub.connect(proxy.url, key=other) as client:
            assert client.projects()


def test_a_key_that_stays_lets_a_client_in_again(start_hub: Any, scratch: Path) -> None:
    key, file = keygen(scratch), scratch / "authorized_keys"
    file.write_text(public(key))
    hub = start_hub(AUTHORIZED_KEYS=str(file))
    with FaultProxy(hub.url) as proxy, claudehub.connect(proxy.url, key=key) as client:
        site = client.create(hub.folder("p"))
        for _ in range(3):
            proxy.cut()
            assert site.execute("x").wait() == "success"
        assert proxy.connections == 4


# -- ends


def test_giving_up_wakes_who_waits(hub: HubProcess) -> None:
    made(hub, "given-up")
    with FaultProxy(hub.url) as proxy, claudehub.connect(proxy.url, give_up_after_s=1) as client:
        follower = client.project("given-up").follow()
        proxy.is_down = True
        proxy.cut()
        with pytest.raises(ConnectionLost, match="no connection for 1 s"):
            next(follower)


def test_without_reconnect_a_loss_is_an_error(hub: HubProcess, proxy: FaultProxy) -> None:
    made(hub, "no-reconnect")
    with claudehub.connect(proxy.url, reconnect=False) as client:
        follower = client.project("no-reconnect").follow()
        proxy.cut()
        with pytest.raises(ConnectionLost):
            next(follower)
        assert proxy.connections == 1


def test_close_wakes_every_thread_that_waits(hub: HubProcess) -> None:
    made(hub, "closed")
    found: list[Any] = []
    client = claudehub.connect(hub.url)
    site = client.project("closed")
    follower, watcher = site.follow(), site.follow()
    run = site.execute("[[hang]]")
    threads = [
        in_thread(found, lambda: list(follower)),
        in_thread(found, lambda: [watcher.get() for _ in range(10_000)]),
        in_thread(found, run.wait),
    ]
    client.close()
    for thread in threads:
        thread.join()
    assert sorted(type(each).__name__ for each in found) == ["ConnectionLost", "EOFError", "list"]
    with claudehub.connect(hub.url) as direct:
        direct.project("closed").kill()


def test_a_wait_ends_in_time_though_other_things_come(hub: HubProcess) -> None:
    made(hub, "in-time")
    with claudehub.connect(hub.url) as client:
        site = client.project("in-time")
        run = site.execute("[[lines:10000]][[pace:0.01]]")
        with pytest.raises(TimeoutError):
            run.wait(timeout_s=0.2)
        with site.follow() as quiet, client.project("in-time").follow():
            run.kill()
            with pytest.raises(TimeoutError):
                while True:
                    quiet.get(timeout_s=0.2)
        assert run.wait() == "killed"
