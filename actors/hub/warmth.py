"""Which CLI processes are kept between prompts, over all projects: the least recently used goes
first (WARM_SESSIONS)."""

from actors import messages
from actors.hub.registry import Registry
from actors.mailbox import tell_if_alive
from protocol.updates import WarmSession


class Warmth:
    """For the Hub's thread only. `kept_max` is WARM_SESSIONS."""

    def __init__(self, registry: Registry, kept_max: int) -> None:
        self._registry = registry
        self._kept_max = kept_max
        self._kept: dict[str, WarmSession] = {}  # the least recently used first

    @property
    def sessions(self) -> list[WarmSession]:
        return list(self._kept.values())

    def on_changed(self, message: messages.WarmProcess) -> None:
        """A process has become idle, is in use again, or is gone."""
        self.forget(message.project_id)
        if message.pid is None:
            return
        self._kept[message.project_id] = WarmSession(
            project_id=message.project_id, pid=message.pid, memory_bytes=message.memory_bytes
        )
        while len(self._kept) > self._kept_max:
            project_id = next(iter(self._kept))
            self.forget(project_id)
            entry = self._registry.get(project_id)
            if entry is not None and entry.ref is not None:
                tell_if_alive(entry.ref, messages.LetProcessGo())

    def forget(self, project_id: str) -> None:
        self._kept.pop(project_id, None)
