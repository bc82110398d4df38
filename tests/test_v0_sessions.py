"""Sessions that were recorded between the older server and its clients, replayed with the hub.

What comes back is the same, in order, on every connection. What docs/version-0.md decides otherwise
is listed here, each with its reason.
"""

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from tests.harness import TIMEOUT_S, HubProcess
from tests.v0_recording import Names, Step, shape, short, steps, turns

PLAYER = Path(__file__).with_name("playing_agent.py")
RUN = ["line system", "line assistant", "line result", "state IDLE"]
# In place of what was recorded after the step of that line: what each connection is sent.
Exceptions = dict[int, tuple[str, dict[str, list[str]]]]

ANY_FORM = (
    "a project may be named in any of the forms that the clients declare, or be the current one"
)
NO_SILENCE = "what the older server did not understand got no answer, and nothing did after it"
ONE_AT_A_TIME = "a refused execute goes to the caller alone, and what runs goes on"
FAILED = "a run without a result has failed, whatever its last line was"
AFTER_A_FAILURE = "a project whose execution has failed can work: it is idle"
OLD_RACE = "the older server took the end of its CLI's output for a fault"


def run(*frames: str) -> dict[str, list[str]]:
    """Return what two connections are sent of a run for which the first one has asked."""
    return {
        "A": ["state EXECUTING", "execute started", *frames],
        "B": ["state EXECUTING", *frames],
    }


SCRIPT: Exceptions = {
    49: (ANY_FORM, {"A": ["state IDLE", "project_join"]}),
    51: ("an id is any text", {"A": ["error PROJECT_NOT_FOUND"]}),
    64: (ANY_FORM, run("line system", "project_update", *RUN[1:])),
    77: ("add_dirs must lie in PROJECT_ROOTS", {"A": ["error VALIDATION_FAILED"]}),
    92: (OLD_RACE, run("line system", "line assistant", "line user", *RUN[1:])),
    126: (FAILED, run("line system", "line error", "error EXECUTION_FAILED", "state ERROR")),
    165: ("execute runs in the project that it names", {"A": ["error VALIDATION_FAILED"]}),
    186: (ONE_AT_A_TIME, {"B": ["error PROCESS_ACTIVE"]}),
    194: (ONE_AT_A_TIME, {"A": ["error PROCESS_ACTIVE"]}),
    202: (ONE_AT_A_TIME, {"A": ["error PROCESS_ACTIVE"]}),
    208: (ONE_AT_A_TIME, {"A": ["error PROCESS_ACTIVE"]}),
    214: (
        "a kill ends what runs, and its end is no error; the recorded project was deleted at 208",
        {
            "A": ["state IDLE", "process_killed process_killed"],
            "B": ["state IDLE", "process_killed process_killed", "agent_kill killed"],
        },
    ),
    223: (
        "the recorded project was deleted, and kill found it",
        {"B": ["error PROJECT_NOT_FOUND"]},
    ),
    225: (ANY_FORM, {"B": ["error PROJECT_NOT_FOUND"]}),
    246: (ANY_FORM, {"A": ["error PROJECT_NOT_FOUND"]}),
    252: (ANY_FORM, {"A": ["error PROJECT_NOT_FOUND"]}),
    261: (ANY_FORM, {"A": ["error PROJECT_NOT_FOUND"]}),
    272: (NO_SILENCE, {"A": ["error VALIDATION_FAILED"]}),
    273: (NO_SILENCE, {"A": ["error VALIDATION_FAILED"]}),
    274: (NO_SILENCE, {"A": ["project_list"]}),
    275: (NO_SILENCE, {"A": ["project_list"]}),
    276: (NO_SILENCE, {"A": ["error VALIDATION_FAILED"]}),
    278: (NO_SILENCE, {"A": ["project_list"]}),
    288: ("leave means the project that it names", {"C": ["error PROJECT_NOT_FOUND"]}),
    290: ("leave means the project that it names", {"C": ["error PROJECT_NOT_FOUND"]}),
    294: (ANY_FORM, {"C": ["error VALIDATION_FAILED"]}),
    303: (ANY_FORM, {"C": ["error PROJECT_NOT_FOUND"]}),
    305: (ANY_FORM, {"C": ["error PROJECT_NOT_FOUND"]}),
    315: (NO_SILENCE, {"D": ["error JSON_PARSING"]}),
    316: (NO_SILENCE, {"D": ["project_list"]}),
    327: (NO_SILENCE, {"G": ["error VALIDATION_FAILED"]}),
    328: (NO_SILENCE, {"G": ["project_list"]}),
    331: ("a frame is one JSON object", {"H": ["error JSON_PARSING"]}),
    337: ("a negative offset ended the older server", {"I": ["error VALIDATION_FAILED"]}),
}
SCRIPT2: Exceptions = {
    51: (FAILED, run("line system", "line error", "error EXECUTION_FAILED", "state ERROR")),
    156: (ANY_FORM, {"C": ["get_messages"]}),
    160: (ANY_FORM, {"C": ["error PROCESS_NOT_FOUND"]}),
    164: (
        ANY_FORM,
        {
            "A": ["state IDLE", "session_reset session_reset"],
            "B": ["state IDLE", "session_reset session_reset"],
            "C": ["agent_new_session reset"],
        },
    ),
    166: (
        AFTER_A_FAILURE,
        {
            "A": ["state IDLE", "session_reset session_reset"],
            "B": ["state IDLE", "session_reset session_reset"],
            "C": ["agent_new_session reset"],
        },
    ),
    192: (AFTER_A_FAILURE, {"C": ["state IDLE", "project_join"]}),
    228: (
        "leave has left the project that it named",
        {
            "A": ["project_deleted project_deleted", "project_deleted deleted"],
            "B": ["project_deleted project_deleted"],
        },
    ),
    234: (NO_SILENCE, {"B": ["error VALIDATION_FAILED"]}),
    235: (NO_SILENCE, {"B": ["project_list"]}),
}
# Where the frames are as recorded, and what they say is not: the reason.
OTHER_FACTS = {
    108: "a prompt with a bell is in the history, too",
    158: "the history holds also what ran behind the recorded one's end",
    173: "the hub's history has its own records",
    175: "the hub's history has its own records",
    177: "a prompt with a bell is in the history, too",
    183: "`since` was a time of the recording",
    185: "the hub's history has its own records",
    187: "the hub's history has its own records",
    189: "the hub's history has its own records",
    225: "leave has left the project that it named",
}
# Steps that test_v0_connection.py takes: a binary frame, and one that is too long.
ELSEWHERE = ("binary", "bytes")


class Replay:
    """One recorded session on its way through the hub."""

    def __init__(self, hub: HubProcess, names: Names, exceptions: Exceptions) -> None:
        self._url = hub.url.rstrip("/") + "/ws"
        self._names = names
        self._exceptions = exceptions
        self._stack = contextlib.ExitStack()
        self.connections: dict[str, ClientConnection] = {}

    def __enter__(self) -> "Replay":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def take(self, step: Step) -> None:
        if step.sent is None:
            connection = self._stack.enter_context(connect(self._url))
            self.connections[step.connection] = connection
            return
        if any(name in step.sent for name in ELSEWHERE):
            return
        sent = self._names.ours(step.sent)
        text = sent["raw_text"] if "raw_text" in sent else json.dumps(sent)
        self.connections[step.connection].send(text)
        _, other = self._exceptions.get(step.line, ("", None))
        for name in self.connections:
            recorded = step.came.get(name, [])
            if other is not None:
                wanted = other.get(name, [])
                assert self._short(name, len(wanted)) == wanted, step
            else:
                self._compare(step, name, recorded)

    def _short(self, name: str, count: int) -> list[str]:
        return [short(frame) for frame in self._frames(name, count)]

    def _frames(self, name: str, count: int) -> list[dict[str, Any]]:
        connection = self.connections[name]
        return [json.loads(connection.recv(timeout=TIMEOUT_S)) for _ in range(count)]

    def _compare(self, step: Step, name: str, recorded: list[dict[str, Any]]) -> None:
        ours = self._frames(name, len(recorded))
        assert [short(frame) for frame in ours] == [short(frame) for frame in recorded], step
        for theirs, frame in zip(recorded, ours, strict=True):
            self._names.learn(theirs, frame)
        if step.line not in OTHER_FACTS:
            wanted = [shape(frame) for frame in self._names.ours(recorded)]
            assert [shape(frame) for frame in ours] == wanted, step

    def end(self) -> None:
        """Show that nothing else has come on any connection."""
        for name, connection in self.connections.items():
            connection.send('{"type":"project_list"}')
            assert self._short(name, 1) == ["project_list"], name


@pytest.mark.parametrize(
    ("name", "folder", "exceptions"),
    [
        ("testclient_haiku", "/srv/pocket-agent-test-1795528253418", {}),
        ("testclient_interactive", "/srv/v0/inter", {}),
        ("script_session", "/srv/v0/s1795528410438", SCRIPT),
        ("script_session2", "/srv/v0/t1795528570330", SCRIPT2),
    ],
)
def test_a_recorded_session_gets_the_same_frames(
    scratch: Path, name: str, folder: str, exceptions: Exceptions
) -> None:
    recorded = scratch / "lines.json"
    limit = "4s" if exceptions is SCRIPT2 else "5m"  # the second one waits for a time limit
    hub = HubProcess(
        scratch,
        PROTOCOL_V0="on",
        WARM_SESSIONS="0",
        EXEC_TIMEOUT=limit,
        CLAUDE_CMD=f"{sys.executable} {PLAYER} {recorded}",
    )
    base = hub.roots / "s"
    for path in ("a/inner", "b"):
        (base / path).mkdir(parents=True)
    (base / "file").write_text("")
    names = Names({folder: str(base)})
    recorded.write_text(json.dumps(names.ours(turns(name))))
    hub.start()
    try:
        with Replay(hub, names, exceptions) as replay:
            for step in steps(name):
                replay.take(step)
                if exceptions is SCRIPT and step.line == 214:
                    _delete(replay, step, names)
            replay.end()
    finally:
        assert hub.stop() == 0


def _delete(replay: Replay, step: Step, names: Names) -> None:
    """Delete the project that the recorded server has deleted while it executed."""
    assert step.sent is not None
    project_id = names.ours(step.sent)["project_id"]
    replay.connections["A"].send(
        json.dumps({"type": "project_delete", "data": {"project_id": project_id}})
    )
    deleted = "project_deleted project_deleted"
    assert replay._short("A", 2) == [deleted, "project_deleted deleted"]
    assert replay._short("B", 1) == [deleted]
