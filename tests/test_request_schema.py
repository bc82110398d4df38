"""What the JSON Schema says of requests is what the codec takes."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import codec
from protocol.requests import MODELS, Options
from protocol.schema import pascal, ref
from tests.test_contract import PNG, REQUEST, judge
from tests.test_gate import requests_of_every_kind

OF_KIND = {kind: judge(ref(f"{pascal(kind)}Request")) for kind in MODELS}
TIME = "2026-11-23T08:14:33Z"
HOST = "hub.example.org:8080"
TEXT_BLOCK = {"type": "text", "text": "x"}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
DOCUMENT = {
    "type": "document",
    "source": {"type": "base64", "media_type": "application/pdf", "data": PNG},
}
PROOF = {"public_key": "ssh-ed25519 A", "signature": "S", "host": HOST}
# Each field is given any of these: for most fields some are right and some are wrong.
VALUES: list[Any] = [
    None,
    True,
    False,
    -1,
    0,
    1,
    5,
    1000,
    1001,
    10**30,
    1.5,
    -0.5,
    "",
    "a",
    "A b",
    "-x",
    "x\0y",
    "x\ny",
    "é" * 64,
    "a" * 64,
    "a" * 65,
    "k" * 128,
    "k" * 129,
    "n" * 1000,
    "n" * 1001,
    "plan",
    "allow",
    "deny",
    TIME,
    "2026-11-23t08:14:33.5+02:00",
    "2026-11-23T08:14:33",
    "2026-11-23",
    [],
    ["a"],
    ["a", "-b"],
    ["a", 1],
    {},
    {"model": "m"},
    {"model": None, "max_turns": 0},
    {"max_turns": 3, "timeout_seconds": 0.5, "permission_mode": "plan"},
    {"permission_mode": "root"},
    {"timeout_seconds": 0},
    {"add_dirs": ["/a"], "allowed_tools": []},
    {"unknown": None},
    {"unknown": 1},
    [TEXT_BLOCK],
    [TEXT_BLOCK, IMAGE, DOCUMENT],
    [{"type": "text", "text": ""}],
    [{"type": "text"}],
    [{"type": "video"}],
    [{**TEXT_BLOCK, "more": 1}],
    [{**IMAGE, "source": {**DOCUMENT["source"]}}],
    [IMAGE, None],
]


def taken(message: object) -> bool:
    try:
        codec.decode(json.dumps(message))
    except codec.Undecodable:
        return False
    return True


def fields_of(kind: str) -> list[str]:
    return [info.alias or name for name, info in MODELS[kind].model_fields.items()]


def payloads(kind: str) -> st.SearchStrategy[Any]:
    """Payloads of which many are right: those of the smallest request with some fields changed."""
    if kind == "authenticate":
        smallest: dict[str, Any] = PROOF
    else:
        smallest = dict(requests_of_every_kind())[kind]
    names = [name for name in fields_of(kind) if name != "host"]  # see the exceptions below
    changes = st.dictionaries(
        st.sampled_from([*names, "unknown"]), st.sampled_from(VALUES), max_size=3
    )
    removed = st.sets(st.sampled_from([*names, "unknown"]), max_size=1)
    changed = st.builds(
        lambda new, gone: {k: v for k, v in {**smallest, **new}.items() if k not in gone},
        changes,
        removed,
    )
    return changed | st.sampled_from([None, [], "x", {}])


@pytest.mark.parametrize("kind", MODELS)
def test_the_schema_takes_the_requests_that_the_codec_takes(kind: str) -> None:
    verdicts = set()

    @settings(max_examples=300, deadline=None, derandomize=True)
    @given(
        payloads(kind),
        st.sampled_from([{}, {"id": None}, {"id": "i" * 128}])
        | st.sampled_from([{"id": "i" * 129}, {"id": 5}]),
    )
    def agree(payload: Any, identity: dict[str, Any]) -> None:
        message = {"type": kind, **identity, "payload": payload}
        verdicts.add(taken(message))
        assert taken(message) is OF_KIND[kind].is_valid(message), message

    agree()
    assert verdicts == {True, False}


@pytest.mark.parametrize("field", Options.model_fields)
def test_the_schema_takes_the_options_that_the_codec_takes(field: str) -> None:
    for value in VALUES:
        payload = {"project_id": "p", "prompt": "x", "options": {field: value}}
        message = {"type": "execute", "payload": payload}
        assert taken(message) is OF_KIND["execute"].is_valid(message), value


@pytest.mark.parametrize(("kind", "payload"), requests_of_every_kind())
def test_the_schema_takes_the_smallest_request_of_each_kind(kind: str, payload: Any) -> None:
    message = {"type": kind, "payload": payload}
    assert taken(message) and REQUEST.is_valid(message)


@pytest.mark.parametrize(
    "message",
    [
        {},
        [],
        {"type": None},
        {"type": "nonsense", "payload": {}},
        {"type": "execute"},
        {"type": "project_list"},
        {"type": "project_list", "payload": None},
        {"type": "ping"},
        {"type": "ping", "payload": 5},
        {"type": "ping", "payload": [None], "unknown": 1},
        {"type": "ping", "id": 5},
        {"type": "authenticate", "payload": PROOF},
        {"type": "authenticate", "payload": {**PROOF, "host": "h" * 261}},
        {"type": "authenticate", "payload": {**PROOF, "host": None}},
    ],
    ids=json.dumps,
)
def test_the_schema_takes_the_messages_that_the_codec_takes(message: Any) -> None:
    assert taken(message) is REQUEST.is_valid(message)


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("project_join", {"project_id": "p", "after_seq": 1.0}),
        ("project_join", {"project_id": "p", "since": "2026-02-30T00:00:00Z"}),
        ("project_join", {"project_id": "\ud800"}),
        (
            "execute",
            {"project_id": "p", "content": [{**IMAGE, "source": {**IMAGE["source"], "data": "?"}}]},
        ),
        ("authenticate", {**PROOF, "host": "hub.example.org"}),
    ],
)
def test_what_a_schema_cannot_say_the_codec_refuses_alone(kind: str, payload: Any) -> None:
    """JSON Schema takes 1.0 for a whole number, and does not look into texts."""
    message = {"type": kind, "payload": payload}
    assert REQUEST.is_valid(message)
    assert not taken(message)
