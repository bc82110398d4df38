"""A hub that speaks a made-up version of the protocol beside its own: lines of words in place of
JSON. It shows what another version needs: a class with the methods of Dialect, and an entry.

    python tests/made_up_dialect.py serve --ws-port 0
"""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parent.parent)

from claudehub.cli.main import main
from protocol import codec, versions
from protocol.dialect import VERSION_1, Update
from protocol.errors import WireError
from protocol.requests import ProjectJoin, Request
from protocol.updates import Welcome

SUBPROTOCOL = "words"


class Words:
    """`join p` joins, `ok` and `no` answer, `3 prompt` is update 3; partial output gets a dash."""

    def decode(self, text: str) -> Request:
        kind, _, project_id = text.partition(" ")
        if kind != "join":
            return VERSION_1.decode(text)
        return Request("project_join", None, ProjectJoin(project_id=project_id))

    def greeting(self, welcome: Welcome) -> bytes | None:
        return None

    def result(self, request_id: str | None, payload: Any) -> bytes:
        return b"ok"

    def error(self, request_id: str | None, error: WireError) -> bytes:
        return f"no {error.code}".encode()

    def messages(self, updates: Iterable[Update]) -> list[tuple[bytes, bool]]:
        spoken = []
        for text, is_stored, is_kept in updates:
            payload = codec.loads(codec.update_payload(text) if is_stored else text)
            words = f"{payload.get('seq', '-')} {payload['update_type']}"
            spoken.append((words.encode(), is_kept))
        return spoken

    def history(self, updates: Iterable[Update], facts: dict[str, Any]) -> bytes:
        return b"\n".join(message for message, _ in self.messages(updates))


if __name__ == "__main__":
    versions.DIALECTS[SUBPROTOCOL] = Words()
    main(prog_name="claudehub")
