"""Version 0 as a dialect."""

from collections.abc import Mapping
from typing import Any

from protocol.dialect import Replier, UpdateStream
from protocol.requests import Request
from protocol.updates import Welcome
from protocol.v0 import requests, shapes
from protocol.v0.replies import Replier0
from protocol.v0.updates import Stream0

# The older web page gives a connection up on which nothing has come by its check after 30 s.
QUIET_S = 20.0


class Version0:
    """The dialect of docs/version-0.md. Its clients cannot answer questions of the agent."""

    version = 0
    takes_questions = False
    quiet_s: float | None = QUIET_S

    def decode(self, text: str) -> Request:
        return requests.decode(text)

    def greeting(self, welcome: Welcome) -> bytes | None:
        return None

    def liveness(self, health: Mapping[str, Any]) -> bytes:
        facts = {
            "connections": health["connections"],
            "projects": health["projects"],
            "uptime": health["uptime_seconds"],
        }
        return shapes.frame("server_stats", None, facts)

    def replier(self) -> Replier:
        return Replier0()

    def changes(self) -> UpdateStream:
        raise NotImplementedError("version 0 has no request that watches")

    def stream(self, project: Mapping[str, Any]) -> UpdateStream:
        return Stream0(project)


VERSION_0 = Version0()
