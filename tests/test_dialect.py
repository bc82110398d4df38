"""Another version of the protocol beside version 1: one project, two languages."""

import sys
from pathlib import Path

from websockets.sync.client import connect
from websockets.typing import Subprotocol

from tests import made_up_dialect
from tests.harness import TIMEOUT_S, HubProcess


class WordsHub(HubProcess):
    """A hub that speaks the made-up version, too."""

    def command(self) -> list[str]:
        return [sys.executable, made_up_dialect.__file__, "serve"]


def test_a_made_up_dialect_joins_beside_version_1(scratch: Path) -> None:
    """The dialect takes under 60 lines, and nothing else of the hub knows of it."""
    assert len(Path(made_up_dialect.__file__).read_text().splitlines()) < 60
    hub = WordsHub(scratch).start()
    try:
        with (
            hub.client() as client,
            connect(hub.url, subprotocols=[Subprotocol(made_up_dialect.SUBPROTOCOL)]) as words,
        ):
            client.request("project_create", path=hub.folder("p"), project_id="p")
            words.send("join none")
            assert words.recv(timeout=TIMEOUT_S) == "no project_not_found"
            words.send("join p")
            assert words.recv(timeout=TIMEOUT_S) == "ok"
            end = client.run_after_join("p", "say [[lines:3]]")
            heard: list[str] = []
            while not heard or not heard[-1].endswith("execution_finished"):
                heard.append(str(words.recv(timeout=TIMEOUT_S)))
            numbered = [line for line in heard if not line.startswith("-")]
            history = client.request("get_messages", project_id="p")["messages"]
            told = [f"{update['seq']} {update['update_type']}" for update in history]
            assert end["outcome"] == "success" and numbered == told
    finally:
        assert hub.stop() == 0
