"""Every malformed message is answered, and the connection goes on."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from tests.harness import HubProcess, WireClient

BAD = [
    ("", "invalid_json"),
    ("{", "invalid_json"),
    ("[" * 100_000, "invalid_json"),
    ('{"type":"ping","payload":' + "[" * 900 + "]" * 900 + "}", None),
    ('{"type":"ping","payload":1E400}', "invalid_json"),
    ('{"type":"ping","payload":NaN}', "invalid_json"),
    ('{"type":"ping","payload":' + "1" * 5000 + "}", "invalid_json"),
    ("[]", "invalid_message"),
    ("null", "invalid_message"),
    ('"ping"', "invalid_message"),
    ("{}", "invalid_message"),
    ('{"type":7}', "invalid_message"),
    ('{"type":"nonsense"}', "unknown_type"),
    ('{"type":"authenticate"}', "invalid_message"),
    ('{"type":"agent_interrupt","payload":{"project_id":"p"}}', "project_not_found"),
    ('{"type":"permission_answer"}', "invalid_message"),
    (
        '{"type":"permission_answer","payload":{"project_id":"p","permission_id":"x",'
        '"decision":"maybe"}}',
        "invalid_message",
    ),
    ('{"type":"project_join"}', "invalid_message"),
    ('{"type":"project_join","payload":[]}', "invalid_message"),
    ('{"type":"project_join","payload":{"project_id":5}}', "invalid_message"),
    ('{"type":"project_join","payload":{"project_id":"none"}}', "project_not_found"),
    ('{"type":"project_join","payload":{"project_id":"../../etc"}}', "project_not_found"),
    ('{"type":"project_create","payload":{"path":"/tmp","name":"\\ud800"}}', "invalid_message"),
    ('{"type":"execute","payload":{"project_id":"p"}}', "invalid_message"),
    ('{"type":"execute","payload":{"project_id":"p","prompt":"\\ud800"}}', "invalid_message"),
    ('{"type":"execute","payload":{"project_id":"p","content":[]}}', "invalid_message"),
    (
        '{"type":"execute","payload":{"project_id":"p","prompt":"x","content":[{"type":"text",'
        '"text":"y"}]}}',
        "invalid_message",
    ),
    (
        '{"type":"execute","payload":{"project_id":"p","content":[{"type":"tool"}]}}',
        "invalid_message",
    ),
    (
        '{"type":"execute","payload":{"project_id":"p","prompt":"x","key":"' + "k" * 129 + '"}}',
        "invalid_message",
    ),
]


@pytest.fixture
def hub(share_hub: Any) -> HubProcess:
    """One for all, without a project at the beginning of each test."""
    shared: HubProcess = share_hub(WARM_SESSIONS="0")
    return shared


@pytest.fixture
def client(hub: HubProcess) -> Iterator[WireClient]:
    with hub.client() as connection:
        yield connection
    with hub.client() as cleaner:
        for project in cleaner.request("project_list")["projects"]:
            cleaner.request("project_delete", project_id=project["project_id"])


def test_malformed_messages_are_answered_and_the_connection_goes_on(client: WireClient) -> None:
    for text, code in BAD:
        client.send(text)
        answer = client.reply()
        if code is None:
            assert answer["type"] == "result", text[:60]
        else:
            assert answer["type"] == "error", text[:60]
            assert answer["payload"]["code"] == code, text[:60]
    assert client.request("ping", a=1) == {"a": 1}


def test_ids_are_repeated_only_where_they_are_ids(client: WireClient) -> None:
    for bad in (5, [], "x" * 129, True):
        client.send({"type": "ping", "id": bad})
        answer = client.reply()
        assert "id" not in answer
        assert answer["payload"]["details"] == {"field": "id"}
    client.send({"type": "ping", "id": None})
    assert client.reply() == {"type": "result", "payload": {}}
    client.send({"type": "ping", "id": "\ud800\u2028é"})
    assert client.reply()["id"] == "\ud800\u2028é"
    client.send({"type": "nonsense", "id": "7"})
    assert client.reply()["id"] == "7"


def test_unknown_fields_and_nulls_are_ignored(client: WireClient, hub: HubProcess) -> None:
    client.request("project_create", path=hub.folder("p"), name=None, whatever=1)
    client.request("project_join", project_id="p", after_seq=None, last=0, extra={})
    error = client.refused("project_join", project_id="p", after_seq=0, last=0)
    assert error["details"] == {"field": "payload.last"}


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"nonsense": 1}, "nonsense"),
        ({"model": "-x"}, "model"),
        ({"model": 5}, "model"),
        ({"allowed_tools": ["--help"]}, "allowed_tools.0"),
        ({"permission_mode": "whatever"}, "permission_mode"),
        ({"max_turns": 0}, "max_turns"),
        ({"max_turns": True}, "max_turns"),
        ({"timeout_seconds": "5"}, "timeout_seconds"),
        ({"timeout_seconds": 301}, "timeout_seconds"),
        ({"add_dirs": ["/etc"]}, "add_dirs"),
        ({"model": "a\0b"}, "model"),
    ],
)
def test_bad_options_are_refused_by_name(
    client: WireClient, hub: HubProcess, options: dict[str, Any], field: str
) -> None:
    client.request("project_create", path=hub.folder("p"))
    error = client.refused("execute", project_id="p", prompt="x", options=options)
    assert error["code"] == "invalid_options"
    assert error["details"] == {"field": f"payload.options.{field}"}


def test_each_bad_path_has_its_error_code(client: WireClient, hub: HubProcess) -> None:
    inside = Path(hub.folder("inside"))
    (inside / "file").write_text("x")
    (hub.roots / "out").symlink_to("/etc")
    (hub.roots / "loop").symlink_to(hub.roots / "loop")
    for path, code in [
        ("relative", "invalid_path"),
        ("", "invalid_path"),
        (str(hub.roots / "missing"), "invalid_path"),
        (str(inside / "file"), "invalid_path"),
        (str(hub.roots / "loop"), "invalid_path"),
        (str(hub.roots / ("x" * 300)), "invalid_path"),
        (str(hub.roots) + "/a\0b", "invalid_path"),
        ("/etc", "path_not_allowed"),
        ("/nonexistent", "path_not_allowed"),
        (str(hub.roots / "out"), "path_not_allowed"),
        (str(hub.roots) + "/../data", "path_not_allowed"),
    ]:
        assert client.refused("project_create", path=path)["code"] == code, path
    refused = client.refused("project_create", path="/etc")
    assert refused["details"] == {"roots": [str(hub.roots)]}


def test_one_folder_is_one_project(client: WireClient, hub: HubProcess) -> None:
    folder = hub.folder("Some Folder!")
    os.makedirs(os.path.join(folder, "below"))
    (hub.roots / "link").symlink_to(folder)
    made = client.request("project_create", path=folder)["project"]
    assert made["project_id"] == "some-folder"
    assert made["name"] == "Some Folder!"
    for path in (folder, folder + "/", str(hub.roots / "link")):
        error = client.refused("project_create", path=path)
        assert error["code"] == "project_exists"
        assert error["details"] == {"project_id": "some-folder"}
    for path in (os.path.join(folder, "below"), str(hub.roots)):
        assert client.refused("project_create", path=path)["code"] == "project_nesting"
    other = hub.folder("x/Some Folder!")
    error = client.refused("project_create", path=other, project_id="some-folder")
    assert error["code"] == "project_exists"
    assert client.refused("project_create", path=other, project_id="Bad Id")["details"] == {
        "field": "payload.project_id"
    }
    second = client.request("project_create", path=other)["project"]
    assert second["project_id"] == "some-folder-2"


def test_requests_over_a_limit_get_an_error(start_hub: Any) -> None:
    hub = start_hub(MAX_PROJECTS="1", MAX_QUEUE="0", RATE_LIMIT="5")
    with hub.client() as client:
        client.request("project_create", path=hub.folder("p"))
        error = client.refused("project_create", path=hub.folder("q"))
        assert error["code"] == "too_many_projects"
        client.request("execute", project_id="p", prompt="[[hang]]")
        error = client.refused("execute", project_id="p", prompt="x")
        assert error["code"] == "queue_full"
    with hub.client() as client:
        for _ in range(12):
            client.send({"type": "ping"})
        codes = [client.reply()["payload"].get("code") for _ in range(12)]
        assert codes[:10] == [None] * 10
        assert "rate_limited" in codes[10:]


def test_replies_come_in_the_order_of_the_requests(client: WireClient, hub: HubProcess) -> None:
    wanted = [
        {"type": "project_create", "id": "1", "payload": {"path": hub.folder("p")}},
        {"type": "project_join", "id": "2", "payload": {"project_id": "p"}},
        {"type": "execute", "id": "3", "payload": {"project_id": "p", "prompt": "x"}},
        {"type": "project_list", "id": "4"},
        {"type": "ping", "id": "5"},
        {"type": "nonsense", "id": "6"},
        {"type": "get_messages", "id": "7", "payload": {"project_id": "p"}},
        {"type": "health_check", "id": "8"},
        {"type": "project_delete", "id": "9", "payload": {"project_id": "p"}},
        {"type": "ping", "id": "10"},
    ]
    for message in wanted:
        client.send(json.dumps(message))
    answers = [client.reply() for _ in wanted]
    assert [a["id"] for a in answers] == [str(n) for n in range(1, 11)]
    failed = {a["id"] for a in answers if a["type"] == "error"}
    assert failed == {"6"}


@pytest.mark.parametrize(
    ("frame", "code"),
    [(b"\x00\x01", 1003), ("x" * (1024 * 1024 + 1), 1009)],
)
def test_frames_that_are_no_messages_close_the_connection(
    client: WireClient, frame: bytes | str, code: int
) -> None:
    client.socket.send(frame)
    with pytest.raises(ConnectionClosed) as closed:
        client.socket.recv(timeout=10)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code
