"""The panel beside the conversation: queue, files, cost, who is here."""

from claudehub.tui.connection import Connection
from claudehub.tui.details_painting import details
from claudehub.tui.lines_view import LinesView
from claudehub.tui.project_state import ProjectState

# It is shown by itself if the screen is so wide.
WIDE = 110
INNER_WIDTH = 35


class DetailsPanel(LinesView):
    """It follows the width of the screen until the user has said what they want."""

    DEFAULT_CSS = """
    DetailsPanel {
        display: none; width: 37; height: 1fr; padding: 0 0 0 1;
        border-left: solid ansi_bright_black;
    }
    """

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url
        self._is_wanted: bool | None = None

    def toggle_panel(self) -> None:
        self._is_wanted = not self.display

    def show(self, state: ProjectState, connection: Connection, now_s: float) -> None:
        """Show the panel if there is room for it or it is wanted. `now_s` is local."""
        is_wide = self.screen.size.width >= WIDE
        self.display = is_wide if self._is_wanted is None else self._is_wanted
        if self.display:
            lines = details(state, connection, self._url, INNER_WIDTH, now_s)
            self.set_lines(lines[: max(self.size.height, 1)])
