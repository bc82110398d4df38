"""The Hub actor, unstarted, with projects that are probes."""

import errno
import threading
from pathlib import Path
from typing import Any

import pykka
import pytest
from freezegun import freeze_time

from actors import messages
from actors.directory import LocalDirectory
from actors.feed.rotator import RotationSettings
from actors.hub import Hub, HubSettings, project_actors, rotation
from actors.hub.metadata import error_info
from actors.hub.stopping import CLIENTS_AT_ONCE
from actors.messages.replies import ReplyTo
from actors.ports import Caller
from actors.project import ProjectSettings
from protocol import requests
from protocol.updates import ProjectStatus
from storage import layout as layout_module
from storage.layout import DataLayout
from storage.log_state import SyncPolicy
from storage.message_log import LogSettings
from storage.projects import ProjectStore
from storage.segments import Compression
from tests.executor_setup import settings as executor_settings
from tests.fakes import FrozenClock, ManualTimers, Probe, inbox_of, said
from tests.test_storage import a_meta

CALLER = Caller("c1")


class Setup:
    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
        self.root = root
        self.layout = DataLayout(root / "data")
        self.layout.create()
        self.projects: dict[str, Probe] = {}
        self.rotators: list[Probe] = []
        self.client = Probe()
        self.numbers = 0
        self.progress: list[tuple[int, int]] = []
        self.deaths: list[str] = []
        self.timers = ManualTimers()
        self.directory = LocalDirectory()
        monkeypatch.setattr(project_actors.Project, "start", self.start_project)
        monkeypatch.setattr(rotation.Rotator, "start", self.start_rotator)
        project = ProjectSettings(
            layout=self.layout,
            log=LogSettings(1 << 30, SyncPolicy.ALWAYS, "b"),
            executor=executor_settings(),
            roots=[root],
            execution_timeout_s=300.0,
            max_queue=2,
            min_free_bytes=0,
            **settings,
        )
        self.hub = Hub(
            settings=HubSettings(
                project,
                3,
                10,
                2,
                RotationSettings(self.layout, 30, 0, 0, Compression.OFF),
                "0.1",
                lambda done, total: self.progress.append((done, total)),
                self.deaths.append,
            ),
            directory=self.directory,
            clock=FrozenClock(),
            timers=self.timers,
        )

    def start_project(self, **given: Any) -> Any:
        probe = self.projects[given["meta"].project_id] = Probe()
        return probe.actor_ref

    def start_rotator(self, **_: Any) -> Any:
        self.rotators.append(Probe())
        return self.rotators[-1].actor_ref

    def folder(self, name: str) -> str:
        path = self.root / name
        path.mkdir(parents=True, exist_ok=True)
        return str(path)

    def ask(self, body: Any, caller: Caller = CALLER) -> None:
        self.numbers += 1
        reply_to = ReplyTo(self.client.actor_ref, self.numbers)
        self.hub.on_receive(messages.HubRequest(reply_to=reply_to, caller=caller, body=body))

    def answers(self) -> list[Any]:
        return [said(answer) for answer in self.client.take()]

    def create(self, name: str) -> None:
        self.ask(requests.ProjectCreate(path=self.folder(name)))

    def opened(self, project_id: str) -> None:
        info = error_info(a_meta(project_id)).model_copy(update={"status": ProjectStatus.IDLE})
        self.hub.on_receive(messages.ProjectOpened(info=info))

    def made(self, name: str) -> Probe:
        self.create(name)
        self.opened(name)
        self.answers()
        return self.projects[name]

    def closed_for_deletion(self, project_id: str) -> None:
        (deletion,) = [
            m for m in self.projects[project_id].take() if isinstance(m, messages.DeleteProject)
        ]
        self.hub.on_receive(
            messages.ProjectClosed(project_id=project_id, meta=None, deletion=deletion)
        )

    def died(self, project_id: str, *, started: bool = True) -> None:
        ref = self.projects[project_id].actor_ref
        self.hub.on_receive(
            messages.ActorDied(child=ref, name=project_id, reason="bug", started=started)
        )

    def fire(self, kind: type) -> None:
        self.timers.fire(kind)
        for message in inbox_of(self.hub):
            if not isinstance(message, pykka.messages._ActorStop):
                self.hub.on_receive(message)


@pytest.fixture
def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setup:
    return Setup(tmp_path.resolve(), monkeypatch)


def test_a_create_is_answered_once_the_project_is_open(setup: Setup) -> None:
    setup.create("a")
    assert setup.answers() == []
    assert setup.directory.find("a") is not None
    setup.opened("a")
    assert setup.answers()[0]["project"]["project_id"] == "a"
    loaded = ProjectStore(setup.layout).load("a")
    assert loaded is not None and loaded.path == setup.folder("a")


def test_a_project_that_cannot_be_made_leaves_nothing(setup: Setup) -> None:
    setup.create("a")
    setup.died("a", started=False)
    assert setup.answers()[0]["code"] == "storage_failed"
    assert setup.directory.find("a") is None
    assert ProjectStore(setup.layout).load_all() == []


def test_a_list_waits_for_every_project_or_for_its_time(setup: Setup) -> None:
    for name in ("a", "b"):
        setup.made(name)
    setup.ask(requests.ProjectList())
    told = setup.projects["a"].take()[-1]
    info = error_info(a_meta("a"))
    setup.hub.on_receive(messages.ProjectDescribed(list_number=told.list_number, info=info))
    assert setup.answers() == []
    setup.fire(messages._ProjectListDue)
    assert [p["project_id"] for p in setup.answers()[0]["projects"]] == ["a", "b"]
    setup.hub.on_receive(messages.ProjectDescribed(list_number=told.list_number, info=info))
    assert setup.answers() == []


def test_a_project_that_does_not_answer_is_listed_as_it_was(setup: Setup) -> None:
    """Numbers of an empty log would make a client give up its position."""
    setup.made("a")
    setup.ask(requests.ProjectList())
    told = setup.projects["a"].take()[-1]
    info = error_info(a_meta("a")).model_copy(update={"last_seq": 7, "session_id": "s"})
    setup.hub.on_receive(messages.ProjectDescribed(list_number=told.list_number, info=info))
    setup.answers()
    setup.ask(requests.ProjectList())
    setup.fire(messages._ProjectListDue)
    (listed,) = setup.answers()[-1]["projects"]
    assert (listed["last_seq"], listed["session_id"]) == (7, "s")


def test_a_failed_project_is_rebuilt_and_its_clients_learn_it(setup: Setup) -> None:
    setup.hub.on_receive(messages.ClientConnected(client=setup.client.actor_ref, client_id="c1"))
    first = setup.made("a")
    for _ in range(3):
        setup.died("a")
        assert setup.client.take() == [messages.ProjectFailed(project_id="a")]
        assert setup.projects["a"] is not first
        setup.opened("a")
    setup.died("a")
    setup.client.take()
    setup.ask(requests.ProjectList())
    assert setup.answers()[0]["projects"][0]["status"] == "error"
    port = setup.directory.find("a")
    assert port is not None
    reply_to = ReplyTo(setup.client.actor_ref, 99)
    body = requests.GetMessages(project_id="a")
    port.tell(messages.ProjectRequest(reply_to=reply_to, caller=Caller("c1"), body=body))
    assert setup.answers()[0]["code"] == "storage_failed"
    setup.ask(requests.ProjectDelete(project_id="a"))
    assert setup.answers()[0] == {"project_id": "a"}
    assert ProjectStore(setup.layout).load_all() == []


def test_a_project_that_cannot_be_opened_is_tried_again(setup: Setup) -> None:
    setup.made("a")
    setup.died("a", started=False)
    delays = []
    for _ in range(9):
        (due,) = [t for t in setup.timers.pending if isinstance(t.message, messages._ReopenDue)]
        delays.append(due.delay_s)
        setup.fire(messages._ReopenDue)
        setup.died("a", started=False)
    assert delays == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    setup.fire(messages._ReopenDue)
    setup.opened("a")
    setup.ask(requests.ProjectList())
    told = setup.projects["a"].take()[-1]
    assert isinstance(told, messages.Describe)
    setup.died("a", started=False)
    (due,) = [t for t in setup.timers.pending if isinstance(t.message, messages._ReopenDue)]
    assert due.delay_s == 5


def test_metadata_that_can_be_read_again_opens_its_project(setup: Setup) -> None:
    ProjectStore(setup.layout).save(a_meta("a"))
    path = setup.layout.project("a") / "meta.json"
    path.rename(path.with_name("away"))
    setup.hub.started()
    setup.fire(messages._ReopenDue)
    assert "a" not in setup.projects
    path.with_name("away").rename(path)
    setup.fire(messages._ReopenDue)
    assert "a" in setup.projects
    setup.fire(messages._ReopenDue)  # nothing is left to be done


@pytest.mark.parametrize("meanwhile", ["deleted", "folder taken"])
def test_a_project_is_not_opened_where_it_has_no_place_any_more(
    setup: Setup, meanwhile: str
) -> None:
    folder = setup.folder("a")
    ProjectStore(setup.layout).save(a_meta("x", path=folder))
    path = setup.layout.project("x") / "meta.json"
    path.rename(path.with_name("away"))
    setup.hub.started()
    if meanwhile == "deleted":
        setup.ask(requests.ProjectDelete(project_id="x"))
    else:
        setup.made("a")
        path.with_name("away").rename(path)
    setup.fire(messages._ReopenDue)
    assert "x" not in setup.projects
    setup.hub.release()


def test_a_project_that_fails_during_its_deletion_is_gone(setup: Setup) -> None:
    setup.made("a")
    setup.ask(requests.ProjectDelete(project_id="a"))
    setup.ask(requests.ProjectDelete(project_id="a"))
    assert setup.answers()[0]["code"] == "project_not_found"
    setup.create("a")
    setup.died("a")
    assert "a" in setup.projects
    setup.opened("a")
    assert setup.answers()[-1]["project"]["project_id"] == "a"


def test_a_project_that_is_dying_is_deleted_when_it_has_let_go_of_its_files(setup: Setup) -> None:
    dying = setup.made("a")
    dying.actor_stopped.set()  # its release has begun
    setup.ask(requests.ProjectDelete(project_id="a"))
    setup.create("a")  # it waits, or a second CLI would start beside the first one
    assert setup.answers() == [] and setup.projects["a"] is dying
    assert ProjectStore(setup.layout).load("a") is not None
    setup.died("a")
    (deleted,) = setup.answers()
    assert deleted == {"project_id": "a"}
    assert setup.projects["a"] is not dying


def test_a_delete_is_answered_even_if_its_project_fails(setup: Setup) -> None:
    setup.made("a")
    setup.ask(requests.ProjectDelete(project_id="a"))
    setup.died("a")
    assert setup.answers() == [{"project_id": "a"}]


def test_a_bug_in_one_request_does_not_end_the_server(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup.hub._project_actors, "create", lambda *_: 1 / 0)
    setup.create("a")
    assert setup.answers()[0]["code"] == "internal"


def test_the_rotator_is_always_restarted_until_it_is_too_often(setup: Setup) -> None:
    setup.hub.started()
    for count in range(1, 5):
        rotator = setup.rotators[-1].actor_ref
        died = messages.ActorDied(child=rotator, name="rotator", reason="bug", started=True)
        setup.hub.on_receive(died)
        assert len(setup.rotators) == min(count + 1, 4)
    assert setup.deaths == ["the rotator failed too often"]


def test_a_stop_takes_projects_first_and_then_clients(setup: Setup) -> None:
    project = setup.made("a")
    project.take()
    setup.hub.on_receive(messages.ClientConnected(client=setup.client.actor_ref, client_id="c1"))
    done = threading.Event()
    setup.hub.on_receive(messages.StopHub(done=done))
    assert project.take() == [messages.StopProject()]
    assert setup.client.take() == []
    setup.create("b")
    assert setup.answers()[0]["code"] == "shutting_down"
    closed = messages.ProjectClosed(project_id="a", meta=None, deletion=None)
    setup.hub.on_receive(closed)
    assert setup.client.take()[0].code == 1001
    late = Probe()
    setup.hub.on_receive(messages.ClientConnected(client=late.actor_ref, client_id="c2"))
    assert late.take()[0].code == 1001
    for client_id in ("c1", "c2"):
        assert not done.is_set()
        setup.hub.on_receive(messages.ClientGone(client_id=client_id))
    assert done.is_set()
    setup.hub.release()
    assert setup.deaths == []


def test_every_step_of_a_stop_has_its_time(setup: Setup) -> None:
    setup.made("a")
    setup.hub.on_receive(messages.ClientConnected(client=setup.client.actor_ref, client_id="c1"))
    done = threading.Event()
    setup.hub.on_receive(messages.StopHub(done=done))
    setup.fire(messages._StopStepDue)
    assert setup.client.take()[0].code == 1001
    setup.fire(messages._StopStepDue)
    assert done.is_set()


def test_a_hub_that_fails_ends_the_server(setup: Setup) -> None:
    setup.hub.on_failure(ValueError, ValueError("bug"), None)
    assert setup.deaths == ["the hub failed: ValueError: bug"]


def test_health_tells_what_could_not_be_deleted(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    setup.made("a")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", fail)
        setup.ask(requests.ProjectDelete(project_id="a"))
        setup.closed_for_deletion("a")
    setup.ask(requests.HealthCheck())
    health = setup.answers()[-1]
    assert health["status"] == "degraded"
    assert "deletion of a: moving" in health["problems"][0]
    assert "Read-only file system; it is back after the next start" in health["problems"][0]
    setup.made("a")  # the way is cleared
    setup.ask(requests.HealthCheck())
    assert setup.answers()[-1]["status"] == "ok"


def test_a_new_project_does_not_take_over_a_failed_deletions_data(setup: Setup) -> None:
    store = ProjectStore(setup.layout)
    store.save(a_meta("a", path="/somewhere/else"))
    setup.layout.log("a").mkdir()
    (setup.layout.log("a") / "history").write_bytes(b"of another folder")
    setup.made("a")
    assert not (setup.layout.log("a") / "history").exists()
    (kept,) = setup.layout.kept.iterdir()
    assert (kept / "log" / "history").exists()


def test_thousands_of_clients_are_closed_in_slices(setup: Setup) -> None:
    clients = [Probe() for _ in range(2 * CLIENTS_AT_ONCE + 1)]
    for number, client in enumerate(clients):
        setup.hub.on_receive(
            messages.ClientConnected(client=client.actor_ref, client_id=f"c{number}")
        )
    setup.hub.on_receive(messages.StopHub(done=threading.Event()))
    for told in (CLIENTS_AT_ONCE, 2 * CLIENTS_AT_ONCE, len(clients)):
        closed = [c for c in clients if c.actor_inbox.qsize()]
        assert len(closed) == told
        setup.fire(messages._StopStepDue)


def test_the_least_recently_used_process_goes_in_any_order_of_reports(setup: Setup) -> None:
    """The Hub of these tests keeps two."""
    probes = {name: setup.made(name) for name in "abc"}
    for name, used_at_s in (("a", 3.0), ("b", 2.0), ("c", 4.0)):
        warm = messages.WarmProcess(project_id=name, pid=1, used_at_s=used_at_s)
        setup.hub.on_receive(warm)
    assert messages.LetProcessGo() in probes["b"].take()
    assert messages.LetProcessGo() not in [*probes["a"].take(), *probes["c"].take()]
    setup.ask(requests.HealthCheck())
    kept = setup.answers()[-1]["warm_sessions"]
    assert [session["project_id"] for session in kept] == ["a", "c"]


def test_nesting_is_found_under_another_spelling(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a file system that ignores case two different texts may name one folder."""
    setup.made("outer")
    same = layout_module.is_same_folder

    def ignoring_case(path: Path, other: Path) -> bool:
        return same(path, other) or str(path).lower() == str(other).lower()

    monkeypatch.setattr(layout_module, "is_same_folder", ignoring_case)
    inner = setup.folder("OUTER/inner")
    setup.ask(requests.ProjectCreate(path=inner))
    assert setup.answers()[-1]["code"] == "project_nesting"


def test_a_request_that_a_dead_hub_has_not_handled_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = Setup(tmp_path, monkeypatch)
    reply_to = ReplyTo(setup.client.actor_ref, 1)
    body = requests.ProjectList()
    setup.hub.left_over(messages.HubRequest(reply_to=reply_to, caller=CALLER, body=body))
    assert setup.answers()[-1]["code"] == "shutting_down"


def test_an_execute_opens_a_project_that_has_failed_too_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = Setup(tmp_path, monkeypatch)
    setup.made("p")

    def execute() -> messages.ProjectRequest:
        setup.numbers += 1
        request = messages.ProjectRequest(
            reply_to=ReplyTo(setup.client.actor_ref, setup.numbers),
            caller=CALLER,
            body=requests.Execute(project_id="p", prompt="x"),
        )
        port = setup.directory.find("p")
        assert port is not None
        port.tell(request)
        for message in inbox_of(setup.hub):
            setup.hub.on_receive(message)
        return request

    for _ in range(4):
        setup.died("p")
        last = setup.projects["p"]
    request = execute()
    assert setup.projects["p"] is not last, "it is opened at once"
    assert request in setup.projects["p"].take() and setup.answers() == []
    setup.died("p", started=False)
    with freeze_time("2026-01-01"):
        setup.hub._registry["p"].revived_s = setup.hub._clock.monotonic()
        execute()  # at once again: not more often than REVIVE_PAUSE_S
    assert setup.answers()[-1]["code"] == "storage_failed"
    reopens = [t for t in setup.timers.pending if isinstance(t.message, messages._ReopenDue)]
    assert len(reopens) == 1, "one timer, however often it was tried"
