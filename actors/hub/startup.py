"""Open the projects that a server finds when it starts, a few at a time."""

from collections import deque
from collections.abc import Callable, Iterable

from actors.hub.metadata import placeholder_meta
from actors.hub.project_actors import ProjectActors
from actors.hub.registry import Entry, Registry
from actors.runtime.logger import get_logger
from storage.projects import ProjectMeta, Unreadable

logger = get_logger("claudehub.hub")

# After a crash each project reads and flushes its log: a disk gains from a few at once, and loses
# from hundreds. After a clean stop there is nothing to wait for, and more threads only hinder each
# other (bench/log.py, row 8).
OPENING_AT_ONCE = 3
CLEAN_AT_ONCE = 1


class Startup:
    """`progress(done, total)` is called after each project. When the two are equal, all are open or
    have failed to open. For the Hub's thread only."""

    def __init__(
        self,
        project_actors: ProjectActors,
        registry: Registry,
        progress: Callable[[int, int], None],
    ) -> None:
        self._project_actors = project_actors
        self._registry = registry
        self._progress = progress
        self._waiting: deque[Entry] = deque()
        self._opening: set[str] = set()
        self._total = 0

    def begin(self, found: Iterable[ProjectMeta | Unreadable], now: str) -> None:
        for project in found:
            if isinstance(project, Unreadable):
                name, problem = project.project_id, project.problem
                logger.error("a project cannot be opened", project=name, problem=problem)
                meta = placeholder_meta(project.project_id, now)
                self._project_actors.set_aside(Entry(meta), project.problem)
            else:
                entry = Entry(project)
                self._registry.add(entry)
                self._waiting.append(entry)
        self._total = len(self._waiting)
        self._go_on()

    def settled(self, project_id: str) -> None:
        """Note that a project is open, or has failed to open."""
        if project_id in self._opening:
            self._opening.discard(project_id)
            self._go_on()

    def cancel(self) -> None:
        """Open no further projects: the server stops."""
        self._waiting.clear()

    def _go_on(self) -> None:
        while self._waiting and len(self._opening) < at_once(self._waiting[0].meta):
            entry = self._waiting.popleft()
            self._opening.add(entry.meta.project_id)
            self._project_actors.open(entry)
            if entry.ref is None:  # there was no thread for it: it is tried again later
                self._opening.discard(entry.meta.project_id)
        left = len(self._waiting) + len(self._opening)
        if not left and self._total:
            logger.debug("projects are open", count=self._total)
        self._progress(self._total - left, self._total)


def at_once(meta: ProjectMeta) -> int:
    """Return how many projects may be opened at once, with this one among them."""
    is_clean = meta.log is not None and meta.log.clean is not None
    return CLEAN_AT_ONCE if is_clean else OPENING_AT_ONCE
