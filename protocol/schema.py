"""The JSON Schema (2020-12) of every message, made from the types that the hub uses.

`document` is the whole. It has a definition of each request, of each result and of each update;
`Request` is any message of a client, and `Message` any message of the hub. What the schema refuses
in a request, the hub refuses too. A few things a schema cannot say, and the hub looks at them in
addition, such as whether a time exists.
"""

from collections.abc import Iterable

from protocol import PROTOCOL_VERSION
from protocol.requests import MODELS, REQUEST_ID_MAX_LENGTH
from protocol.results import RESULTS
from protocol.shown_projects import LONG_FIELDS
from protocol.type_schemas import Schema, of_requests, of_server, or_null, ordered
from protocol.updates import KINDS, UpdateKind, UpdateType

PREFIX = "#/$defs/"
PING = "ping"
ABOUT = (
    f"Every message of claudehub's protocol, version {PROTOCOL_VERSION}, as this hub speaks it. "
    "Ignore fields, types of updates and values of `code`, `outcome` and the like that are not "
    "here: a later hub may send more. A field that may be null may also be absent."
)
RESULTS_ABOUT = "No message: the payload of the `result` to each request, by the request's `type`."


def document() -> Schema:
    """Return the schema. Raises KeyError if a request has no type for its result, or an update no
    kind."""
    parts = of_requests(), of_server(), _request_messages(), _update_payloads(), _messages()
    definitions: Schema = {}
    for part in parts:
        for name, definition in part.items():
            if definitions.setdefault(name, definition) != definition:
                raise ValueError(f"two definitions have the name {name}")
    _connect(definitions)
    for kind in MODELS:
        message = definitions[f"{pascal(kind)}Request"]
        message["description"] = definitions[MODELS[kind].__name__].get("description", "")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"claudehub, protocol version {PROTOCOL_VERSION}",
        "description": ABOUT,
        "anyOf": [ref("Request"), ref("Message")],
        "$defs": {name: ordered(definitions[name]) for name in sorted(definitions)},
    }


def pascal(name: str) -> str:
    """Return a name of the protocol as the name of a definition: `project_list` is
    `ProjectList`."""
    return "".join(part.capitalize() for part in name.split("_"))


def ref(name: str) -> Schema:
    """Return a reference to a definition."""
    return {"$ref": PREFIX + name}


def _connect(definitions: Schema) -> None:
    """Name the definitions of what the hub passes on as plain JSON."""
    question = definitions["PermissionRequest"]
    fields = {**question["properties"], "truncated": {"type": "boolean"}}
    definitions["PendingPermission"] = {
        **question,
        "description": "A permission that waits for an answer; `truncated`: without what is long.",
        "properties": fields,
        "required": [name for name in question["required"] if name not in LONG_FIELDS],
    }
    options = {k: v for k, v in definitions["Options"].items() if k != "additionalProperties"}
    definitions["GivenOptions"] = {**options, "description": "The options of a prompt, as sent."}

    prompt = definitions["Prompt"]["properties"]
    prompt["options"] = ref("GivenOptions")
    prompt["content"]["items"] = ref("ContentBlock")
    project = definitions["ProjectInfo"]["properties"]
    project["pending_permissions"]["items"] = ref("PendingPermission")
    page = definitions["GetMessagesResult"]["properties"]
    page["messages"]["items"] = ref("Update")


# -- messages ----------------------------------------------------------------------------------


def _object(about: str, fields: Schema, required: Iterable[str]) -> Schema:
    return {
        "description": about,
        "type": "object",
        "properties": fields,
        "required": list(required),
    }


def _request_messages() -> Schema:
    identity = {"type": "string", "maxLength": REQUEST_ID_MAX_LENGTH}
    told = {"description": "The reply repeats it.", **or_null(identity)}
    found = {
        "PingRequest": _object(
            "Ask for an answer; the result is the payload.",
            {"type": {"const": PING}, "id": told, "payload": {}},
            ["type"],
        )
    }
    for kind, model in MODELS.items():
        needs_payload = any(field.is_required() for field in model.model_fields.values())
        payload = ref(model.__name__)
        found[f"{pascal(kind)}Request"] = _object(
            "",  # that of the payload
            {
                "type": {"const": kind},
                "id": told,
                "payload": payload if needs_payload else or_null(payload),
            },
            ["type", "payload"] if needs_payload else ["type"],
        )
    about = "What a client may send."
    return {**found, "Request": {"description": about, "oneOf": [ref(name) for name in found]}}


def _update_payloads() -> Schema:
    found = {f"{pascal(kind)}Update": _update(kind, KINDS[kind]) for kind in UpdateType}
    about = "The payload of an update."
    return {**found, "Update": {"description": about, "oneOf": [ref(name) for name in found]}}


def _update(update_type: UpdateType, kind: UpdateKind) -> Schema:
    line = {"description": "A line of the CLI's output, unchanged.", "type": "object"}
    number = {"description": "Its number in the log.", "type": "integer", "minimum": 1}
    fields = {
        **({"seq": number} if kind.is_logged else {}),
        "timestamp": {"type": "string", "format": "date-time"},
        "project_id": {"type": "string"},
        "update_type": {"const": str(update_type)},
        "data": line if kind.data is None else ref(kind.data.__name__),
    }
    required = list(fields)
    if kind.of_execution:
        about = "Absent on lines that come after the end of their execution."
        fields["execution_id"] = {"description": about, "type": "string"}
    about = "It is in the log." if kind.is_logged else "It is not in the log."
    return _object(f"An update of the type `{update_type}`. {about}", fields, required)


def _messages() -> Schema:
    identity = {"description": "That of the request, if it had one.", "type": "string"}

    def message(about: str, kind: str, payload: Schema, **more: Schema) -> Schema:
        fields = {"type": {"const": kind}, **more, "payload": payload}
        return _object(about, fields, ["type", "payload"])

    found = {
        "WelcomeMessage": message("The first message.", "welcome", ref("Welcome")),
        "ResultMessage": message(
            "The reply to a request that worked. `Results` has the payloads.",
            "result",
            {},
            id=identity,
        ),
        "ErrorMessage": message(
            "The reply to a request that failed.", "error", ref("ErrorFacts"), id=identity
        ),
        "UpdateMessage": message("An update of a project.", "update", ref("Update")),
    }
    about = "What the hub may send."
    results = {kind: ref(RESULTS[kind].__name__) for kind in MODELS}
    return {
        **found,
        "Message": {"description": about, "oneOf": [ref(name) for name in found]},
        "Results": _object(RESULTS_ABOUT, {**results, PING: {}}, [*results, PING]),
    }
