"""JSON Schemas of the types of requests, results and updates, as pydantic makes them, without what
says nothing to a writer of clients."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema

from protocol.requests import JOIN_POSITIONS, MODELS, PROMPT_FORMS
from protocol.results import RESULTS, ErrorFacts
from protocol.updates import KINDS, Welcome

Schema = dict[str, Any]

# The keywords that a definition may have, in the order in which they are written. Versions of
# pydantic differ in the order.
_KEYWORDS = (
    "description",
    "deprecated",
    "$ref",
    "type",
    "const",
    "enum",
    "format",
    "contentEncoding",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "exclusiveMinimum",
    "maximum",
    "items",
    "minItems",
    "properties",
    "required",
    "additionalProperties",
    "anyOf",
    "oneOf",
    "allOf",
    "not",
    "default",
)
_NOISE = ("title", "discriminator")
# What is the same as nothing.
_EMPTY = (("default", None), ("minLength", 0), ("additionalProperties", True))
_NULL: Schema = {"type": "null"}


def of_requests() -> Schema:
    """Return the payloads of requests, and what is in them. `null` is the same as absent."""
    _, made = models_json_schema([(model, "validation") for model in MODELS.values()])
    found = {name: _clean(definition) for name, definition in made["$defs"].items()}
    for definition in found.values():
        required = definition.get("required", [])
        for name, field in definition.get("properties", {}).items():
            if name not in required:
                definition["properties"][name] = or_null(field)
    found["ContentBlock"]["description"] = "A part of a prompt."
    found["ProjectJoin"]["allOf"] = [_at_most_one(JOIN_POSITIONS)]
    found["Execute"]["allOf"] = [_exactly_one(PROMPT_FORMS)]
    return found


def of_server() -> Schema:
    """Return the payloads of what the hub sends, and what is in them. A field that may be null need
    not be there."""
    types = [Welcome, ErrorFacts, *RESULTS.values(), *(kind.data for kind in KINDS.values())]
    adapters = [
        (number, "serialization", TypeAdapter(one))
        for number, one in enumerate(types)
        if one is not None
    ]
    _, made = TypeAdapter.json_schemas(adapters)  # type: ignore[arg-type]
    found = {name: _clean(definition) for name, definition in made["$defs"].items()}
    for definition in found.values():
        for field in definition.get("properties", {}).values():
            field.pop("default", None)
        if "required" in definition:
            fields = definition["properties"]
            sure = [name for name in definition["required"] if not _may_be_null(fields[name])]
            definition["required"] = sure
    found["Prompt"]["allOf"] = [_exactly_one(PROMPT_FORMS)]
    return found


def with_parts(schema: Mapping[str, Any], change: Callable[[Schema], Any]) -> Schema:
    """Return a schema with each schema that it directly holds changed."""
    changed: Schema = {}
    for key, value in schema.items():
        if key == "properties":
            changed[key] = {name: change(field) for name, field in value.items()}
        elif key in ("items", "not"):
            changed[key] = change(value)
        elif key in ("anyOf", "oneOf", "allOf"):
            changed[key] = [change(part) for part in value]
        else:
            changed[key] = value
    return changed


def _clean(made: Mapping[str, Any]) -> Schema:
    """Return a schema of pydantic's without what says nothing, and without what only some versions
    of pydantic say."""
    schema = with_parts(made, _clean)
    if "const" in schema:
        schema.pop("enum", None)
        schema.pop("type", None)
    match schema.get("allOf"):
        case [only]:
            del schema["allOf"]
            schema |= only
    for key, value in schema.items():
        if isinstance(value, float) and value.is_integer():
            schema[key] = int(value)
    for key in _NOISE:
        schema.pop(key, None)
    for key, value in _EMPTY:
        if key in schema and schema[key] == value:
            del schema[key]
    if isinstance(schema.get("default"), dict | list):
        del schema["default"]
    if "description" in schema:
        schema["description"] = " ".join(schema["description"].split())
    return schema


def _may_be_null(schema: Schema) -> bool:
    return _NULL in schema.get("anyOf", ())


def or_null(schema: Schema) -> Schema:
    if _may_be_null(schema):
        return schema
    beside: Schema = {
        key: schema[key] for key in ("description", "deprecated", "default") if key in schema
    }
    alone = {key: value for key, value in schema.items() if key not in beside}
    return {**beside, "anyOf": [alone, _NULL]}


def _given(name: str) -> Schema:
    return {"required": [name], "properties": {name: {"not": _NULL}}}


def _exactly_one(names: Iterable[str]) -> Schema:
    return {"oneOf": [_given(name) for name in names]}


def _at_most_one(names: Iterable[str]) -> Schema:
    given = [_given(name) for name in names]
    return {"oneOf": [*given, {"not": {"anyOf": given}}]}


def ordered(schema: Schema) -> Schema:
    """Return a schema with its keywords in one order. Raises ValueError for an unknown one."""
    parts = with_parts(schema, ordered)
    if "enum" in parts:
        parts["enum"] = [str(word) for word in parts["enum"]]
    return {key: parts[key] for key in sorted(parts, key=_KEYWORDS.index)}
