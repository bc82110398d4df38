"""Ends that are logged and not durable yet: until they are, the metadata counts the executions as
open, so that a crash in between finds them."""


class OpenEnds:
    """By execution, a number before its prompt."""

    def __init__(self) -> None:
        self._since: dict[str, int] = {}

    def add(self, execution_id: str, prompt_seq_before: int) -> None:
        self._since[execution_id] = prompt_seq_before

    def remove(self, execution_id: str) -> None:
        self._since.pop(execution_id, None)

    def since(self, queue_since: int | None) -> int | None:
        """A number before the first record of every execution without a durable end, those of
        the queue included; None where there is none."""
        queued = [] if queue_since is None else [queue_since]
        return min([*self._since.values(), *queued], default=None)
