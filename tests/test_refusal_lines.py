"""Refused authentications write a limited number of lines, and one that sums up the others."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import freezegun
import pytest

from actors.audit import refusal_lines
from actors.audit.refusal_lines import (
    LINES_A_MINUTE,
    LINES_A_MINUTE_IN_ALL,
    SUM_EVERY_S,
    RefusalLines,
)
from actors.limits.peer import Peer
from tests.fakes import FrozenClock
from tests.harness import HubProcess

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
SUM = "further authentications were refused"


def peer(number: int) -> Peer:
    return Peer(address=f"192.0.2.{number}")


def test_each_address_has_a_few_lines_and_all_together_have_not_too_many(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with freezegun.freeze_time(NOW) as time:
        lines = RefusalLines(FrozenClock())
        assert sum(lines.take(peer(1)) for _ in range(100)) == LINES_A_MINUTE
        assert lines.take(peer(2)), "a flood from one address hides no other one"
        taken = sum(lines.take(peer(number)) for number in range(3, 200))
        assert LINES_A_MINUTE + 1 + taken == LINES_A_MINUTE_IN_ALL
        time.tick(SUM_EVERY_S - 1)
        lines.look()
        assert SUM not in caplog.text
        time.tick(2)
        lines.look()
        left_out, rest = 100 - LINES_A_MINUTE, 197 - taken
        said = f"count={left_out + rest} addresses={1 + rest} most_from=192.0.2.1 most={left_out}"
        assert f"{SUM} {said}" in caplog.text
        time.tick(SUM_EVERY_S)
        lines.look()
        assert caplog.text.count(SUM) == 1, "nothing was left out since"
        assert lines.take(peer(1)), "a minute later there are lines again"


def test_the_addresses_that_are_told_apart_are_limited(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusal_lines, "ADDRESSES_MAX", 3)
    with freezegun.freeze_time(NOW):
        lines = RefusalLines(FrozenClock())
        for number in range(LINES_A_MINUTE_IN_ALL + 10):
            lines.take(peer(number))
        lines.sum_up()
    assert f"{SUM} count=10 addresses=4 most_from=others most=7" in caplog.text


def test_an_outsider_does_not_fill_the_log(start_hub: Any, scratch: Path) -> None:
    keys = scratch / "keys"
    keys.touch(0o600)
    hub: HubProcess = start_hub(AUTHORIZED_KEYS=str(keys), LOG_FORMAT="text")
    tries = 4 * LINES_A_MINUTE
    done = 0
    while done < tries:
        with hub.client() as client:
            for _ in range(4):
                refused = client.refused(
                    "authenticate", public_key="x", signature="x", host="localhost:1"
                )
                assert refused["code"] == "unauthenticated"
                done += 1
    assert hub.stop() == 0
    said = hub.errors.read_text()
    shown = said.count("authentication refused")
    assert LINES_A_MINUTE <= shown <= LINES_A_MINUTE + 5, "a slow machine gets some more"
    assert f"{SUM} count={tries - shown} addresses=1 most_from=127.0.0.1" in said
