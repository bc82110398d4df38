"""The Hub at its start, unstarted, with projects that are probes."""

import threading

from actors import messages
from actors.hub.startup import OPENING_AT_ONCE
from protocol import requests
from storage.log_state import LogState, Mark
from storage.projects import ProjectStore
from tests.test_hub_actor import Setup, setup
from tests.test_storage import a_meta

__all__ = ["setup"]


def test_the_hub_is_ready_when_every_project_is_open_or_has_failed(setup: Setup) -> None:
    store = ProjectStore(setup.layout)
    for name in ("a", "b"):
        store.save(a_meta(name, path=setup.folder(name)))
    (setup.layout.projects / "broken" / "log").mkdir(parents=True)
    setup.hub.started()
    assert setup.progress == [(0, 2)]
    setup.opened("a")
    assert setup.progress[-1] == (1, 2)
    setup.died("b", started=False)
    assert setup.progress[-1] == (2, 2)
    setup.ask(requests.HealthCheck())
    health = setup.answers()[0]
    assert health["status"] == "degraded"
    assert health["problems"][0] == "project b: bug"
    assert health["problems"][1].startswith("project broken:")


def test_an_empty_hub_is_ready_at_once(setup: Setup) -> None:
    setup.hub.started()
    assert setup.progress == [(0, 0)]
    assert len(setup.rotators) == 1


def test_after_a_clean_stop_projects_open_one_by_one(setup: Setup) -> None:
    store = ProjectStore(setup.layout)
    mark = Mark(segment="s", size_bytes=0, last_seq=0)
    clean = LogState(log_id="x", boot_id="b", clean=mark)
    for name in ("a", "b", "c"):
        state = None if name == "c" else clean
        store.save(a_meta(name, path=setup.folder(name)).model_copy(update={"log": state}))
    setup.hub.started()
    assert list(setup.projects) == ["a"]
    setup.opened("a")
    assert list(setup.projects) == ["a", "b", "c"]


def test_projects_open_a_few_at_a_time(setup: Setup) -> None:
    store = ProjectStore(setup.layout)
    names = [f"p{number:02d}" for number in range(OPENING_AT_ONCE + 3)]
    for name in names:
        store.save(a_meta(name, path=setup.folder(name)))
    setup.hub.started()
    assert list(setup.projects) == names[:OPENING_AT_ONCE]
    setup.opened("p01")
    setup.died("p00", started=False)
    assert list(setup.projects) == names[: OPENING_AT_ONCE + 2]
    assert setup.progress[-1] == (2, len(names))
    setup.hub.on_receive(messages.StopHub(done=threading.Event()))
    setup.opened("p02")
    assert list(setup.projects) == names[: OPENING_AT_ONCE + 2]
