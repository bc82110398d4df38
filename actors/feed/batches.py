"""Updates that wait to be written, and which of them a failing log refuses."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from actors.feed.open_records import Opens
from protocol.updates import Data, Prompt, UpdateType

Callback = Callable[[], None]


@dataclass(slots=True)  # not frozen: that costs more than the rest of an entry
class Entry:
    """One update that waits. `on_stored` is called once it is durable.

    `on_refused`: the feed may give up the update if the log cannot be written, and calls this then.
    `opens` and `closes` say what the record begins and ends (OpenRecords).
    """

    update_type: UpdateType
    data: Data | Prompt | bytes
    execution_id: str | None
    is_logged: bool
    is_kept: bool = True
    on_stored: Callback | None = None
    on_refused: Callback | None = None
    opens: Opens | None = None
    closes: str | None = None


def give_up(entries: Sequence[Entry]) -> tuple[list[Entry], list[Entry]]:
    """Split what waits into what is refused, with an `on_refused` to call, and what stays.

    If the beginning of something is refused, drop its end as well: nothing ends that never began.
    """
    refused = [entry for entry in entries if entry.on_refused is not None]
    never_began = {entry.opens.id for entry in refused if entry.opens is not None}
    stays = [
        entry
        for entry in entries
        if entry.on_refused is None and (entry.closes is None or entry.closes not in never_began)
    ]
    return refused, stays
