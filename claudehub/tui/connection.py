"""The connection to the hub, as it is shown: nothing looks alive that is not."""

from dataclasses import dataclass

from rich.style import Style

from claudehub.show.safe_text import one_line
from claudehub.tui import styles
from claudehub.tui.hub_time import elapsed


@dataclass(frozen=True, slots=True)
class Connection:
    """`state` is `connected`, `waiting` or `closed`; times are local, in seconds."""

    state: str = "connected"
    why: str = ""
    since_s: float = 0.0
    retry_in_s: float | None = None

    @property
    def is_up(self) -> bool:
        return self.state == "connected"

    def short(self, now_s: float) -> tuple[str, Style]:
        """Return it in a few words."""
        if self.is_up:
            return "● connected", styles.GOOD
        if self.state == "closed":
            return "✗ closed", styles.BAD
        return f"◌ reconnecting for {elapsed(now_s - self.since_s)}", styles.WARNING

    def sentence(self, now_s: float) -> str:
        """Return all that is known, or nothing if all is well."""
        why = one_line(self.why)
        if self.is_up:
            return ""
        if self.state == "closed":
            return f"the connection is closed: {why}"
        away = elapsed(now_s - self.since_s)
        if self.retry_in_s is None or self.retry_in_s < 1:
            tries = "trying now"
        else:
            tries = f"next try in {elapsed(self.retry_in_s)}"
        return f"no connection for {away}, {tries}: {why}"
