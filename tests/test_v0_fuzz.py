"""Requests of version 0 that nobody would send are answered; `.ci/fuzz` sends many more."""

from typing import Any

from tests.v0_client import Client0
from tests.v0_fuzz import Fuzz


def test_every_request_is_answered(start_hub: Any) -> None:
    hub = start_hub(PROTOCOL_V0="on")
    with Client0(hub, max_size=None) as client:
        fuzz = Fuzz(client, hub, seed=7)
        fuzz.run(1_500)
    assert fuzz.answers.total() == 1_500
    assert len(fuzz.answers) > 10
    assert "Traceback" not in hub.errors.read_text()
