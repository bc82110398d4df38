"""What the Executor tells its Project: lines, in order with everything else."""

from collections.abc import Sequence
from typing import Any

from actors import messages
from actors.runtime.base import tell_if_alive
from actors.runtime.refs import Ref
from protocol.claude import AgentLine


class Reports:
    """Lines of one execution, or of none, go together; other messages go behind them. A Project
    that has ended gets no more messages. `lines` wait to be sent."""

    def __init__(self, project: Ref) -> None:
        self._project = project
        self._process_name = ""
        self._execution_id: str | None = None
        self.lines: list[AgentLine] = []

    def add(self, lines: Sequence[AgentLine], process_name: str, execution_id: str | None) -> None:
        if (process_name, execution_id) != (self._process_name, self._execution_id):
            self.flush()
            self._process_name, self._execution_id = process_name, execution_id
        self.lines += lines

    def tell(self, message: Any) -> None:
        self.flush()
        tell_if_alive(self._project, message)

    def flush(self, size_bytes: int = 0) -> bool:
        """Send the pending lines; return True if there were any. `size_bytes` is the credit to give
        back to the reader."""
        if not self.lines:
            return False
        lines, self.lines = tuple(self.lines), []
        output = messages.AgentOutput(
            execution_id=self._execution_id,
            process_name=self._process_name,
            lines=lines,
            size_bytes=size_bytes,
        )
        tell_if_alive(self._project, output)
        return True
