"""How much is read at once."""

import pytest

from actors.runtime.read_size import LEAST_BYTES, MOST_BYTES, ReadSize


@pytest.mark.parametrize(
    ("came", "asked_next"),
    [
        ([], LEAST_BYTES),
        ([300, LEAST_BYTES - 1], LEAST_BYTES),
        ([LEAST_BYTES], MOST_BYTES),
        ([LEAST_BYTES, MOST_BYTES, MOST_BYTES], MOST_BYTES),
        ([LEAST_BYTES, MOST_BYTES - 1, LEAST_BYTES], MOST_BYTES),  # the stream goes on
        ([LEAST_BYTES, MOST_BYTES, 300], LEAST_BYTES),
        ([LEAST_BYTES, 0], LEAST_BYTES),
    ],
)
def test_much_is_asked_for_while_much_comes(came: list[int], asked_next: int) -> None:
    size = ReadSize()
    for size_bytes in came:
        size.note(size_bytes)
    assert size.bytes == asked_next
