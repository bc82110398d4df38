"""The drain before a stop: nothing new begins, and what runs may end by itself (STOP_GRACE)."""

from collections.abc import Callable

from actors import messages
from actors.hub.registry import Entry, Registry
from actors.runtime.base import tell_if_alive
from actors.runtime.problems import Problems

# Its name among the problems, so that health_check shows it.
PART = "stop"


class Draining:
    """`is_on` from `begin` on. For the Hub's thread only."""

    def __init__(self, registry: Registry, problems: Problems) -> None:
        self.is_on = False
        self._registry = registry
        self._problems = problems
        self._waiting: set[str] = set()
        self._drained: Callable[[], None] = lambda: None

    def begin(self, order: messages.DrainHub) -> None:
        """Tell every project. The order's `drained` is called once no project has an execution."""
        self.is_on = True
        self._drained = order.drained
        self._waiting = {p for p, entry in self._registry.items() if entry.ref is not None}
        self._problems.note(
            PART,
            "new prompts are refused (shutting_down), and what runs has STOP_GRACE "
            f"({order.grace_s:g} s) to end",
        )
        for entry in self._registry.values():
            self.tell(entry)
        self._look()

    def tell(self, entry: Entry) -> None:
        """Tell a project, also one that had to be built again during the drain. If its actor has
        just died, the notice of its death is on its way."""
        if self.is_on and entry.ref is not None:
            tell_if_alive(entry.ref, messages.DrainProject())

    def settled(self, project_id: str) -> None:
        """Note that a project has no execution any more, or is gone."""
        if project_id in self._waiting:
            self._waiting.discard(project_id)
            self._look()

    def _look(self) -> None:
        if not self._waiting:
            self._drained()
