"""The hub's view: who watches, what they are shown, and when. The Hub is not started."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from freezegun import freeze_time

from actors import messages
from actors.access.keyring import Keyring
from actors.access.prompt_keys import Standing
from actors.hub.metadata import error_info
from actors.hub.watchers import CHANGES_MAX, CHANGES_PERIOD_S
from actors.messages.replies import ReplyTo
from actors.ports import Caller, Credential
from protocol import codec, requests
from protocol.dialect import VERSION_1, Message, Update, Version1
from protocol.rights import Rights
from protocol.ssh import parse_public_key
from protocol.updates import ProjectInfo, ProjectStatus
from tests.fakes import Probe, RecordingWatcher
from tests.test_hub_actor import Setup
from tests.test_ssh import keygen, public
from tests.test_storage import a_meta


class Watching(Setup):
    """A Hub whose projects are probes that say what the test has set."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
        super().__init__(root, monkeypatch, **settings)
        self.infos: dict[str, ProjectInfo] = {}
        self.described = 0

    def made(self, name: str, **facts: Any) -> Probe:
        self.create(name)
        self.open(name, **facts)
        self.client.take()
        return self.projects[name]

    def open(self, name: str, **facts: Any) -> None:
        idle = error_info(a_meta(name)).model_copy(update={"status": ProjectStatus.IDLE, **facts})
        self.infos[name] = idle
        self.hub.on_receive(messages.ProjectOpened(info=idle))

    def change(self, name: str, **facts: Any) -> None:
        """Change a project, which says so."""
        self.infos[name] = self.infos[name].model_copy(update=facts)
        self.hub.on_receive(messages.ProjectChanged(project_id=name))

    def answer(self, *names: str) -> None:
        """Let these projects answer, or all."""
        for name in names or list(self.projects):
            for told in self.projects[name].take():
                if not isinstance(told, messages.Describe):
                    self.projects[name].actor_ref.tell(told)
                    continue
                self.described += 1
                number, info = told.list_number, self.infos[name]
                self.hub.on_receive(messages.ProjectDescribed(list_number=number, info=info))

    def changed(self, name: str, **facts: Any) -> None:
        self.change(name, **facts)
        self.answer(name)

    def watch(self, client_id: str = "c1", rights: Rights | None = None) -> RecordingWatcher:
        watcher = RecordingWatcher(client_id)
        self.ask_watch(watcher, Caller(client_id, rights=rights or Rights()))
        self.answer()
        return watcher

    def ask_watch(self, watcher: Any, caller: Caller) -> None:
        self.numbers += 1
        self.hub.on_receive(
            messages.HubRequest(
                reply_to=ReplyTo(self.client.actor_ref, self.numbers),
                caller=caller,
                body=requests.Watch(),
                watcher=watcher,
            )
        )

    def listed(self) -> list[str]:
        """Return the projects in the newest answer."""
        payload = self.client.take()[-1].payload
        return [project["project_id"] for project in payload["projects"]]

    def delete(self, name: str) -> None:
        self.ask(requests.ProjectDelete(project_id=name), Caller("c9", user="ann"))
        self.closed_for_deletion(name)

    def delays_s(self) -> list[float]:
        due = [t for t in self.timers.pending if isinstance(t.message, messages._ChangeDue)]
        return [timer.delay_s for timer in due]


@pytest.fixture
def clock() -> Iterator[Any]:
    with freeze_time("2026-11-24T12:00:00Z") as frozen:
        yield frozen


@pytest.fixture
def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Any) -> Watching:
    return Watching(tmp_path.resolve(), monkeypatch)


class Terse(Version1):
    """Another version of the protocol."""

    def messages(self, updates: Iterable[Update]) -> list[Message]:
        return [(b"{}", is_kept, False) for _, _, is_kept in updates]


def kinds(updates: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(update["update_type"], update["project_id"]) for update in updates]


def sessions(updates: list[dict[str, Any]]) -> list[str | None]:
    return [update["data"]["project"]["session_id"] for update in updates]


def test_watch_answers_with_the_list_and_then_shows_a_change(setup: Watching) -> None:
    setup.made("a")
    watcher = setup.watch()
    assert setup.listed() == ["a"]
    assert watcher.listed == {"a"} and watcher.take() == []
    setup.changed("a", session_id="s")
    (update,) = watcher.take()
    assert update == {
        "project_id": "a",
        "update_type": "project_changed",
        "timestamp": "2026-11-24T12:00:00.000000Z",
        "data": {"project": codec.plain(setup.infos["a"])},
    }


def test_without_projects_the_answer_comes_at_once(setup: Watching) -> None:
    setup.ask_watch(RecordingWatcher(), Caller("c1"))
    assert setup.listed() == []
    assert setup.timers.pending == []


@pytest.mark.parametrize(
    "facts", [{"last_seq": 9}, {"last_active": "2027"}, {"subscribers": 5}], ids=str
)
def test_what_changes_all_the_time_is_not_shown_alone(
    setup: Watching, facts: dict[str, Any]
) -> None:
    setup.made("a")
    watcher = setup.watch()
    setup.changed("a", **facts)
    assert watcher.take() == []
    setup.changed("a", session_id="s")
    (update,) = watcher.take()
    shown = update["data"]["project"]
    assert {name: shown[name] for name in facts} == facts


def test_a_fifth_change_within_a_second_comes_late_and_is_the_newest(
    setup: Watching, clock: Any
) -> None:
    setup.made("a", trusted=True)
    watcher = setup.watch()
    for number in range(CHANGES_MAX):
        clock.tick(0.1)
        setup.changed("a", session_id=f"s{number}")
    assert sessions(watcher.take()) == ["s0", "s1", "s2", "s3"]
    described = setup.described
    for number in (4, 5, 6):
        setup.changed("a", session_id=f"s{number}")
    assert watcher.take() == [] and setup.described == described  # it was not even asked
    assert setup.delays_s() == [pytest.approx(CHANGES_PERIOD_S - 0.3)]
    setup.infos["a"] = setup.infos["a"].model_copy(update={"session_id": "s7"})
    clock.tick(0.7)
    setup.fire(messages._ChangeDue)
    setup.answer()
    assert sessions(watcher.take()) == ["s7"]


def test_a_timer_that_fires_early_waits_for_the_rest(setup: Watching, clock: Any) -> None:
    setup.made("a", trusted=True)
    watcher = setup.watch()
    for number in range(CHANGES_MAX + 1):
        setup.changed("a", session_id=f"s{number}")
    watcher.take()
    clock.tick(0.9)
    setup.fire(messages._ChangeDue)
    setup.answer()
    assert watcher.take() == []
    assert setup.delays_s() == [pytest.approx(0.1)]
    clock.tick(0.1)
    setup.fire(messages._ChangeDue)
    setup.answer()
    assert sessions(watcher.take()) == ["s4"]
    assert setup.delays_s() == []


def test_one_projects_changes_do_not_hold_up_anothers(setup: Watching) -> None:
    for name in "ab":
        setup.made(name, trusted=True)
    watcher = setup.watch()
    for number in range(CHANGES_MAX + 1):
        setup.changed("a", session_id=f"s{number}")
    watcher.take()
    setup.changed("b", session_id="s")
    assert kinds(watcher.take()) == [("project_changed", "b")]


def test_a_change_that_is_undone_before_it_is_shown_is_none(setup: Watching, clock: Any) -> None:
    setup.made("a", trusted=True)
    watcher = setup.watch()
    for number in range(CHANGES_MAX):
        setup.changed("a", session_id=f"s{number}")
    setup.change("a", session_id="other")
    setup.infos["a"] = setup.infos["a"].model_copy(update={"session_id": "s3"})
    watcher.take()
    clock.tick(1)
    setup.fire(messages._ChangeDue)
    setup.answer()
    assert watcher.take() == []


def test_an_untrusted_folder_is_looked_into_once_more(setup: Watching, clock: Any) -> None:
    """Its project may have shown files from before the change."""
    setup.made("a")
    watcher = setup.watch()
    setup.changed("a", session_id="s")
    watcher.take()
    setup.infos["a"] = setup.infos["a"].model_copy(update={"untrusted_files": [".mcp.json"]})
    clock.tick(3)
    setup.fire(messages._ChangeDue)
    setup.answer()
    (update,) = watcher.take()
    assert update["data"]["project"]["untrusted_files"] == [".mcp.json"]


def test_a_project_is_asked_once_however_often_it_says_that_it_has_changed(setup: Watching) -> None:
    setup.made("a")
    watcher = setup.watch()
    for _ in range(3):
        setup.change("a", session_id="s")
    assert setup.projects["a"].take() == [messages.Describe(is_watched=True)]
    assert watcher.take() == []


def test_a_new_project_is_shown_and_tells_its_next_change(setup: Watching) -> None:
    watcher = setup.watch()
    setup.create("a")
    assert watcher.take() == []
    setup.open("a")
    assert kinds(watcher.take()) == [("project_changed", "a")]
    assert setup.projects["a"].take() == [messages.Describe(is_watched=True)]


def test_a_project_that_could_not_be_made_is_never_shown(setup: Watching) -> None:
    watcher = setup.watch()
    setup.create("a")
    setup.died("a", started=False)
    assert watcher.take() == []


def test_a_deleted_project_has_one_end_and_no_change_before_it(setup: Watching) -> None:
    setup.made("a")
    watcher = setup.watch()
    setup.ask(requests.ProjectDelete(project_id="a"), Caller("c9", user="ann"))
    setup.changed("a", status=ProjectStatus.EXECUTING)
    assert watcher.take() == []
    setup.closed_for_deletion("a")
    (update,) = watcher.take()
    assert kinds([update]) == [("project_deleted", "a")]
    assert update["data"] == {"by": "ann"}


def test_a_project_that_is_made_again_is_shown_after_its_end(setup: Watching) -> None:
    setup.made("a")
    watcher = setup.watch()
    setup.delete("a")
    setup.made("a")
    assert kinds(watcher.take()) == [("project_deleted", "a"), ("project_changed", "a")]


def test_a_project_that_fails_during_its_deletion_has_its_end(setup: Watching) -> None:
    setup.made("a")
    watcher = setup.watch()
    setup.ask(requests.ProjectDelete(project_id="a"))
    setup.died("a")
    assert kinds(watcher.take()) == [("project_deleted", "a")]


def test_a_project_that_fails_is_shown_as_it_is_then(setup: Watching) -> None:
    setup.made("a", status=ProjectStatus.EXECUTING)
    watcher = setup.watch()
    setup.change("a", session_id="s")  # it is asked, and dies
    setup.died("a")
    assert watcher.take() == []
    setup.open("a")
    assert [u["data"]["project"]["status"] for u in watcher.take()] == ["idle"]
    setup.answer("a")
    setup.changed("a", session_id="s2")
    assert sessions(watcher.take()) == ["s2"]


def test_a_project_that_cannot_work_is_shown_with_its_error(setup: Watching) -> None:
    setup.made("a", trusted=True)
    watcher = setup.watch()
    setup.died("a", started=False)
    assert [u["data"]["project"]["status"] for u in watcher.take()] == ["error"]
    setup.fire(messages._ReopenDue)
    assert watcher.take() == []
    setup.open("a")
    assert [u["data"]["project"]["status"] for u in watcher.take()] == ["idle"]


def test_an_error_waits_its_turn_too(setup: Watching, clock: Any) -> None:
    setup.made("a", trusted=True)
    watcher = setup.watch()
    for number in range(CHANGES_MAX):
        setup.changed("a", session_id=f"s{number}")
    setup.died("a", started=False)
    assert len(watcher.take()) == CHANGES_MAX
    clock.tick(1)
    setup.fire(messages._ChangeDue)
    assert [u["data"]["project"]["status"] for u in watcher.take()] == ["error"]


def test_a_stop_is_no_change(setup: Watching) -> None:
    setup.made("a")
    watcher = setup.watch()
    setup.hub.on_receive(messages.ProjectClosed(project_id="a", meta=a_meta("a"), deletion=None))
    setup.hub.on_receive(messages.ProjectDescribed(list_number=None, info=setup.infos["a"]))
    assert watcher.take() == []


# -- rights ----------------------------------------------------------------------------------


def test_a_key_for_some_projects_sees_these_only(setup: Watching) -> None:
    for name in "ab":
        setup.made(name)
    guest = setup.watch("guest", Rights(projects=frozenset({"b", "c"})))
    assert setup.listed() == ["b"]
    owner = setup.watch("owner")
    for name in "ab":
        setup.changed(name, session_id="s")
    setup.made("c")
    setup.delete("a")
    setup.delete("b")
    assert kinds(guest.take()) == [
        ("project_changed", "b"),
        ("project_changed", "c"),
        ("project_deleted", "b"),
    ]
    assert len(owner.take()) == 5


class Keyed:
    """A Hub that needs keys; ann's key is in the file."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        key = keygen(root, name="ann")
        self.line = public(key)
        self.file = root / "authorized_keys"
        self.file.write_text(self.line)
        self.keyring = Keyring(self.file)
        self.setup = Watching(root, monkeypatch, standing=Standing(self.keyring))
        credential = Credential(parse_public_key(self.line)[0], "10.0.0.1")
        self.caller = Caller("c1", user="ann", credential=credential)
        self.setup.made("p")

    def change(self, text: str) -> None:
        self.file.write_text(text)
        self.keyring.reload()
        self.setup.hub.on_receive(messages.KeysChanged())


@pytest.fixture
def keyed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Any) -> Keyed:
    return Keyed(tmp_path.resolve(), monkeypatch)


@pytest.mark.parametrize(
    ("options", "goes_on"),
    [("# ", False), ('claudehub="projects=q" ', False), ("", True)],
    ids=["removed", "fewer rights", "the same"],
)
def test_a_key_that_loses_its_right_is_shown_nothing_more(
    keyed: Keyed, options: str, goes_on: bool
) -> None:
    watcher = RecordingWatcher()
    keyed.setup.ask_watch(watcher, keyed.caller)
    keyed.setup.answer()
    keyed.change(options + keyed.line + "# changed\n")
    keyed.setup.changed("p", session_id="s")
    assert bool(watcher.take()) is goes_on
    assert watcher.has_ended is not goes_on


def test_a_key_that_loses_its_right_while_its_list_is_made_watches_nothing(keyed: Keyed) -> None:
    watcher = RecordingWatcher()
    keyed.setup.ask_watch(watcher, keyed.caller)
    keyed.change("")
    keyed.setup.answer()
    assert watcher.listed is None
    assert isinstance(keyed.setup.client.take()[-1], messages.Replied)


# -- several watches -------------------------------------------------------------------------


def test_an_update_is_encoded_once_for_all_who_speak_one_version(setup: Watching) -> None:
    setup.made("a")
    one, other, foreign = setup.watch("1"), setup.watch("2"), setup.watch("3")
    foreign.dialect = Terse()
    setup.changed("a", session_id="s")
    assert one.batches[0] is other.batches[0]
    assert foreign.batches[0].messages == [b"{}"]


def test_a_second_watcher_costs_the_first_no_update(setup: Watching) -> None:
    setup.made("a")
    first = setup.watch("1")
    second = setup.watch("2")
    assert first.take() == [] and second.take() == []
    setup.changed("a", session_id="s")
    assert kinds(first.take()) == kinds(second.take()) == [("project_changed", "a")]


def test_a_second_watch_replaces_the_first(setup: Watching) -> None:
    setup.made("a")
    first = setup.watch()
    second = setup.watch()
    assert first.has_ended and setup.listed() == ["a"]
    setup.changed("a", session_id="s")
    assert first.take() == [] and len(second.take()) == 1


def test_unwatch_ends_it_and_may_be_said_twice(setup: Watching) -> None:
    setup.made("a")
    watcher = setup.watch()
    for _ in range(2):
        setup.ask(requests.Unwatch())
        assert setup.answers()[-1] == {}
    assert watcher.has_ended
    setup.changed("a", session_id="s")
    assert watcher.take() == []


def test_unwatch_overtakes_a_list_that_is_being_made(setup: Watching) -> None:
    setup.made("a")
    watcher = RecordingWatcher()
    setup.ask_watch(watcher, Caller("c1"))
    setup.ask(requests.Unwatch())
    setup.answer()
    assert watcher.listed is None
    assert [type(answer) for answer in setup.client.take()] == [messages.Replied] * 2


@pytest.mark.parametrize("when", ["the list is made", "it watches"])
def test_a_connection_that_drops_leaves_nothing_behind(setup: Watching, when: str) -> None:
    setup.made("a")
    watcher = RecordingWatcher()
    setup.ask_watch(watcher, Caller("c1"))
    if when == "it watches":
        setup.answer()
        setup.changed("a", session_id="s")
    setup.hub.on_receive(messages.ClientGone(client_id="c1"))
    setup.answer()
    watchers = setup.hub._watchers
    assert (watchers._active, watchers._beginning, watchers._shown) == ({}, [], {})
    setup.projects["a"].take()
    setup.change("a", session_id="s2")
    setup.fire(messages._ChangeDue)
    assert setup.projects["a"].take() == []  # nobody asks it, so it says nothing more


def test_a_client_that_is_gone_before_its_answer_watches_nothing(setup: Watching) -> None:
    setup.made("a")
    setup.client.actor_stopped.set()
    watcher = setup.watch()
    assert watcher.has_ended
    assert setup.hub._watchers._active == {}


# -- the list and the stream -----------------------------------------------------------------


def test_a_change_while_the_list_is_made_is_in_the_list_or_comes(setup: Watching) -> None:
    for name in "ab":
        setup.made(name)
    watcher = RecordingWatcher()
    setup.ask_watch(watcher, Caller("c1"))
    setup.answer("a")
    setup.changed("a", session_id="in the list")
    setup.change("a", session_id="comes")
    setup.answer("b")
    payload = setup.client.take()[-1].payload
    assert payload["projects"][0]["session_id"] == "in the list"
    setup.answer("a")
    assert sessions(watcher.take()) == ["comes"]


def test_a_project_that_is_opened_while_the_list_is_made_is_in_it(setup: Watching) -> None:
    for name in "ab":
        setup.made(name)
    watcher = RecordingWatcher()
    setup.ask_watch(watcher, Caller("c1"))
    setup.create("c")
    setup.open("c")
    setup.answer("a", "b")
    assert setup.listed() == ["a", "b", "c"]
    setup.answer("c")
    assert watcher.take() == []
    setup.changed("c", session_id="s")
    assert sessions(watcher.take()) == ["s"]


def test_a_project_that_is_not_open_when_the_list_is_made_comes_later(setup: Watching) -> None:
    setup.made("a")
    watcher = RecordingWatcher()
    setup.ask_watch(watcher, Caller("c1"))
    setup.create("b")
    setup.answer("a")
    assert setup.listed() == ["a"]
    setup.open("b")
    assert kinds(watcher.take()) == [("project_changed", "b")]


def test_a_project_that_is_being_deleted_is_neither_listed_nor_ends(setup: Watching) -> None:
    for name in "ab":
        setup.made(name)
    watcher = RecordingWatcher()
    setup.ask_watch(watcher, Caller("c1"))
    setup.answer("b")
    setup.ask(requests.ProjectDelete(project_id="b"))
    setup.client.take()
    setup.answer("a")
    assert setup.listed() == ["a"]
    setup.closed_for_deletion("b")
    assert watcher.take() == [] and watcher.unknown_ends == ["b"]
    setup.made("b")
    setup.delete("b")
    assert kinds(watcher.take()) == [("project_changed", "b"), ("project_deleted", "b")]


def test_a_project_that_did_not_answer_in_time_comes_when_it_does(setup: Watching) -> None:
    setup.made("a", status=ProjectStatus.EXECUTING)
    watcher = RecordingWatcher()
    setup.ask_watch(watcher, Caller("c1"))
    setup.fire(messages._ProjectListDue)
    assert setup.listed() == ["a"]
    setup.answer("a")
    assert kinds(watcher.take()) == [("project_changed", "a")]


def test_a_project_that_has_just_failed_holds_up_no_list(setup: Watching) -> None:
    setup.made("a")
    setup.projects["a"].actor_stopped.set()
    watcher = setup.watch()
    assert setup.listed() == ["a"]
    setup.died("a")
    setup.open("a", session_id="s")
    assert sessions(watcher.take()) == ["s"]


def test_nobody_is_asked_for_anything_where_nobody_watches(setup: Watching) -> None:
    probe = setup.made("a")
    setup.change("a", session_id="s")
    assert probe.take() == []
    assert setup.hub._watchers._shown == {}


def test_the_batches_are_whole_frames(setup: Watching) -> None:
    setup.made("a")
    watcher = setup.watch()
    setup.changed("a", session_id="s")
    (batch,) = watcher.batches
    assert batch.frames.endswith(batch.messages[0]) and not batch.is_final
    assert watcher.dialect is VERSION_1
