"""History that a Client reads: in turns with the others, from a time on, and what it reports."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from actors import messages
from actors.client import answers, replay
from actors.runtime.clock import Clock
from storage.message_log import MessageLog
from storage.pages import MissingRecords
from storage.segments import list_segments
from tests.test_client_actor import Setup, a_log, setup
from tests.test_message_log import append, stamp

__all__ = ["setup"]


def join(setup: Setup, log: MessageLog, since: str | None = None) -> None:
    setup.say("project_join", "j", project_id="p", after_seq=0)
    request = setup.project.take()[0]
    request.subscriber.register(0, log.bounds().last_seq)
    setup.client.on_receive(
        messages.Joined(
            number=request.reply_to.number,
            payload={"project": {}},
            subscriber=request.subscriber,
            reader=log.reader(),
            since=since,
        )
    )
    setup.handle_own()


def ask_for_history(setup: Setup, log: MessageLog) -> None:
    setup.say("get_messages", "1", project_id="p")
    request = setup.project.take()[0]
    setup.client.on_receive(
        messages.HistorySnapshot(
            number=request.reply_to.number,
            bounds=log.bounds(),
            reader=log.reader(),
            request=request.body,
        )
    )


def damage_record_2(folder: Path) -> None:
    path = list_segments(folder)[0].path
    data = bytearray(path.read_bytes())
    data[data.index(b"\n") + 40] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("way", [join, ask_for_history])
def test_the_client_reports_unreadable_records_to_the_project(
    setup: Setup, tmp_path: Path, way: Any
) -> None:
    log = a_log(tmp_path, 3)
    damage_record_2(tmp_path)
    way(setup, log)
    assert setup.project.take() == [messages.DamageSeen(missing=(MissingRecords(2, 2),))]


@pytest.mark.parametrize(("way", "seq"), [(join, 0), (ask_for_history, 2)])
def test_the_client_tells_the_project_that_its_log_cannot_be_read(
    setup: Setup, tmp_path: Path, way: Any, seq: int
) -> None:
    log = a_log(tmp_path / "log", 3)
    (tmp_path / "log").rename(tmp_path / "elsewhere")
    way(setup, log)
    assert setup.project.take() == [messages.LogUnreadable(seq=seq)]


@pytest.mark.parametrize("way", [join, ask_for_history])
def test_history_is_read_in_turns(
    setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: Any
) -> None:
    turns: list[str] = []

    @contextmanager
    def turn(_: Clock) -> Iterator[None]:
        turns.append("taken")
        yield
        turns.append("given back")

    monkeypatch.setattr(answers, "one_reader", turn)
    monkeypatch.setattr(replay, "one_reader", turn)
    way(setup, a_log(tmp_path, 3))
    assert turns == ["taken", "given back"]


def test_the_client_looks_up_the_time_of_a_join_with_since(setup: Setup, tmp_path: Path) -> None:
    log = a_log(tmp_path, 3)
    append(log, 2, second=60)
    join(setup, log, since=stamp(60))
    assert [m["payload"]["seq"] for m in setup.sent() if m["type"] == "update"] == [4, 5]
