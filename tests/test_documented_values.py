"""Tables of the documentation with values of the code: limits without a setting, and rights."""

import re

import pytest
import simplejson
from websockets import http11

from actors.access import keyring
from actors.client import outbox, routing
from actors.client.actor import CLOSE_DEADLINE_S
from actors.executor import questions
from actors.frontend import conversation, handshake, socket_transport, status_listener, wire
from actors.hub import watchers
from actors.hub.stopping import STOP_CLIENTS_S
from actors.limits import connections, quotas
from actors.server import outlet
from protocol import codec
from protocol.errors import WireError
from protocol.rights import UNLIMITED, Rights
from protocol.ssh import authorized_keys
from storage import ignore_pattern, ignore_rules
from tests.harness import ROOT
from tests.test_gate import requests_of_every_kind

KIB, MIB = 1024, 1024 * 1024
RATE = "`RATE_LIMIT`"
EXECUTIONS = [
    quotas.EXECUTIONS_A_MINUTE,
    quotas.EXECUTIONS_A_MINUTE * quotas.EXECUTIONS_PER_ADDRESS,
    quotas.EXECUTIONS_A_MINUTE * quotas.EXECUTIONS_IN_ALL,
]
VALUES = {
    "bytes of a handshake": f"{handshake.HANDSHAKE_BYTES_MAX // KIB} KiB",
    "headers of a handshake": f"{http11.MAX_NUM_HEADERS}",
    "unfinished handshakes": f"{connections.HANDSHAKES_MAX}",
    "of these, from one address": f"{connections.HANDSHAKES_PER_ADDRESS_MAX}",
    "share of `MAX_CONN` for one address": {0.75: "three quarters"}[connections.ADDRESS_SHARE],
    "a message of a connection that": f"{conversation.LOCKED_MESSAGE_BYTES_MAX // KIB} KiB",
    "messages of such a connection": f"{conversation.LOCKED_MESSAGES_MAX}",
    "requests per second from one address": (
        f"{quotas.REQUESTS_PER_ADDRESS} times {RATE}, {quotas.REQUESTS_IN_ALL} times"
    ),
    "executions per minute of one connection": (
        f"{EXECUTIONS[0]} times {RATE}, {EXECUTIONS[1]} times, {EXECUTIONS[2]} times"
    ),
    "lines of `AUTHORIZED_KEYS`": f"{authorized_keys.LINES_MAX:,}",
    "bytes of `AUTHORIZED_KEYS`": f"{keyring.FILE_BYTES_MAX // MIB} MiB",
    "lines of a `.gitignore`": (
        f"{ignore_rules.LINES_MAX:,}, {ignore_pattern.LENGTH_MAX:,} characters; "
        f"{ignore_rules.TRIES_MAX:,}"
    ),
    "fragments of a message": f"{wire.FRAGMENTS_MAX}",
    "pings and pongs per second": f"{wire.CONTROL_FRAMES_PER_S:.0f}",
    "requests of a connection without an answer": (
        f"{conversation.REQUESTS_IN_FLIGHT_MAX}, or "
        f"{conversation.REQUEST_BYTES_IN_FLIGHT_MAX // MIB} MiB"
    ),
    "projects joined on a connection": f"{routing.SUBSCRIPTIONS_MAX}",
    "changes of one project per second": {1.0: f"{watchers.CHANGES_MAX}"}[
        watchers.CHANGES_PERIOD_S
    ],
    "questions of a process": (
        f"{questions.QUESTIONS_MAX}, or {questions.QUESTIONS_BYTES_MAX // MIB} MiB"
    ),
    "what a client with waiting updates": (
        f"{outbox.PROGRESS_BYTES_MIN // KIB} KiB in {outbox.PROGRESS_S:.0f} s"
    ),
    "what the kernel may hold": f"{socket_transport.SEND_BUFFER_BYTES // KIB} KiB",
    "requests to `METRICS_PORT` at": f"{status_listener.STATUS_CONNECTIONS_MAX}",
    "bytes of a request to `METRICS_PORT`": (
        f"{status_listener.STATUS_REQUEST_BYTES_MAX // KIB} KiB, "
        f"{status_listener.STATUS_REQUEST_S:.0f} s"
    ),
    "time to read an answer of `METRICS_PORT`": f"{status_listener.STATUS_ANSWER_S:.0f} s",
    "lines of the log that wait": f"{outlet.LINES_MAX:,}, or {outlet.BYTES_MAX // MIB} MiB",
    "time to answer a close": f"{CLOSE_DEADLINE_S:.0f} s, at the stop {STOP_CLIENTS_S:.0f} s",
}


def rows() -> dict[str, str]:
    text = (ROOT / "docs" / "configuration.md").read_text()
    section = text.split("\n## Limits without a setting\n")[1].split("\n## ")[0]
    found = re.findall(r"^\| (.+?) \| (.+?) \|", section, re.MULTILINE)
    return dict(found[2:])


@pytest.mark.parametrize("start", VALUES)
def test_the_documented_limit_is_that_of_the_code(start: str) -> None:
    (documented,) = (value for limit, value in rows().items() if limit.startswith(start))
    assert documented.startswith(VALUES[start])


def test_every_row_has_its_limit_here() -> None:
    unknown = [limit for limit in rows() if not limit.startswith(tuple(VALUES))]
    assert unknown == []


def documented_rights() -> dict[str, tuple[str, ...]]:
    """Return for each request what the columns of docs/security.md, "Rights", say."""
    text = (ROOT / "docs" / "security.md").read_text()
    section = text.split("\n## Rights\n")[1].split("\n## ")[0]
    found = {}
    for names, *cells in re.findall(
        r"^\| (`.+?) \| (.+?) \| (.+?) \| (.+?) \|$", section, re.MULTILINE
    ):
        found |= dict.fromkeys(re.findall(r"`(\w+)`", names), tuple(cells))
    return found


def allows(rights: Rights, kind: str, payload: dict[str, object]) -> bool:
    body = codec.decode(simplejson.dumps({"type": kind, "payload": payload})).body
    try:
        rights.check(body)
    except WireError:
        return False
    return True


@pytest.mark.parametrize(("kind", "payload"), requests_of_every_kind())
def test_the_documented_rights_are_those_of_the_code(kind: str, payload: dict[str, object]) -> None:
    everything, reading, bound = documented_rights()[kind]
    assert (everything == "yes") is allows(UNLIMITED, kind, payload)
    assert (reading == "yes") is allows(Rights(read_only=True), kind, payload)
    own = Rights(projects=frozenset({"p"}))
    others = Rights(projects=frozenset({"q"}))
    assert (bound != "no") is allows(own, kind, payload)
    if bound.startswith("of these projects") and "project_id" in payload:
        assert not allows(others, kind, payload)
