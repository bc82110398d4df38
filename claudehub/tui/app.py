"""The application around the screens: colours, and the connection that they share."""

from textual.app import App
from textual.theme import BUILTIN_THEMES, Theme

from claudehub.aio import Hub, Project
from claudehub.client.session import State
from claudehub.tui import hub_time
from claudehub.tui.attach_screen import AttachScreen
from claudehub.tui.connection import Connection
from claudehub.tui.watch_screen import WatchScreen

# The terminal's own colours on its own background: see styles.py.
THEME = Theme(
    name="claudehub",
    ansi=True,
    primary="ansi_blue",
    secondary="ansi_cyan",
    warning="ansi_yellow",
    error="ansi_red",
    success="ansi_green",
    accent="ansi_blue",
    foreground="ansi_default",
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    boost="ansi_default",
    variables={
        **BUILTIN_THEMES["ansi-dark"].variables,
        "border": "ansi_blue",
        "border-blurred": "ansi_blue",
        "input-cursor-background": "ansi_default",
        "input-cursor-foreground": "ansi_default",
        "input-cursor-text-style": "reverse",
        "input-selection-background": "ansi_default",
        "input-selection-foreground": "ansi_default",
    },
)


class ClaudehubApp(App[None], inherit_bindings=False):
    """Shows one project, or all projects if none is given, until the user leaves."""

    CSS = """
    Screen { background: ansi_default; color: ansi_default; }
    Input > .input--placeholder { color: ansi_default; text-style: dim; }
    Input > .input--cursor {
        color: ansi_default; background: ansi_default; text-style: reverse;
    }
    """
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, hub: Hub, project: Project | None = None) -> None:
        super().__init__(ansi_color=True)
        self.hub = hub
        self.project = project
        self._since_s = hub_time.local_now()
        # Each connection has another id.
        self._me = {str(hub.welcome.get("client_id"))}
        self.register_theme(THEME)
        self.theme = THEME.name
        self.animation_level = "none"

    def on_mount(self) -> None:
        self.title = "claudehub"
        self.hub.on_state(self._state_changed)
        self.set_interval(1.0, self._tick)
        if self.project is not None:
            self.open_project(self.project)
        else:
            board = WatchScreen(self.hub, self.connection, self.open_project)
            self.push_screen(board, lambda _: self.exit())

    @property
    def connection(self) -> Connection:
        hub = self.hub
        return Connection(str(hub.state), hub.why, self._since_s, hub.retry_in_s)

    def open_project(self, project: Project) -> None:
        """Show a project. If it is the only one, leaving it ends the application."""
        screen = AttachScreen(project, self.connection, self.hub.url, self._me)
        self.push_screen(screen, lambda _: self.exit() if self.project is not None else None)

    def _state_changed(self, _: State) -> None:
        self._since_s = hub_time.local_now()
        self._me.add(str(self.hub.welcome.get("client_id")))
        self._show_connection()

    def _tick(self) -> None:
        """Count down to the next try."""
        if self.hub.state is not State.CONNECTED:
            self._show_connection()

    def _show_connection(self) -> None:
        for screen in self.screen_stack:
            if isinstance(screen, AttachScreen | WatchScreen):
                screen.connection_changed(self.connection)
