"""History read backwards is history read forwards: the same records and the same gaps, whatever is
damaged or gone, and for every bound and size of a page."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from actors.client.history import history
from protocol.dialect import VERSION_1
from protocol.requests import GetMessages, Request
from storage.message_log import MessageLog, open_log
from storage.segments import list_segments
from tests.reading import read_after
from tests.test_message_log import append, body, seqs, settings, stamp

SEGMENTS = 5
PER_SEGMENT = 4
LAST = SEGMENTS * PER_SEGMENT
NOW = datetime(2026, 11, 24, tzinfo=UTC)

damage = st.fixed_dictionaries(
    {
        "gone": st.sets(st.integers(0, SEGMENTS - 1)),
        "damaged": st.sets(st.integers(1, LAST)),
    }
)
numbers = st.none() | st.integers(0, LAST + 2)


@contextmanager
def damaged_log(gone: set[int], damaged: set[int]) -> Iterator[MessageLog]:
    """Open a log of five files; then take files away, and spoil single records."""
    with tempfile.TemporaryDirectory() as scratch:
        log = open_log(Path(scratch), settings(), None)
        for number in range(SEGMENTS):
            log.append_many([body("x" * n) for n in range(PER_SEGMENT)], stamp(10 * number))
            log.roll()
        for number, segment in enumerate(list_segments(Path(scratch))):
            lines = segment.path.read_bytes().splitlines(keepends=True)
            for index in range(PER_SEGMENT):
                if segment.first_seq + index in damaged:
                    lines[index] = lines[index].replace(b'"claude"', b'"Claude"')
            segment.path.write_bytes(b"".join(lines))
            if number in gone:
                segment.path.unlink()
        yield log
        log.abandon()


def ask(log: MessageLog, **bounds: Any) -> dict[str, Any]:
    request = GetMessages(project_id="p", **bounds)
    updates, facts, _ = history(log.reader(), log.bounds(), request, NOW)
    (reply,) = VERSION_1.history(Request("get_messages", "1", request), updates, facts)
    answer: dict[str, Any] = json.loads(reply)["payload"]
    return answer


def covered(answer: dict[str, Any]) -> list[int | tuple[int, int]]:
    return [
        (update["data"]["first_seq"], update["data"]["last_seq"])
        if update["update_type"] == "gap"
        else update["seq"]
        for update in answer["messages"]
    ]


def forwards(log: MessageLog, limit: int, after: int, upto: int | None) -> list[Any]:
    """Follow the pages from a number on, as a client does."""
    found: list[Any] = []
    bounds = {} if upto is None else {"before_seq": upto}
    while True:
        answer = ask(log, after_seq=after, limit=limit, **bounds)
        page = covered(answer)
        found += page
        if not answer["more"]:
            return found
        assert page, "there is more, so there is something"
        after = page[-1][1] if isinstance(page[-1], tuple) else page[-1]


def backwards(log: MessageLog, limit: int, before: int | None, **bounds: Any) -> list[Any]:
    """Follow the pages from the newest to the oldest; return them oldest first."""
    found: list[Any] = []
    while True:
        if before is not None:
            bounds["before_seq"] = before
        answer = ask(log, limit=limit, **bounds)
        page = covered(answer)
        found = page + found
        if not answer["more"]:
            return found
        assert page, "there is more, so there is something"
        before = page[0][0] if isinstance(page[0], tuple) else page[0]


@hypothesis_settings(max_examples=150, deadline=None)
@given(damage=damage, limit=st.integers(1, LAST + 2), before=numbers)
def test_pages_backwards_are_the_pages_forwards(
    damage: dict[str, Any], limit: int, before: int | None
) -> None:
    with damaged_log(**damage) as log:
        assert backwards(log, limit, before) == forwards(log, limit, 0, before)


@hypothesis_settings(max_examples=80, deadline=None)
@given(damage=damage, limit=st.integers(1, LAST + 2), second=st.integers(0, 10 * SEGMENTS))
def test_pages_up_to_a_time_end_where_pages_from_it_begin(
    damage: dict[str, Any], limit: int, second: int
) -> None:
    with damaged_log(**damage) as log:
        older = backwards(log, limit, None, until=stamp(second).replace("000000Z", "999999Z"))
        newest = older[-1] if older else 0
        position = newest[1] if isinstance(newest, tuple) else newest
        assert older + forwards(log, limit, position, None) == forwards(log, limit, 0, None)


@hypothesis_settings(max_examples=80, deadline=None)
@given(damage=damage, max_bytes=st.integers(1, 3000), lowest=st.integers(1, LAST))
def test_pages_of_any_size_have_the_same_items(
    damage: dict[str, Any], max_bytes: int, lowest: int
) -> None:
    with damaged_log(**damage) as log:
        reader, found, position = log.reader(), [], LAST
        while position >= lowest:
            page = reader.read_before(position, lowest, max_bytes=max_bytes)
            found[:0] = seqs(page.items)
            assert page.first_seq <= position, "a page has at least one item"
            position = page.first_seq - 1
        assert position == lowest - 1
        assert found == seqs(read_after(log, lowest - 1).items)


def test_a_missing_beginning_is_a_gap_backwards_too(tmp_path: Path) -> None:
    log = open_log(tmp_path, settings(), None)
    append(log, 3)
    log.roll()
    append(log, 2)
    list_segments(tmp_path)[0].path.unlink()
    answer = ask(log, limit=10)
    assert covered(answer) == [(1, 3), 4, 5]
    assert answer["first_seq"] == 1 and not answer["more"]
    log.abandon()
