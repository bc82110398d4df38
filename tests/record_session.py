"""Record tests/data/v1-session.jsonl: what clients of version 1 of the protocol send and get.

    python -m tests.record_session

Record it again only to add something to it: the old lines are what older clients rely on.
tests/test_v1_session.py plays it to the program of the day.
"""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.session_play import FILE, Line, Play, key_of
from tests.session_shape import TIME

_IDS = {
    "execution_id": "execution",
    "permission_id": "permission",
    "client_id": "client",
    "log_id": "log",
    "session_id": "session",
    "challenge": "challenge",
    "tool_use_id": "tool-use",
}
_SETTINGS = {"MAX_QUEUE": "1", "MAX_PROJECTS": "4", "WARM_SESSIONS": "0"}
Wanted = Callable[[Line], bool]


def reply(number: str) -> Wanted:
    return lambda message: message.get("id") == number


def update(update_type: str, **data: Any) -> Wanted:
    def is_it(message: Line) -> bool:
        payload = message["payload"]
        found = payload.get("update_type") == update_type
        return found and data.items() <= (payload.get("data") or {}).items()

    return is_it


class Recorder:
    """A session as it is played for the first time."""

    def __init__(self, play: Play) -> None:
        self.lines: list[Line] = []
        self._play = play
        self._number = 0
        # What each client has got since its last request: an update may come before the reply.
        self._recent: dict[str, list[Line]] = {}

    def does(self, **line: Any) -> None:
        """Do and record a step of the scene, such as a restart."""
        self.lines.append(line)
        self._play.do(line)

    def connects(self, name: str) -> None:
        self.does(client=name, connects=True)
        self.gets(name, lambda message: message["type"] == "welcome")

    def gets(self, name: str, wanted: Wanted) -> Line:
        """Record all that comes, up to the message that is wanted; return its payload."""
        recent = self._recent.setdefault(name, [])
        seen = 0
        while True:
            while seen < len(recent):
                if wanted(recent[seen]):
                    payload: Line = recent[seen]["payload"]
                    return payload
                seen += 1
            recent.append(self._play.received(name))
            self.lines.append({"client": name, "gets": recent[-1]})

    def asks(self, name: str, kind: str, /, **payload: Any) -> Line:
        """Send a request, and record all up to its reply; return the reply's payload."""
        number = self.sends(name, kind, **payload)
        return self.gets(name, reply(number))

    def sends(self, name: str, kind: str, /, **payload: Any) -> str:
        self._number += 1
        number = str(self._number)
        self._recent[name] = []
        self.does(client=name, sends={"type": kind, "id": number, "payload": payload})
        return number

    def hangs(self, name: str) -> str:
        """Record an execution up to where it hangs: its last line has come.
        Return its id."""
        answer = self.asks(name, "execute", project_id="site", prompt="[[hang]]")
        execution_id: str = answer["execution_id"]
        last = update("claude", subtype="status")
        self.gets(name, last)
        return execution_id

    def says(self, name: str, text: str) -> None:
        """Send a text that is not a valid request, and record the error."""
        self._recent[name] = []
        self.does(client=name, sends=text)
        self.gets(name, lambda message: message["type"] == "error")

    def runs(self, name: str, prompt: str, /, **payload: Any) -> str:
        """Record an execution to its end; return its id."""
        answer = self.asks(name, "execute", project_id="site", prompt=prompt, **payload)
        execution_id: str = answer["execution_id"]
        self.gets(name, update("execution_finished", execution_id=execution_id))
        return execution_id


def projects(hub: Recorder) -> None:
    hub.asks("a", "ping", any="thing")
    hub.connects("w")
    hub.asks("w", "watch")
    for name in ("site", "site/inner", "two", "three", "four"):
        hub.does(hub="folder", name=name)
    hub.asks("a", "project_create", path="$roots/site", project_id="site", name="The site")
    hub.gets("w", update("project_changed"))
    hub.asks("a", "project_create", path="$roots/site")
    hub.asks("a", "project_create", path="$roots/site/inner")
    hub.asks("a", "project_create", path="$roots/none")
    hub.asks("a", "project_create", path="/nonexistent")
    hub.asks("a", "project_create", path="$roots/two", **{"continue": False}, trusted=False)
    hub.asks("a", "project_trust", project_id="two", trusted=True)
    hub.asks("a", "project_create", path="$roots/three")
    hub.asks("a", "project_create", path="$roots/four")
    hub.does(hub="folder", name="five")
    hub.asks("a", "project_create", path="$roots/five")
    hub.asks("a", "project_list")
    hub.asks("a", "project_delete", project_id="four", keep_history=True)
    hub.asks("a", "project_join", project_id="none")


def executions(hub: Recorder) -> None:
    hub.asks("a", "project_join", project_id="site")
    hub.runs("a", "[[text:Hello]]", key="once", options={"model": "claude-mock-2", "max_turns": 3})
    hub.asks("a", "execute", project_id="site", prompt="other", key="once")
    hub.runs("a", "[[deltas:40:8]]")
    hub.runs("a", "[[raw:bm8gSlNPTgo=]]")
    hub.runs("a", "[[error:529]]")
    hub.asks("a", "execute", project_id="site", prompt="x", options={"model": "-x"})
    running = hub.hangs("a")
    waiting = hub.asks("a", "execute", project_id="site", prompt="later")["execution_id"]
    hub.gets("a", update("execution_queued"))
    hub.asks("a", "execute", project_id="site", prompt="too many")
    hub.asks("a", "project_list")
    hub.asks("a", "agent_kill", project_id="site", execution_id=waiting)
    hub.gets("a", update("execution_finished", execution_id=waiting))
    hub.asks("a", "agent_interrupt", project_id="site")
    hub.gets("a", update("execution_finished", execution_id=running))
    hub.asks("a", "agent_interrupt", project_id="site")
    killed = hub.hangs("a")
    hub.asks("a", "agent_kill", project_id="site", execution_id=killed)
    hub.gets("a", update("execution_finished", execution_id=killed))
    hub.runs("a", "[[hang]]", options={"timeout_seconds": 4})
    content = [{"type": "text", "text": "[[text:blocks]]"}]
    blocks = hub.asks("a", "execute", project_id="site", content=content)["execution_id"]
    hub.gets("a", update("execution_finished", execution_id=blocks))


def permissions(hub: Recorder) -> None:
    touch = "[[tool:Bash:touch made.txt]]"
    first = hub.asks("a", "execute", project_id="site", prompt=touch)["execution_id"]
    asked = hub.gets("a", update("permission_request"))["data"]
    hub.asks("a", "project_list")
    answer = {"project_id": "site", "permission_id": asked["permission_id"]}
    hub.asks("a", "permission_answer", **answer, decision="allow")
    hub.asks("a", "permission_answer", **answer, decision="deny")
    hub.gets("a", update("execution_finished", execution_id=first))
    hub.gets("a", update("files_changed"))
    unknown = {"project_id": "site", "permission_id": "none"}
    hub.asks("a", "permission_answer", **unknown, decision="deny")
    second = hub.asks("a", "execute", project_id="site", prompt=touch)["execution_id"]
    asked = hub.gets("a", update("permission_request"))["data"]
    answer = {"project_id": "site", "permission_id": asked["permission_id"]}
    hub.asks("a", "permission_answer", **answer, decision="deny", message="no")
    hub.gets("a", update("execution_finished", execution_id=second))


def history(hub: Recorder) -> None:
    hub.asks("a", "agent_new_session", project_id="site")
    hub.gets("a", update("session_reset"))
    hub.runs("a", "[[text:anew]]")
    hub.asks("a", "get_messages", project_id="site", after_seq=0, limit=8)
    hub.asks("a", "get_messages", project_id="site", before_seq=5, limit=2)
    hub.asks("a", "get_messages", project_id="site", since="2020-01-01T00:00:00Z", limit=1)
    hub.asks("a", "get_messages", project_id="site", after_seq=-1)
    hub.connects("b")
    hub.asks("b", "project_join", project_id="site", last=3, ephemeral=False)
    hub.asks("b", "project_join", project_id="site", after_seq=100000)
    hub.asks("b", "project_join", project_id="site", after_seq=1, log_id="another")
    hub.asks("a", "health_check")
    hub.asks("a", "project_leave", project_id="site")
    hub.asks("w", "unwatch")


def faults(hub: Recorder) -> None:
    for text in ("{", "[]", '{"type": 5}', '{"type": "execute", "id": "x", "payload": {}}'):
        hub.says("a", text)
    hub.asks("a", "no_such_request")
    hub.asks("a", "authenticate", public_key="x", signature="x", host="x:1")


def deletion(hub: Recorder) -> None:
    hub.asks("b", "project_join", project_id="three")
    hub.asks("a", "project_delete", project_id="three")
    hub.gets("b", update("project_deleted"))


def second_hub(hub: Recorder) -> None:
    """Keys, no room on the disk, a damaged record, an execution that was lost, and few requests."""
    hub.hangs("b")
    hub.does(hub="dies")
    hub.does(hub="damage", project_id="site", seq=2)
    hub.does(hub="starts", settings={"keys": "yes", "MIN_FREE_BYTES": "1000000TiB", **_SETTINGS})
    hub.connects("o")
    hub.asks("o", "ping")
    hub.asks("o", "authenticate", key="owner")
    hub.asks("o", "execute", project_id="site", prompt="x")
    hub.asks("o", "get_messages", project_id="site", after_seq=0, limit=4)
    hub.asks("o", "project_join", project_id="site", after_seq=0)
    hub.gets("o", update("gap"))
    hub.gets("o", update("execution_finished", outcome="lost"))
    hub.connects("g")
    hub.asks("g", "authenticate", key="guest")
    hub.asks("g", "execute", project_id="site", prompt="x")
    hub.does(hub="stops")
    hub.does(hub="starts", settings={"RATE_LIMIT": "0.1"})
    hub.connects("r")
    hub.sends("r", "ping")
    hub.gets("r", reply(hub.sends("r", "ping")))


def recorded(play: Play) -> list[Line]:
    hub = Recorder(play)
    hub.does(hub="starts", settings=_SETTINGS)
    hub.connects("a")
    for part in (projects, executions, permissions, history, faults, deletion, second_hub):
        part(hub)
    return hub.lines


# -- names in place of what is another one in each session


def named(lines: list[Line], roots: str) -> list[Line]:
    """Return the lines with names for ids, times and folders. Of what is not stored, such as
    partial output, only the first of a kind stays: how much of it comes is a matter of time."""
    ids = _ids([line["gets"] for line in lines if "gets" in line])
    kept, seen = [], set()
    for line in lines:
        if "gets" in line and _is_ephemeral(line["gets"]):
            kind = (line["client"], *key_of(line["gets"]))
            if kind in seen:
                continue
            seen.add(kind)
        kept.append(_named(line, ids, roots))
    return kept


def _is_ephemeral(message: Line) -> bool:
    return message["type"] == "update" and message["payload"].get("seq") is None


def _ids(value: Any, found: dict[str, str] | None = None) -> dict[str, str]:
    found = {} if found is None else found
    if isinstance(value, dict):
        for key, part in value.items():
            kind = _IDS.get(key)
            if kind is not None and isinstance(part, str) and part not in found:
                count = sum(name.startswith(f"${kind}-") for name in found.values())
                found[part] = f"${kind}-{count + 1}"
            else:
                _ids(part, found)
    elif isinstance(value, list):
        for part in value:
            _ids(part, found)
    return found


def _named(value: Any, ids: dict[str, str], roots: str) -> Any:
    if isinstance(value, dict):
        return {key: _named(part, ids, roots) for key, part in value.items()}
    if isinstance(value, list):
        return [_named(part, ids, roots) for part in value]
    if not isinstance(value, str):
        return value
    if TIME.fullmatch(value):
        return "$time"
    return ids.get(value) or value.replace(roots, "$roots")


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        play = Play(Path(scratch).resolve())
        try:
            lines = named(recorded(play), play.roots)
        finally:
            play.close()
    FILE.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")


if __name__ == "__main__":
    main()
