"""A client that watches: the list, what is held behind it, and the slow socket. Without sockets.

The last test plays the Hub, its projects and a client with a slow socket in random order, and
compares what the client has in the end with what there is.
"""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from freezegun import freeze_time

from actors import messages
from actors.client.outbox import Outbox
from actors.client.subscription import Subscription
from actors.client.watcher import ClientWatcher
from actors.hub.watchers import CHANGES_MAX, CHANGES_PERIOD_S
from actors.ports import Caller
from protocol import requests
from protocol.dialect import VERSION_1, Broadcast, broadcast
from protocol.frames import text_frame, text_frames
from protocol.requests import Request, Watch
from protocol.rights import UNLIMITED, Rights
from tests.fakes import FakeTransport, FrozenClock, texts
from tests.test_client_actor import Setup as ClientSetup
from tests.test_watchers import Watching

LIMIT = 1000


def written(payload: dict[str, Any]) -> bytes:
    """Return the result of a watch in its frames."""
    request = Request("watch", "w", Watch())
    return text_frames(VERSION_1.result(request, payload, now="", beside={}))


class Watched:
    """An outbox over a fake socket, and a client that watches."""

    def __init__(self, room: int = 1 << 30) -> None:
        self.transport = FakeTransport(room)
        self.outbox = Outbox(
            self.transport, limit_bytes=LIMIT, clock=FrozenClock(), wake=lambda: None
        )
        self.overflows: list[int] = []
        self.watcher = self.another()

    def another(self) -> ClientWatcher:
        return ClientWatcher(
            client_id="c",
            dialect=VERSION_1,
            outbox=self.outbox,
            overflowed=lambda: self.overflows.append(1),
        )

    def live(self, *listed: str) -> None:
        self.watcher.begin(frozenset(listed))
        self.watcher.go_live(written, payload(*listed))
        self.transport.sent = b""

    def subscription(self, project_id: str) -> Subscription:
        joined = Subscription(
            subscriber_id="c",
            project_id=project_id,
            dialect=VERSION_1,
            outbox=self.outbox,
            wants_ephemeral=True,
            overflowed=lambda *_: None,
            ended=lambda _: None,
        )
        joined.register(0, 0)
        return joined

    def joined(self, project_id: str) -> Subscription:
        joined = self.subscription(project_id)
        assert joined.go_live()
        return joined

    def flush(self) -> list[str]:
        """Let the socket take everything; return what it has got since the last time, in short."""
        self.transport.room = 1 << 30
        self.outbox.flush(0.0)
        return self.sent()

    def sent(self) -> list[str]:
        found = [text.decode() for text in texts(self.transport.sent)]
        self.transport.sent = b""
        return [listed_in(text) if text.startswith('{"type":"result"') else text for text in found]


def listed_in(text: str) -> str:
    projects = json.loads(text)["payload"]["projects"]
    return "list of " + ",".join(project["project_id"] for project in projects)


def payload(*listed: str) -> dict[str, Any]:
    return {"projects": [{"project_id": project_id} for project_id in listed]}


def change(text: str) -> Broadcast:
    return Broadcast(None, text_frame(text.encode()), b"", (), ())


def last(text: str) -> Broadcast:
    frame = text_frame(text.encode())
    return Broadcast(None, frame, frame, (), (), is_final=True)


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_changes_come_behind_the_list(watched: Watched) -> None:
    watched.watcher.begin(frozenset("a"))
    watched.watcher.offer("a", change("a1"))
    watched.watcher.offer("b", change("b1"))
    watched.watcher.offer("a", change("a2"))
    assert watched.sent() == []
    watched.watcher.go_live(written, payload("a"))
    watched.watcher.offer("a", change("a3"))
    assert watched.sent() == ["list of a", "a2", "b1", "a3"]


def test_a_slow_client_gets_the_newest_only() -> None:
    watched = Watched()
    watched.live("a", "b")
    watched.transport.room = 0
    for number in range(100):
        watched.watcher.offer("a", change(f"a{number}"))
        watched.watcher.offer("b", change(f"b{number}"))
    assert len(watched.outbox._backlog) == 2
    assert watched.flush() == ["a99", "b99"]
    watched.watcher.offer("a", change("a100"))
    assert watched.sent() == ["a100"]


def test_a_change_that_is_half_sent_is_finished_and_the_newest_follows() -> None:
    watched = Watched()
    watched.live("a")
    watched.transport.room = 3
    for number in range(5):
        watched.watcher.offer("a", change(f"a{number}"))
    assert watched.flush() == ["a0", "a4"]


def test_the_newest_keeps_the_place_of_the_one_that_waits() -> None:
    """So it comes, however often it changes before the socket has room."""
    watched = Watched(room=0)
    watched.watcher.begin(frozenset())
    watched.watcher.go_live(written, payload())
    watched.watcher.offer("a", change("a1"))
    watched.watcher.offer("b", change("b1"))
    watched.watcher.offer("a", change("a2"))
    assert watched.flush() == ["list of ", "a2", "b1"]


def test_changes_that_wait_do_not_count_and_are_not_dropped() -> None:
    watched = Watched()
    watched.live("a")
    joined = watched.joined("p")
    watched.transport.room = 0
    watched.watcher.offer("a", change("a" * 5 * LIMIT))
    assert watched.outbox.waiting_bytes == 0
    joined.offer(Broadcast(1, text_frame(b"l" * 900), text_frame(b"l" * 900), (), ()))
    joined.offer(Broadcast(None, text_frame(b"d" * 900), b"", (), ()))
    assert watched.flush() == ["a" * 5 * LIMIT, "l" * 900]


def test_nothing_of_a_change_stays_when_it_is_sent() -> None:
    watched = Watched()
    watched.live("a")
    watched.transport.room = 0
    watched.watcher.offer("a", change("a1"))
    assert len(watched.watcher._waiting) == 1
    watched.flush()
    assert len(watched.watcher._waiting) == 0


def test_the_end_of_a_project_takes_the_place_of_its_change() -> None:
    watched = Watched()
    watched.live("a")
    watched.transport.room = 0
    watched.watcher.offer("a", change("a1"))
    watched.watcher.offer_last("a", last("end of a"), is_known=True)
    watched.watcher.offer("a", change("a of a new project"))
    assert watched.flush() == ["end of a", "a of a new project"]


def test_the_end_alone_makes_a_busy_socket_no_less_busy() -> None:
    watched = Watched()
    watched.live("a")
    watched.transport.room = 0
    watched.watcher.offer("a", change("a1"))
    watched.watcher.offer_last("a", last(""), is_known=False)
    assert watched.flush() == []
    watched.watcher.offer("b", change("b1"))
    assert watched.sent() == ["b1"]


def test_ends_are_never_dropped_a_client_that_takes_none_is_closed() -> None:
    watched = Watched()
    watched.live()
    watched.transport.room = 0
    text = "e" * 400
    for name in "abc":
        watched.watcher.offer_last(name, last(text), is_known=True)
    assert watched.overflows == [1]
    watched.watcher.offer("d", change("d1"))
    assert watched.flush() == [text] * 2


def test_the_client_that_is_too_slow_for_ends_is_closed_with_1013() -> None:
    setup = ClientSetup()
    setup.say("watch")
    watcher = setup.hub.take()[0].watcher
    watcher._overflowed()
    setup.handle_own()
    assert b"\x03\xf5slow consumer; watch again" in setup.transport.sent


def test_who_has_joined_gets_an_end_once(watched: Watched) -> None:
    watched.live("a", "b")
    joined = watched.joined("a")
    joined.offer(last("end of a, to who has joined"))
    for name in "ab":
        watched.watcher.offer_last(name, last(f"end of {name}"), is_known=True)
    assert watched.sent() == ["end of a, to who has joined", "end of b"]
    watched.watcher.offer_last("a", last("end of another a"), is_known=True)
    assert watched.sent() == ["end of another a"]


def test_who_replays_gets_an_end_once_behind_the_replay(watched: Watched) -> None:
    watched.live("a")
    joined = watched.subscription("a")
    joined.register(0, 1)
    joined.offer(last("end"))
    watched.watcher.offer_last("a", last("end"), is_known=True)
    assert watched.sent() == []
    joined.replayed(text_frame(b"one"), 1)
    assert joined.go_live()
    assert watched.sent() == ["one", "end"]
    watched.watcher.offer_last("a", last("end of another a"), is_known=True)
    assert watched.sent() == ["end of another a"]


def test_who_has_left_gets_the_end_as_a_watcher(watched: Watched) -> None:
    watched.live("a")
    watched.joined("a").left()
    watched.watcher.offer_last("a", last("end"), is_known=True)
    assert watched.sent() == ["end"]


def test_an_end_before_the_list_is_written_is_no_longer_in_the_list(watched: Watched) -> None:
    watched.watcher.begin(frozenset("abc"))
    watched.watcher.offer("a", change("a1"))
    watched.watcher.offer_last("a", last("end of a"), is_known=True)
    watched.watcher.offer("c", change("c1"))
    watched.watcher.go_live(written, payload("a", "b", "c"))
    assert watched.sent() == ["list of b,c", "c1"]


def test_an_end_that_a_subscription_has_told_is_no_longer_in_the_list(watched: Watched) -> None:
    """The project tells its subscribers before it tells the Hub."""
    joined = watched.joined("a")
    watched.watcher.begin(frozenset("ab"))
    joined.offer(last("end of a"))
    watched.watcher.go_live(written, payload("a", "b"))
    watched.watcher.offer_last("a", last("end of a"), is_known=True)
    assert watched.sent() == ["end of a", "list of b"]


def test_an_end_while_the_list_is_encoded_is_seen(watched: Watched) -> None:
    watched.watcher.begin(frozenset("ab"))

    def slowly(shown: dict[str, Any]) -> bytes:
        if len(shown["projects"]) == 2:
            watched.watcher.offer_last("a", last("end of a"), is_known=True)
        return written(shown)

    watched.watcher.go_live(slowly, payload("a", "b"))
    assert watched.sent() == ["list of b"]


def test_a_watch_that_has_ended_before_its_list_is_written_shows_the_list_only(
    watched: Watched,
) -> None:
    watched.watcher.begin(frozenset("a"))
    watched.watcher.offer("a", change("a1"))
    watched.watcher.end()
    watched.watcher.go_live(written, payload("a"))
    watched.watcher.offer("a", change("a2"))
    assert watched.sent() == ["list of a"]
    assert watched.outbox.ended is None


def test_a_second_watch_holds_its_changes_until_its_own_list() -> None:
    watched = Watched()
    watched.live("a")
    watched.transport.room = 0
    watched.watcher.offer("a", change("a1"))
    watched.watcher.end()
    watched.watcher = watched.another()
    watched.watcher.begin(frozenset("a"))
    watched.watcher.offer("a", change("a2"))
    watched.watcher.go_live(written, payload("a"))
    assert watched.flush() == ["a1", "list of a", "a2"]


def test_the_client_writes_the_answer_in_its_turn() -> None:
    setup = ClientSetup()
    setup.say("agent_kill", "1", project_id="p")
    setup.say("watch", "2")
    watch = setup.hub.take()[0]
    watch.watcher.begin(frozenset("a"))
    setup.client.on_receive(
        messages.Watched(number=watch.reply_to.number, payload=payload("a"), watcher=watch.watcher)
    )
    batch = broadcast(VERSION_1, [(b"{}", False, True)], last_seq=None, deflation=None)
    watch.watcher.offer("a", batch)
    assert setup.sent() == []
    setup.project.take()[0].reply_to.result({"execution_id": "e"})
    setup.handle_own()
    assert [(m["type"], m.get("id")) for m in setup.sent()] == [
        ("result", "1"),
        ("result", "2"),
        ("update", None),
    ]


# -- everything at once ----------------------------------------------------------------------


class Viewer:
    """A client of the protocol: it has the list, and applies what comes behind it."""

    def __init__(self, world: "World", client_id: str, rights: Rights) -> None:
        self.world = world
        self.caller = Caller(client_id, rights=rights)
        self.transport = FakeTransport()
        self.outbox = Outbox(
            self.transport, limit_bytes=1 << 20, clock=FrozenClock(), wake=lambda: None
        )
        self.answers: list[messages.Watched] = []
        self.view: dict[str, str | None] | None = None

    def watch(self) -> None:
        watcher = ClientWatcher(
            client_id=self.caller.client_id,
            dialect=VERSION_1,
            outbox=self.outbox,
            overflowed=lambda: pytest.fail("too slow"),
        )
        self.world.ask_watch(watcher, self.caller)

    def write_answers(self) -> None:
        while self.answers:
            answer = self.answers.pop(0)
            watcher = answer.watcher
            assert isinstance(watcher, ClientWatcher)
            watcher.go_live(written, answer.payload)

    def drain(self, room: int) -> None:
        self.transport.room = room
        self.outbox.flush(0.0)

    def read(self) -> None:
        """Apply whole messages; what is half sent stays."""
        sent = self.transport.sent
        at, found = 0, []
        while at + 2 <= len(sent):
            length, head = sent[at + 1] & 0x7F, 2
            if length == 126:
                head, length = 4, int.from_bytes(sent[at + 2 : at + 4])
            if at + head + length > len(sent):
                break
            found.append(sent[at + head : at + head + length])
            at += head + length
        self.transport.sent = sent[at:]
        for text in found:
            self.apply(json.loads(text))

    def apply(self, message: dict[str, Any]) -> None:
        if message["type"] == "result":
            projects = message["payload"]["projects"]
            self.view = {p["project_id"]: p["session_id"] for p in projects}
            return
        assert self.view is not None, "an update before the list"
        project_id, data = message["payload"]["project_id"], message["payload"]["data"]
        assert self.caller.rights.sees(project_id)
        if message["payload"]["update_type"] == "project_deleted":
            self.view.pop(project_id, None)
        else:
            self.view[project_id] = data["project"]["session_id"]


class World(Watching):
    """A Hub, three projects that come and go, and three clients."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, seed: int, clock: Any) -> None:
        super().__init__(root, monkeypatch)
        self.choose = random.Random(seed)
        self.clock = clock
        self.versions = 0
        self.armed: set[str] = set()
        self.opening: list[str] = []
        self.closing: list[str] = []
        bound = Rights(projects=frozenset({"a", "b"}))
        self.viewers = [Viewer(self, f"v{n}", r) for n, r in enumerate([UNLIMITED] * 2 + [bound])]

    def steps(self) -> list[Any]:
        return [
            self.begin_project, self.open_one, self.change_one, self.change_one, self.answer_one,
            self.answer_one, self.answer_one, self.begin_end, self.end_one, self.fail_one,
            self.tick, self.some_watch, self.some_write, self.some_drain, self.some_drain,
        ]  # fmt: skip

    def some(self) -> Viewer:
        return self.choose.choice(self.viewers)

    def begin_project(self) -> None:
        name = self.choose.choice("abc")
        if name not in self.hub._registry:
            self.create(name)
            self.opening.append(name)

    def open_one(self) -> None:
        if self.opening:
            name = self.opening.pop(0)
            if name in self.hub._registry and name not in self.closing:
                self.versions += 1
                trusted = self.choose.random() < 0.5
                self.open(name, session_id=f"s{self.versions}", trusted=trusted)

    def change_one(self) -> None:
        name = self.choose.choice("abc")
        if name in self.infos and name not in self.closing:
            self.versions += 1
            update = {"session_id": f"s{self.versions}"}
            self.infos[name] = self.infos[name].model_copy(update=update)
            if name in self.armed:
                self.armed.discard(name)
                self.hub.on_receive(messages.ProjectChanged(project_id=name))

    def answer_one(self) -> None:
        self.answer_for(self.choose.choice("abc"))

    def answer_for(self, name: str) -> None:
        if name not in self.infos:
            return
        for told in self.projects[name].take():
            if not isinstance(told, messages.Describe):
                self.projects[name].actor_ref.tell(told)
                continue
            if told.is_watched:
                self.armed.add(name)
            info = self.infos[name]
            number = told.list_number
            self.hub.on_receive(messages.ProjectDescribed(list_number=number, info=info))

    def begin_end(self) -> None:
        name = self.choose.choice("abc")
        if name in self.infos and name not in self.closing and self.choose.random() < 0.3:
            self.ask(requests.ProjectDelete(project_id=name))
            self.closing.append(name)

    def end_one(self) -> None:
        if self.closing:
            name = self.closing.pop(0)
            self.infos.pop(name)
            self.armed.discard(name)
            self.closed_for_deletion(name)

    def fail_one(self) -> None:
        name = self.choose.choice("abc")
        if name in self.infos and name not in self.closing and self.choose.random() < 0.1:
            del self.infos[name]
            self.armed.discard(name)
            self.died(name)
            if self.hub._registry[name].ref is None:  # it has failed too often
                self.fire(messages._ReopenDue)
            self.opening.append(name)

    def tick(self) -> None:
        self.clock.tick(self.choose.choice([0.05, 0.3, 1.1]))
        if self.choose.random() < 0.5:
            self.fire(messages._ChangeDue)
        if self.choose.random() < 0.1:
            self.fire(messages._ProjectListDue)

    def some_watch(self) -> None:
        if self.choose.random() < 0.2:
            self.some().watch()
        elif self.choose.random() < 0.1:
            viewer = self.some()
            self.ask(requests.Unwatch(), viewer.caller)
            viewer.watch()

    def some_write(self) -> None:
        self.sort_answers()
        self.some().write_answers()

    def some_drain(self) -> None:
        viewer = self.some()
        viewer.drain(self.choose.choice([0, 7, 100, 1000, 100_000]))
        viewer.read()

    def sort_answers(self) -> None:
        for answer in self.client.take():
            if isinstance(answer, messages.Watched):
                (viewer,) = [v for v in self.viewers if v.caller.client_id == answer.watcher.id]
                viewer.answers.append(answer)

    def settle(self) -> None:
        """Let everything that is under way come to its end."""
        for _ in range(30):
            self.open_one()
            self.end_one()
            for name in "abc":
                self.answer_for(name)
            self.clock.tick(CHANGES_PERIOD_S)
            self.fire(messages._ChangeDue)
            self.sort_answers()
            for viewer in self.viewers:
                viewer.write_answers()
                viewer.drain(1 << 30)
                viewer.read()


@pytest.mark.parametrize("seed", range(60))
def test_every_view_ends_as_the_projects_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    with freeze_time("2026-11-24T12:00:00Z") as clock:
        world = World(tmp_path.resolve(), monkeypatch, seed, clock)
        for viewer in world.viewers:
            viewer.watch()
        for _ in range(400):
            world.choose.choice(world.steps())()
        world.settle()
        assert not (world.opening or world.closing)
        now = {name: info.session_id for name, info in world.infos.items()}
        for viewer in world.viewers:
            seen = {name: at for name, at in now.items() if viewer.caller.rights.sees(name)}
            assert viewer.view == seen


@pytest.mark.parametrize("seed", range(10))
def test_no_project_is_shown_more_often_than_it_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    with freeze_time("2026-11-24T12:00:00Z") as clock:
        setup = Watching(tmp_path.resolve(), monkeypatch)
        setup.made("a", trusted=True)
        watcher = setup.watch()
        choose = random.Random(seed)
        shown_at: list[float] = []
        for number in range(300):
            clock.tick(choose.choice([0.01, 0.05, 0.2]))
            setup.changed("a", session_id=f"s{number}")
            if choose.random() < 0.2:
                setup.watch("other")
            setup.fire(messages._ChangeDue)
            setup.answer()
            shown_at += [FrozenClock().monotonic()] * len(watcher.take())
        assert len(shown_at) > 20
        firsts = zip(shown_at, shown_at[CHANGES_MAX:], strict=False)
        assert all(fifth - first >= CHANGES_PERIOD_S - 1e-6 for first, fifth in firsts)
