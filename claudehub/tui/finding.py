"""Find text in entries and in painted lines."""

from collections.abc import Iterable, Sequence

from textual.strip import Strip

from claudehub.client.updates import Update
from claudehub.show.safe_text import plain
from claudehub.tui.conversation import Conversation
from claudehub.tui.entries import Entry, Order, text_of
from claudehub.tui.styles import FOUND


def contains(entry: Entry, needle: str) -> bool:
    """Return True if the entry's text has the needle in it; upper and lower case are the same."""
    return needle.casefold() in plain(text_of(entry)).casefold()


def next_hit(entries: Sequence[Entry], needle: str, start: Order | None, step: int) -> Order | None:
    """Return the next entry with the needle from `start` on, without that one; without a start,
    from the end. A step of -1 goes back in time."""
    ordered: Iterable[Entry] = reversed(entries) if step < 0 else entries
    for entry in ordered:
        is_behind = start is None or (entry.order < start if step < 0 else entry.order > start)
        if is_behind and contains(entry, needle):
            return entry.order
    return None


def in_update(update: Update, needle: str) -> bool:
    """Return True if what the update adds to a conversation has the needle in it."""
    alone = Conversation()
    alone.apply(update)
    return any(contains(entry, needle) for entry in alone.entries)


def highlighted(strip: Strip, needle: str) -> Strip:
    """Return the line with every occurrence of the needle marked."""
    text, wanted = strip.text, needle.casefold()
    lowered = text.casefold()
    if not wanted or len(lowered) != len(text) or wanted not in lowered:
        return strip
    pieces: list[Strip] = []
    cell = at = 0
    while (found := lowered.find(wanted, at)) >= 0:
        start = strip.index_to_cell_position(found)
        end = strip.index_to_cell_position(found + len(wanted))
        pieces += [strip.crop(cell, start), strip.crop(start, end).apply_style(FOUND)]
        cell, at = end, found + len(wanted)
    return Strip.join([*pieces, strip.crop(cell)])
