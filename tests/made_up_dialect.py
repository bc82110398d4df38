"""A hub that speaks a made-up version 2 of the protocol beside version 1: lines of words in place
of JSON. It shows what another version needs: a class with the methods of Dialect, and an entry.

    python tests/made_up_dialect.py serve --ws-port 0
"""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parent.parent)

from protocol import codec, versions
from protocol.dialect import VERSION_1, Message, Update, Version1
from protocol.errors import WireError
from protocol.requests import ProjectJoin, Request
from protocol.updates import Welcome

SUBPROTOCOL = "claudehub.v2"
NOTE = "version 1 will go with claudehub 3.0: offer the subprotocol claudehub.v2"


class Words(Version1):
    """`join p` joins, `ok` and `no` answer, `3 prompt` is update 3; partial output gets a dash."""

    version = 2

    def decode(self, text: str) -> Request:
        kind, _, project_id = text.partition(" ")
        if kind != "join":
            return VERSION_1.decode(text)
        return Request("project_join", None, ProjectJoin(project_id=project_id))

    def greeting(self, welcome: Welcome) -> bytes | None:
        return None

    def result(
        self, request: Request, payload: Any, *, now: str, beside: Mapping[str, Any]
    ) -> list[bytes]:
        return [b"ok"]

    def error(self, request: Request | codec.Undecodable, error: WireError) -> list[bytes]:
        return [f"no {error.code}".encode()]

    def messages(self, updates: Iterable[Update]) -> list[Message]:
        spoken = []
        for text, is_stored, is_kept in updates:
            payload = codec.loads(codec.update_payload(text) if is_stored else text)
            words = f"{payload.get('seq', '-')} {payload['update_type']}"
            spoken.append((words.encode(), is_kept, is_kept and not is_stored))
        return spoken


WORDS = Words()

if __name__ == "__main__":
    dialects = {**versions.CURRENT.dialects, SUBPROTOCOL: WORDS}
    versions.CURRENT = versions.Endpoint(dialects, VERSION_1, {1: NOTE})
    from claudehub.cli.main import main

    main(prog_name="claudehub")
