"""The drain before a stop: nothing new begins, and what runs may end by itself (STOP_GRACE)."""

from collections.abc import Callable

from actors import messages
from actors.hub.registry import Entry, Registry
from actors.runtime.base import tell_if_alive
from actors.runtime.logger import get_logger

logger = get_logger("claudehub.hub")


class Draining:
    """`is_on` from `begin` on. For the Hub's thread only.

    `problems` is what health_check says of it. It is wanted, so it is in no warning and no metric
    of what does not work.
    """

    def __init__(self, registry: Registry) -> None:
        self.is_on = False
        self.problems: list[str] = []
        self._registry = registry
        self._waiting: set[str] = set()
        self._uncounted: set[str] = set()
        self._running = self._cancelled = 0
        self._drained: Callable[[], None] = lambda: None

    def begin(self, order: messages.DrainHub) -> None:
        """Tell every project. The order's `drained` is called once no project has an execution."""
        self.is_on = True
        self._drained = order.drained
        self._waiting = {p for p, entry in self._registry.items() if entry.ref is not None}
        self._uncounted = self._waiting.copy()
        self.problems = [
            "stop: new prompts are refused (shutting_down), and what runs has STOP_GRACE "
            f"({order.grace_s:g} s) to end"
        ]
        for entry in self._registry.values():
            self.tell(entry)
        self._look()

    def tell(self, entry: Entry) -> None:
        """Tell a project, also one that had to be built again during the drain. If its actor has
        just died, the notice of its death is on its way."""
        if self.is_on and entry.ref is not None:
            tell_if_alive(entry.ref, messages.DrainProject())

    def on_answer(self, message: messages.ProjectDraining | messages.ProjectDrained) -> None:
        """Note what a project has to do until it is drained, or that it is."""
        if isinstance(message, messages.ProjectDrained):
            self.settled(message.project_id)
        else:
            self._running += message.running
            self._cancelled += message.cancelled
            self._counted(message.project_id)

    def settled(self, project_id: str) -> None:
        """Note that a project has no execution any more, or is gone."""
        self._counted(project_id)
        if project_id in self._waiting:
            self._waiting.discard(project_id)
            self._look()

    def _counted(self, project_id: str) -> None:
        """Log what all projects have said, once, when the last one has."""
        if project_id in self._uncounted:
            self._uncounted.discard(project_id)
            if not self._uncounted:
                logger.info(
                    "the drain waits for executions",
                    running=self._running,
                    cancelled=self._cancelled,
                )

    def _look(self) -> None:
        if not self._waiting:
            self._drained()
