"""What the Hub is started with."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from actors import messages
from actors.feed.rotator import RotationSettings
from actors.metrics.meter import Meter
from actors.project import ProjectSettings
from actors.runtime.problems import Problems

# What each message of the hub may have at least, whatever the settings are.
MAX_UPDATE_BYTES_LEAST = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class HubSettings:
    """`progress(done, total)` is called while the projects open (hub/startup.py); `died` when the
    Hub fails. `max_reply_bytes` bounds a list; `problems` is what does not work."""

    project: ProjectSettings
    max_projects: int
    max_connections: int
    warm_sessions: int
    rotation: RotationSettings
    version: str
    progress: Callable[[int, int], None]
    died: Callable[[str], None]
    max_reply_bytes: int = MAX_UPDATE_BYTES_LEAST
    problems: Problems = field(default_factory=Problems)
    meter: Meter | None = None

    def changed(self, change: messages.ChangeSettings) -> "HubSettings":
        """Return the settings after a change while the server runs."""
        return replace(
            self,
            project=self.project.changed(change),
            max_projects=change.max_projects,
            max_connections=change.max_connections,
            warm_sessions=change.warm_sessions,
            rotation=self.rotation.changed(change),
        )
