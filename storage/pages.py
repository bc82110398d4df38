"""Pages of a log: records in order, and what is missing between them."""

from collections.abc import Sequence
from dataclasses import dataclass

from storage import record

PAGE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class MissingRecords:
    """Stored records that cannot be read, from `first_seq` to `last_seq`."""

    first_seq: int
    last_seq: int


Item = bytes | MissingRecords


@dataclass(frozen=True, slots=True)
class Page:
    """Records in order, oldest first: whole lines, or what is missing in their place.

    `first_seq` and `last_seq` are what the page covers; an empty page has the smaller `last_seq`.
    """

    items: tuple[Item, ...]
    first_seq: int
    last_seq: int

    @property
    def missing(self) -> tuple[MissingRecords, ...]:
        return tuple(item for item in self.items if isinstance(item, MissingRecords))


class PageFilling:
    """A page that is being filled forwards. `position` is the number up to which it is full."""

    def __init__(self, seq: int, max_bytes: int, max_count: int) -> None:
        self.position = seq
        self._items: list[Item] = []
        self._size = 0
        self._max_bytes = max_bytes
        self._max_count = max_count
        self._is_full = False

    @property
    def is_open(self) -> bool:
        return not self._is_full and len(self._items) < self._max_count

    def take(self, lines: Sequence[bytes], limit: int) -> int:
        """Take the sound records among these lines, in order, up to a number.

        Return how many lines were used: fewer than all if the page is full or the limit is passed.
        """
        items, size, position = self._items, self._size, self.position
        used = len(lines)
        for index, number, line in record.sound_records(lines):
            if number <= position:  # stored twice
                continue
            if number > limit:
                used = index
                break
            if items and (len(items) >= self._max_count or size + len(line) > self._max_bytes):
                self._is_full, used = True, index
                break
            if number > position + 1:
                items.append(MissingRecords(position + 1, number - 1))
                if len(items) >= self._max_count:
                    position, used = number - 1, index
                    break
            items.append(line)
            position, size = number, size + len(line)
        self._size, self.position = size, position
        return used

    def skip_to(self, seq: int) -> bool:
        """Note that everything up to there is missing; return False if that fills the page."""
        if self.position < seq:
            self._items.append(MissingRecords(self.position + 1, seq))
            self.position = seq
        return self.is_open

    def forwards(self, seq: int) -> Page:
        return Page(tuple(self._items), seq + 1, self.position)


class BackwardFilling:
    """A page that is being filled from its newest record to its oldest. `position` is the next
    number."""

    def __init__(self, seq: int, lowest: int, max_bytes: int, max_count: int) -> None:
        self.position = seq
        self._newest = seq
        self._lowest = lowest
        self._items: list[Item] = []
        self._size = 0
        self._max_bytes = max_bytes
        self._max_count = max_count
        self._is_full = False

    @property
    def is_open(self) -> bool:
        return not self._is_full and len(self._items) < self._max_count

    def take(self, lines: Sequence[bytes], limit: int) -> bool:
        """Take the sound records among these lines with numbers up to `limit`; return False if the
        page is full, or if the lines before these are older than `lowest`."""
        items, size, position = self._items, self._size, self.position
        has_more = True
        for _, number, line in reversed(list(record.sound_records(lines))):
            if number > position or number > limit:
                continue
            if number < self._lowest:  # what lies in between is missing
                has_more = False
                break
            is_large = bool(items) and size + len(line) > self._max_bytes
            if len(items) >= self._max_count or is_large:
                self._is_full, has_more = True, False
                break
            if number < position:
                items.append(MissingRecords(number + 1, position))
                position = number
                if len(items) >= self._max_count:
                    has_more = False
                    break
            items.append(line)
            position, size = number - 1, size + len(line)
        self._size, self.position = size, position
        return has_more

    def skip_to(self, seq: int) -> bool:
        """Note that everything from there on is missing."""
        if self.position >= seq and self.is_open:
            self._items.append(MissingRecords(seq, self.position))
            self.position = seq - 1
        return self.is_open

    def backwards(self) -> Page:
        return Page(tuple(reversed(self._items)), self.position + 1, self._newest)
