"""Parts of the server that do not work are named in health_check."""

import pytest

from actors.runtime.problems import Problems


def test_a_part_is_named_until_it_works_again() -> None:
    problems = Problems()
    problems.note("guardian", "it has ended")
    problems.note("audit log", "the disk is full")
    assert problems.now() == ["guardian: it has ended", "audit log: the disk is full"]
    problems.note("guardian", None)
    assert problems.now() == ["audit log: the disk is full"]


def test_a_problem_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    problems = Problems()
    with caplog.at_level("INFO", "claudehub.health"):
        problems.note("guardian", None)
        problems.note("guardian", "it has ended")
        problems.note("guardian", "it has ended")
        problems.note("guardian", None)
    assert [record.message for record in caplog.records] == [
        'something does not work part=guardian problem="it has ended"',
        "it works again part=guardian",
    ]
