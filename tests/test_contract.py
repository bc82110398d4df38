"""The JSON Schema of the protocol holds for what a hub says, and its other two forms are those that
docs/ has."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml as pyyaml
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from claudehub.cli.main import main
from protocol import asyncapi, schema
from protocol.errors import ErrorCode
from protocol.requests import MODELS
from protocol.results import RESULTS
from protocol.type_schemas import Schema, with_parts
from protocol.typescript import typescript
from protocol.updates import KINDS, UpdateType
from tests.harness import ROOT, HubProcess, WireClient
from tests.test_access import Keys, enter
from tests.test_ssh import keygen, public

DOCUMENT = schema.document()
DEFINITIONS = DOCUMENT["$defs"]
PNG = base64.b64encode(b"\x89PNG").decode()


def closed(part: Schema) -> Schema:
    """Return a schema that refuses fields which it does not name."""
    changed = with_parts(part, closed)
    if changed.get("type") == "object" and "properties" in changed:
        changed["additionalProperties"] = False
    return changed


CLOSED = {name: closed(definition) for name, definition in DEFINITIONS.items()}


def judge(part: Schema, definitions: Schema = DEFINITIONS) -> Draft202012Validator:
    return Draft202012Validator({**part, "$defs": definitions})


MESSAGE = judge(schema.ref("Message"))
EXACT_MESSAGE = judge(schema.ref("Message"), CLOSED)
REQUEST = judge(schema.ref("Request"))


def faults(validator: Draft202012Validator, value: object) -> list[str]:
    """Return what is wrong, with the deepest reasons."""
    found = []
    for error in validator.iter_errors(value):
        reasons = [leaf for leaf in error.context or [] if leaf.validator != "const"] or [error]
        found += [f"{'/'.join(map(str, leaf.absolute_path))}: {leaf.message}" for leaf in reasons]
    return found


def result_faults(kind: str, payload: object) -> list[str]:
    return faults(judge(CLOSED["Results"]["properties"][kind], CLOSED), payload)


# -- the three forms -------------------------------------------------------------------------


def said(*arguments: str) -> str:
    ended = CliRunner().invoke(main, ["schema", *arguments])
    assert ended.exit_code == 0, ended
    return ended.output


def test_the_command_prints_a_json_schema_with_a_definition_for_everything() -> None:
    printed = json.loads(said())
    assert printed == DOCUMENT
    Draft202012Validator.check_schema(printed)
    for kind in [*MODELS, schema.PING]:
        assert printed["$defs"][f"{schema.pascal(kind)}Request"]["description"]
        assert kind in printed["$defs"]["Results"]["properties"]
    for update_type in UpdateType:
        assert f"{schema.pascal(update_type)}Update" in printed["$defs"]
    assert printed["$defs"]["ErrorCode"]["enum"] == list(ErrorCode)


def test_every_request_has_a_result_and_every_update_a_kind() -> None:
    assert RESULTS.keys() == MODELS.keys()
    assert set(KINDS) == set(UpdateType)


def test_every_definition_has_a_description() -> None:
    assert [name for name, part in DEFINITIONS.items() if not part.get("description")] == []


def test_every_reference_leads_to_a_definition() -> None:
    targets = set()

    def follow(part: Schema) -> Schema:
        if "$ref" in part:
            targets.add(part["$ref"].removeprefix(schema.PREFIX))
        return with_parts(part, follow)

    for definition in DEFINITIONS.values():
        follow(definition)
    assert targets <= DEFINITIONS.keys()
    assert DEFINITIONS.keys() - targets == {"Request", "Message", "Results"}


def test_only_options_refuse_fields_that_they_do_not_name() -> None:
    refusing = [name for name, part in DEFINITIONS.items() if "additionalProperties" in str(part)]
    assert refusing == ["Options"]


@pytest.mark.parametrize(
    ("form", "file"), [("--asyncapi", "asyncapi.yaml"), ("--typescript", "claudehub.d.ts")]
)
def test_the_file_in_docs_is_what_the_command_prints(form: str, file: str) -> None:
    kept = (ROOT / "docs" / file).read_text()
    assert kept == said(form), f"run: claudehub schema {form} > docs/{file}"


def test_the_asyncapi_document_is_yaml_that_says_the_same() -> None:
    document = asyncapi.asyncapi()
    assert pyyaml.safe_load(asyncapi.yaml(document)) == document
    operations = document["operations"]
    assert operations.keys() == {*MODELS, schema.PING, "greet", "update"}
    assert len(operations["update"]["messages"]) == len(UpdateType)


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        "",
        "a: b # c",
        "é\n\t\u2028",
        {"on": 1, "no": [None, True, -1.5], "a b": {"": {}}, "1": []},
        [[1, [2, []]], {"x": [{"y": 1, "z": [3]}]}],
    ],
)
def test_yaml_reads_back_as_it_was(value: object) -> None:
    assert pyyaml.safe_load(asyncapi.yaml(value)) == value


def test_a_schema_without_a_type_in_typescript_is_an_error() -> None:
    with pytest.raises(ValueError, match="no TypeScript type"):
        typescript({"$defs": {"A": {"patternProperties": {}}}})


def test_types_of_typescript() -> None:
    text = {"type": "string"}
    fields = {
        "a-b": {"anyOf": [text, {"type": "null"}]},
        "list": {"type": "array", "items": {"enum": ["x", "y"]}, "description": "An */ end."},
        "inner": {"type": "object", "properties": {"n": {"type": "integer"}}},
        "any": {"description": "Old.", "deprecated": True},
    }
    made = typescript({"$defs": {"A": {"properties": fields, "required": ["list"]}, "B": text}})
    assert made.split("\n\n", 1)[1] == (
        "export interface A {\n"
        '  "a-b"?: string | null;\n'
        "  /** An * / end. */\n"
        '  list: ("x" | "y")[];\n'
        "  inner?: {\n    n?: number;\n  };\n"
        "  /** Old. @deprecated */\n"
        "  any?: unknown;\n"
        "}\n\n"
        "export type B = string;\n"
    )


# -- frames of a hub -------------------------------------------------------------------------


class Witness(WireClient):
    """A client that keeps every frame, and holds each against the schema."""

    def __init__(self, url: str) -> None:
        self.seen: list[dict[str, Any]] = []
        self.answered: set[str] = set()
        super().__init__(url)

    def receive(self) -> dict[str, Any]:
        message = super().receive()
        assert faults(MESSAGE, message) == [], message
        assert faults(EXACT_MESSAGE, message) == [], message
        self.seen.append(message)
        return message

    def ask(self, kind: str, **payload: Any) -> dict[str, Any]:
        message = super().ask(kind, **payload)
        if message["type"] == "result":
            assert faults(REQUEST, {"type": kind, "id": "1", "payload": payload}) == [], payload
            assert result_faults(kind, message["payload"]) == [], message
            self.answered.add(kind)
        return message

    @property
    def codes(self) -> set[str]:
        return {m["payload"]["code"] for m in self.seen if m["type"] == "error"}

    @property
    def update_types(self) -> set[str]:
        return {m["payload"]["update_type"] for m in self.seen if m["type"] == "update"}


@pytest.fixture
def open_hub(start_hub: Any) -> HubProcess:
    hub: HubProcess = start_hub(MAX_QUEUE="1", MAX_PROJECTS="3", MSG_ROTATE_SIZE="600")
    return hub


@pytest.fixture
def witness(open_hub: HubProcess) -> Iterator[Witness]:
    with Witness(open_hub.url) as client:
        yield client


def run_prompts(hub: HubProcess, client: Witness) -> None:
    """Create the project p, and provoke what belongs to prompts."""
    folder = hub.folder("p")
    client.request("project_create", path=folder, name="P", **{"continue": False}, trusted=True)
    client.request("project_trust", project_id="p", trusted=False)
    client.request("project_join", project_id="p")
    (Path(folder) / "file").write_text("x")
    client.wait_for("files_changed")
    options = {"model": "m", "max_turns": 2}
    client.run("p", "[[deltas:2:3]]", key="k", options=options)
    again = {"project_id": "p", "prompt": "[[deltas:2:3]]", "key": "k", "options": options}
    assert client.request("execute", **again)["state"] == "finished"
    line = base64.b64encode(b"no JSON\n").decode()
    client.run("p", f"[[raw:{line}]]")
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    blocks = [{"type": "text", "text": "Look"}, {"type": "image", "source": source}]
    sent = client.request("execute", project_id="p", content=blocks)
    client.wait_for("execution_finished", execution_id=sent["execution_id"])


def wait_in_queue(client: Witness) -> None:
    """Provoke what belongs to executions that run and wait."""
    running = client.request("execute", project_id="p", prompt="[[hang]]")
    client.wait_for("execution_started", execution_id=running["execution_id"])
    waiting = client.request("execute", project_id="p", prompt="later")
    assert client.refused("execute", project_id="p", prompt="x")["code"] == "queue_full"
    (info,) = client.request("project_list")["projects"]
    assert [queued["prompt"] for queued in info["queue"]] == ["later"]
    client.request("agent_kill", project_id="p", execution_id=waiting["execution_id"])
    client.request("agent_interrupt", project_id="p")
    client.wait_for("execution_finished", outcome="interrupted")


def answer_a_question(client: Witness) -> None:
    asked = client.request("execute", project_id="p", prompt="[[tool:Bash:touch new]]")
    question = client.wait_for("permission_request")["data"]["permission_id"]
    (info,) = client.request("project_list")["projects"]
    assert info["pending_permissions"][0]["permission_id"] == question
    answer = {"project_id": "p", "permission_id": question, "decision": "allow"}
    client.request("permission_answer", **answer, updated_input={"command": "echo ho"})
    assert client.refused("permission_answer", **answer)["code"] == "already_answered"
    client.wait_for("execution_finished", execution_id=asked["execution_id"])


def make_mistakes(hub: HubProcess, client: Witness) -> None:
    for text in ("{", "[1]", '{"type": 5}', '{"type": "nonsense", "id": "n"}'):
        client.send(text)
        assert client.reply()["type"] == "error"
    inside = hub.folder("p/inside")
    position = {"after_seq": 1, "log_id": "another"}
    for kind, payload in (
        ("project_join", {"project_id": "nosuch"}),
        ("project_join", {"project_id": "p", **position}),
        ("project_create", {"path": "relative"}),
        ("project_create", {"path": hub.folder("nosuch") + "/none"}),
        ("project_create", {"path": "/"}),
        ("project_create", {"path": inside}),
        ("project_create", {"path": hub.folder("p")}),
        ("execute", {"project_id": "p", "prompt": "x", "options": {"nonsense": 1}}),
        ("agent_kill", {"project_id": "p"}),
        ("permission_answer", {"project_id": "p", "permission_id": "x", "decision": "deny"}),
    ):
        client.refused(kind, **payload)
    for name in ("second", "third"):
        client.request("project_create", path=hub.folder(name))
    client.refused("project_create", path=hub.folder("fourth"))


def test_every_frame_of_a_session_is_in_the_schema(open_hub: HubProcess, witness: Witness) -> None:
    witness.request("ping", any=[1, None])
    witness.request("watch")
    run_prompts(open_hub, witness)
    wait_in_queue(witness)
    answer_a_question(witness)
    make_mistakes(open_hub, witness)
    witness.request("health_check")
    witness.request("agent_new_session", project_id="p")
    witness.wait_for("session_reset")
    page = witness.request("get_messages", project_id="p", limit=5)
    assert len(page["messages"]) == 5
    witness.request("project_leave", project_id="p")
    witness.request("project_join", project_id="p", after_seq=0)
    witness.request("project_delete", project_id="p")
    witness.wait_for("project_deleted")
    witness.request("unwatch")

    assert witness.answered == {*MODELS, schema.PING} - {"authenticate"}
    assert witness.update_types == set(UpdateType) - {"gap"}  # see below
    assert witness.codes == {
        "already_answered",
        "history_gone",
        "invalid_json",
        "invalid_message",
        "invalid_options",
        "invalid_path",
        "nothing_running",
        "path_not_allowed",
        "permission_not_found",
        "project_exists",
        "project_nesting",
        "project_not_found",
        "queue_full",
        "too_many_projects",
        "unknown_type",
    }


def test_a_gap_is_in_the_schema(open_hub: HubProcess, witness: Witness) -> None:
    witness.request("project_create", path=open_hub.folder("p"))
    witness.request("project_join", project_id="p")
    for _ in range(3):  # each fills a file of the log
        witness.run("p", "[[lines:8]]")
    open_hub.stop()
    file = sorted(open_hub.data.glob("projects/p/log/*.jsonl"))[1]
    damaged = bytearray(file.read_bytes())
    damaged[damaged.index(b'"seq":') + 36] ^= 1
    file.write_bytes(damaged)
    open_hub.start()
    with Witness(open_hub.url) as client:
        client.request("project_join", project_id="p", after_seq=0)
        client.wait_for("gap")
        page = client.request("get_messages", project_id="p", after_seq=0, limit=1000)
        assert "gap" in [update["update_type"] for update in page["messages"]]


def test_frames_behind_keys_are_in_the_schema(scratch: Path, start_hub: Any) -> None:
    keys = Keys(scratch)
    wall = keygen(scratch, name="wall")
    keys.write(f'{public(keys.key)}claudehub="read-only" {public(wall)}')
    hub = start_hub(AUTHORIZED_KEYS=str(keys.file), RATE_LIMIT="5")
    with Witness(hub.url) as client:
        assert client.welcome["auth"]["method"] == "ssh"
        client.refused("ping")
        enter(client, keys.key)
        client.request("project_create", path=hub.folder("p"))
        client.run_after_join("p", "x")
        while "rate_limited" not in client.codes:
            client.ask("ping")
        assert client.answered >= {"authenticate", "project_create"}
        assert client.codes == {"unauthenticated", "rate_limited"}
    with Witness(hub.url) as client:
        enter(client, wall)
        client.refused("execute", project_id="p", prompt="x")
        assert client.codes == {"forbidden"}


# -- frames that are wrong -------------------------------------------------------------------

STAMP = "2026-11-23T08:14:33.123456Z"
STATUS = {
    "project_id": "p",
    "update_type": "status",
    "data": {"status": "idle"},
    "timestamp": STAMP,
}
PROMPT = {
    "project_id": "p",
    "update_type": "prompt",
    "data": {"execution_id": "e", "prompt": "x", "options": {}, "client_id": "c"},
    "timestamp": STAMP,
    "seq": 1,
}
FAULT = {"code": "internal", "message": "m", "details": {}}


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "update", "payload": {**STATUS, "unknown": 1}},
        {"type": "update", "payload": PROMPT, "unknown": 1},
        {"type": "error", "payload": {**FAULT, "details": {"unknown": 1}}},
        {"type": "result", "id": "1", "payload": "anything"},
    ],
)
def test_a_frame_that_is_right_is_taken_with_fields_that_nobody_knows(frame: Any) -> None:
    assert faults(MESSAGE, frame) == []


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "greeting", "payload": {}},
        {"payload": {}},
        {"type": "result"},
        {"type": "result", "id": 1, "payload": {}},
        {"type": "update", "payload": {**STATUS, "update_type": "nonsense"}},
        {"type": "update", "payload": {**STATUS, "data": {"status": "asleep"}}},
        {"type": "update", "payload": {**STATUS, "data": {}}},
        {"type": "update", "payload": {**STATUS, "timestamp": 5}},
        {"type": "update", "payload": {k: v for k, v in PROMPT.items() if k != "seq"}},
        {"type": "update", "payload": {**PROMPT, "seq": 0}},
        {"type": "update", "payload": {**PROMPT, "data": {**PROMPT["data"], "content": []}}},
        {"type": "update", "payload": {**PROMPT, "data": {**PROMPT["data"], "client_id": 5}}},
        {"type": "error", "payload": {**FAULT, "code": "nonsense"}},
        {"type": "error", "payload": {**FAULT, "details": {"retry_after_seconds": "1"}}},
        {"type": "welcome", "payload": {"server": "claudehub/1"}},
    ],
)
def test_a_frame_with_a_wrong_type_is_refused(frame: Any) -> None:
    assert faults(MESSAGE, frame) != []


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("execute", {"execution_id": "e", "state": "asleep", "position": 0}),
        ("execute", {"execution_id": "e", "state": "queued"}),
        ("project_list", {"projects": [{"project_id": "p"}]}),
        ("get_messages", {"messages": [STATUS | {"data": 1}]}),
    ],
)
def test_a_result_with_a_wrong_type_is_refused(kind: str, payload: Any) -> None:
    assert result_faults(kind, payload) != []
