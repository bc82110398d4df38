"""Pages of stored updates."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from claudehub.client.calls import Call
from claudehub.client.position import Position
from claudehub.client.reading import history_gone, update_of
from claudehub.client.updates import Gap, HistoryGone, Update

Moment = str | datetime
PAGE = 500


def moment(value: Moment | None) -> str | None:
    """Return a time as the hub reads it. A datetime without a zone is in local time."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value


class History:
    """Page through a log: give `call` to the hub, and its reply to `page`, until `is_over`."""

    def __init__(
        self,
        project_id: str,
        after: Position | int,
        before: Position | int | None,
        since: Moment | None,
        until: Moment | None,
        newest_first: bool,
    ) -> None:
        self._project_id = project_id
        self._after = after.seq if isinstance(after, Position) else after
        self._before = before.seq if isinstance(before, Position) else before
        self._log_id = after.log_id if isinstance(after, Position) else ""
        self._since, self._until = moment(since), moment(until)
        self._newest_first = newest_first
        self.is_over = False

    def call(self) -> Call:
        # The hub reads forwards from `after_seq` and `since`. So backwards they are left out, and
        # `page` looks for them.
        forwards = not self._newest_first
        return Call(
            "get_messages",
            project_id=self._project_id,
            after_seq=self._after if forwards else None,
            before_seq=self._before,
            since=self._since if forwards else None,
            until=self._until,
            limit=PAGE,
        )

    def page(self, reply: Mapping[str, Any]) -> list[Update]:
        """Return the updates of a reply in the order that was asked for."""
        updates = updates_of(reply)
        self.is_over = not reply["more"] or not updates
        gone = self._gone(reply)
        if gone is not None:
            self._log_id, self._after, self.is_over = gone.log_id, gone.first_seq - 1, False
            return [gone]
        self._log_id = reply["log_id"]
        if self._newest_first:
            return self._backwards(updates)
        if updates:
            last = updates[-1].position
            assert last is not None
            self._after = last.seq
        return updates

    def _backwards(self, updates: list[Update]) -> list[Update]:
        """Return a page in reverse, and end at the bound."""
        if updates:
            self._before = first_seq_of(updates[0])
        wanted = [update for update in reversed(updates) if self._is_wanted(update)]
        self.is_over = self.is_over or len(wanted) < len(updates)
        return wanted

    def _is_wanted(self, update: Update) -> bool:
        is_late = self._since is None or update.time >= datetime.fromisoformat(self._since)
        return is_late and (update.position is None or update.position.seq > self._after)

    def _gone(self, reply: Mapping[str, Any]) -> HistoryGone | None:
        """Return what is to be said if the log is another one, or begins later than asked."""
        is_other = self._log_id not in ("", reply["log_id"])
        is_short = 0 < self._after < reply["first_seq"] - 1
        if not (is_other or is_short):
            return None
        return history_gone(
            self._project_id, {name: reply[name] for name in ("log_id", "first_seq", "last_seq")}
        )


def updates_of(page: Mapping[str, Any]) -> list[Update]:
    """Return the updates of a page of history."""
    log_id = page["log_id"]
    return [update_of(raw, position_of(raw, log_id)) for raw in page["messages"]]


def first_seq_of(update: Update) -> int:
    """Return the number of a stored update, or the first number of a gap."""
    if isinstance(update, Gap):
        return update.first_seq
    return update.seq or 0


def position_of(raw: Mapping[str, Any], log_id: str) -> Position:
    seq = raw.get("seq")
    return Position(log_id, raw["data"]["last_seq"] if seq is None else seq)
