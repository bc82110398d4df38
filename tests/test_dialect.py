"""Another version of the protocol beside version 1: one project, two languages."""

import json
import sys
import urllib.request
from pathlib import Path

from websockets.sync.client import connect
from websockets.typing import Subprotocol

from tests import made_up_dialect
from tests.harness import TIMEOUT_S, HubProcess
from tests.scraping import free_port


class WordsHub(HubProcess):
    """A hub that speaks the made-up version, too."""

    def command(self) -> list[str]:
        return [sys.executable, made_up_dialect.__file__, "serve"]


def test_a_made_up_dialect_joins_beside_version_1(scratch: Path) -> None:
    """The dialect takes some 60 lines, and nothing else of the hub knows of it."""
    assert len(Path(made_up_dialect.__file__).read_text().splitlines()) < 65
    port = free_port()
    hub = WordsHub(scratch, METRICS_PORT=str(port)).start()
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
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as page:
                shown = page.read().decode()
        for version in (1, 2):
            assert f'websocket_connections_total{{status="101",version="{version}"}} 1.0' in shown
    finally:
        assert hub.stop() == 0


def test_a_version_that_will_go_says_so_in_its_greeting(scratch: Path) -> None:
    """Only that version: the greeting of another one has no such field."""
    hub = WordsHub(scratch).start()
    (scratch / "plain").mkdir()
    plain = HubProcess(scratch / "plain")
    try:
        with connect(hub.url) as older, connect(plain.start().url) as current:
            old = json.loads(older.recv(timeout=TIMEOUT_S))["payload"]
            new = json.loads(current.recv(timeout=TIMEOUT_S))["payload"]
        assert (old["protocol"], old["protocols"]) == (1, [1, 2])
        assert old["deprecation"] == made_up_dialect.NOTE
        assert (new["protocol"], new["protocols"]) == (1, [1])
        assert "deprecation" not in new
    finally:
        hub.stop()
        plain.stop()
