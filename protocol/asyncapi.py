"""The protocol as an AsyncAPI document (3.0), made from its JSON Schema.

Operations are those of the hub: it receives requests, and sends replies, updates and the greeting.
"""

import json
import re
from typing import Any

from protocol import PROTOCOL_VERSION
from protocol.schema import ABOUT, PREFIX, document, pascal
from protocol.type_schemas import Schema, with_parts

_PREFIX = "#/components/schemas/"
_CHANNEL = {"$ref": "#/channels/hub"}
_MESSAGES = "#/channels/hub/messages/"
_ID = "$message.payload#/id"
_SAFE_KEY = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]*")
# Plain words that YAML readers take for something else (YAML 1.1 too).
_NOT_KEYS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}


def asyncapi() -> Schema:
    """Return the document. Its schemas keep to what JSON Schema's draft 7 has: AsyncAPI builds on
    that one."""
    definitions = document()["$defs"]
    requests = _constants(definitions, "Request", "type")
    updates = _constants(definitions, "Update", "update_type")
    messages: Schema = {
        "welcome": _message("WelcomeMessage", definitions),
        "error": {**_message("ErrorMessage", definitions), "correlationId": {"location": _ID}},
    }
    for kind, name in requests.items():
        messages[kind] = {**_message(name, definitions), "correlationId": {"location": _ID}}
        messages[f"{kind}_result"] = _result(kind)
    for kind, name in updates.items():
        messages[f"update_{kind}"] = _update(name, definitions)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "claudehub",
            "version": str(PROTOCOL_VERSION),
            "description": ABOUT,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"hub": {"host": "localhost:8080", "protocol": "ws"}},
        "channels": {
            "hub": {
                "address": "/",
                "description": "One WebSocket. Each text frame is one message.",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
                "bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
            }
        },
        "operations": _operations(list(requests), list(updates)),
        "components": {
            "messages": messages,
            "schemas": {name: _draft7(definitions[name]) for name in definitions},
        },
    }


def _constants(definitions: Schema, union: str, field: str) -> dict[str, str]:
    """Return the names of a union's definitions by the value of the field that tells them apart."""
    names = [part["$ref"].removeprefix(PREFIX) for part in definitions[union]["oneOf"]]
    return {definitions[name]["properties"][field]["const"]: name for name in names}


def _message(name: str, definitions: Schema) -> Schema:
    return {
        "title": name,
        "summary": definitions[name]["description"],
        "payload": {"$ref": _PREFIX + name},
    }


def _result(kind: str) -> Schema:
    about = {"$ref": f"{_PREFIX}Results/properties/{kind}"}
    payload = {"type": "object", "properties": {"payload": about}}
    return {
        "title": f"{pascal(kind)}ResultMessage",
        "summary": f"The reply to `{kind}`.",
        "correlationId": {"location": _ID},
        "payload": {"allOf": [{"$ref": f"{_PREFIX}ResultMessage"}, payload]},
    }


def _update(name: str, definitions: Schema) -> Schema:
    payload = {"type": "object", "properties": {"payload": {"$ref": _PREFIX + name}}}
    return {
        "title": f"{name}Message",
        "summary": definitions[name]["description"],
        "payload": {"allOf": [{"$ref": f"{_PREFIX}UpdateMessage"}, payload]},
    }


def _operations(requests: list[str], updates: list[str]) -> Schema:
    found: Schema = {"greet": _operation("send", "The hub greets each client.", ["welcome"])}
    for kind in requests:
        found[kind] = {
            **_operation("receive", f"A client asks for `{kind}`.", [kind]),
            "reply": {"channel": _CHANNEL, "messages": _references([f"{kind}_result", "error"])},
        }
    about = "The hub sends the updates of joined projects."
    found["update"] = _operation("send", about, [f"update_{kind}" for kind in updates])
    return found


def _operation(action: str, summary: str, messages: list[str]) -> Schema:
    return {
        "action": action,
        "channel": _CHANNEL,
        "summary": summary,
        "messages": _references(messages),
    }


def _references(messages: list[str]) -> list[Schema]:
    return [{"$ref": _MESSAGES + name} for name in messages]


def _draft7(schema: Schema) -> Schema:
    """Return a schema in which nothing stands beside a reference."""
    changed = with_parts(schema, _draft7)
    if "$ref" in changed:
        target = {"$ref": changed.pop("$ref").replace(PREFIX, _PREFIX)}
        return {**changed, "allOf": [target]} if changed else target
    return changed


# -- YAML --------------------------------------------------------------------------------------


def yaml(value: Any) -> str:
    """Return a JSON value as YAML, one entry a line. Texts are written as JSON writes them, which
    YAML reads as well."""
    return "\n".join(_lines(value)) + "\n"


def _lines(value: Any) -> list[str]:
    if isinstance(value, dict) and value:
        lines = []
        for key, part in value.items():
            lines += _entry(f"{_key(key)}:", part)
        return lines
    if isinstance(value, list) and value:
        lines = []
        for part in value:
            first, *others = _lines(part)
            lines += [f"- {first}", *(f"  {line}" for line in others)]
        return lines
    return [json.dumps(value, ensure_ascii=False)]


def _entry(head: str, part: Any) -> list[str]:
    lines = _lines(part)
    if isinstance(part, dict | list) and part:
        return [head, *(f"  {line}" for line in lines)]
    return [f"{head} {lines[0]}"]


def _key(key: str) -> str:
    is_plain = _SAFE_KEY.fullmatch(key) and key.lower() not in _NOT_KEYS
    return key if is_plain else json.dumps(key)
