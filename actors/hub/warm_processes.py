"""Which CLI processes are kept between prompts, over all projects: the least recently used goes
first (WARM_SESSIONS)."""

from operator import itemgetter

from actors import messages
from actors.hub.registry import Registry
from actors.runtime.base import tell_if_alive
from protocol.updates import WarmSession


class WarmProcesses:
    """For the Hub's thread only. `kept_max` is WARM_SESSIONS."""

    def __init__(self, registry: Registry, kept_max: int) -> None:
        self._registry = registry
        self._kept_max = kept_max
        self._kept: dict[str, tuple[float, WarmSession]] = {}  # and when it was last used

    @property
    def sessions(self) -> list[WarmSession]:
        """Return the sessions, the least recently used first."""
        return [session for _, session in sorted(self._kept.values(), key=itemgetter(0))]

    def on_changed(self, message: messages.WarmProcess) -> None:
        """Note that a process is idle, is in use again, or is gone; let the oldest go if there are
        too many."""
        self.forget(message.project_id)
        if message.pid is None:
            return
        session = WarmSession(
            project_id=message.project_id, pid=message.pid, memory_bytes=message.memory_bytes
        )
        self._kept[message.project_id] = (message.used_at_s, session)
        self._let_oldest_go()

    def change(self, kept_max: int) -> None:
        """Keep that many from now on."""
        self._kept_max = kept_max
        self._let_oldest_go()

    def _let_oldest_go(self) -> None:
        for session in self.sessions[: max(0, len(self._kept) - self._kept_max)]:
            self.forget(session.project_id)
            entry = self._registry.get(session.project_id)
            if entry is not None and entry.ref is not None:
                tell_if_alive(entry.ref, messages.LetProcessGo())

    def forget(self, project_id: str) -> None:
        self._kept.pop(project_id, None)
