"""TypeScript types, made from the JSON Schema of the protocol.

Each definition becomes an exported type of the same name. TypeScript cannot say everything that a
schema says: patterns, lengths and "only one of these fields" are left out.
"""

import json
import re
from typing import Any

from protocol.schema import PREFIX
from protocol.type_schemas import Schema

_HEAD = """\
// Made by `claudehub schema --typescript`. Do not edit.
// Messages are told apart by `type`, and the payloads of updates by `update_type`.
"""
_PLAIN = {
    "string": "string",
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "null": "null",
}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def typescript(schema: Schema) -> str:
    """Return the declarations of a schema's definitions. Raises ValueError for a schema that has no
    type here."""
    parts = [_declaration(name, definition) for name, definition in schema["$defs"].items()]
    return "\n".join([_HEAD, *parts])


def _declaration(name: str, definition: Schema) -> str:
    about = _comment(definition, "")
    if "properties" in definition:
        return f"{about}export interface {name} {_object(definition, '')}\n"
    return f"{about}export type {name} = {_type(definition, '')};\n"


def _comment(schema: Schema, indent: str) -> str:
    mark = ["@deprecated"] if schema.get("deprecated") else []
    words = [*([schema["description"]] if "description" in schema else []), *mark]
    return f"{indent}/** {' '.join(words).replace('*/', '* /')} */\n" if words else ""


def _object(schema: Schema, indent: str) -> str:
    required = schema.get("required", ())
    lines = []
    for name, field in schema["properties"].items():
        key = name if _NAME.fullmatch(name) else json.dumps(name)
        mark = "" if name in required else "?"
        inner = f"{indent}  "
        lines.append(f"{_comment(field, inner)}{inner}{key}{mark}: {_type(field, inner)};\n")
    return "{\n" + "".join(lines) + indent + "}"


def _type(schema: Schema, indent: str) -> str:
    match schema:
        case {"$ref": str(target)}:
            return target.removeprefix(PREFIX)
        case {"const": value}:
            return json.dumps(value)
        case {"enum": [*values]}:
            return " | ".join(json.dumps(value) for value in values)
        case {"anyOf": [*parts]} | {"oneOf": [*parts]}:
            return " | ".join(_type(part, indent) for part in parts)
        case {"type": "array", "items": items}:
            return _array(items, indent)
        case {"type": "object", "properties": _}:
            return _object(schema, indent)
        case {"type": "object"}:
            return "{ [name: string]: unknown }"
        case {"type": str(name)}:
            return _PLAIN[name]
        case _ if not _says_something(schema):
            return "unknown"
    raise ValueError(f"no TypeScript type for {schema}")


def _array(items: Schema, indent: str) -> str:
    inner = _type(items, indent)
    return f"({inner})[]" if " | " in inner else f"{inner}[]"


def _says_something(schema: dict[str, Any]) -> bool:
    return bool(schema.keys() - {"description", "deprecated"})
