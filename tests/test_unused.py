"""Every name in the packages is used, by vulture's reckoning; each exception has its reason
here. What the client library shows to programs is used by them."""

import inspect
import io
import re
from collections.abc import Iterator
from contextlib import redirect_stdout

import click
from vulture import Vulture

import claudehub
from claudehub import aio, testing
from claudehub.cli.main import main
from tests.harness import ROOT
from tests.test_structure import PACKAGES

# Names that vulture takes for unused, by the reason why they are not.
EXCEPTIONS = {
    "tarfile reads it": {"mtime"},
    "pykka calls it": {
        "_actor_loop",
        "_create_actor_inbox",
        "use_daemon_thread",
    },
    "a field of a notice of death, which the log shows as `message`": {
        "last_message",
    },
    "an argument of pykka's, pydantic's, logging's or Python's interface": {
        "deep_merge",
        "dotenv_settings",
        "env_settings",
        "exception_type",
        "file_secret_settings",
        "traceback",
    },
    "pydantic reads it or calls it": {
        "_known_mode",
        "_locked_door",
        "_two_ports",
        "_no_switch",
        "_pair",
        "_read_files",
        "media_type",
        "model_config",
        "settings_customise_sources",
    },
    "websockets, ssl, socketserver or websocket-server reads it or calls it": {
        "RequestHandlerClass",
        "address_family",
        "current_size",
        "handle_error",
        "max_message_size",
        "num_tickets",
        "select_subprotocol",
        "server_bind",
        "verify_request",
    },
    "logging or watchdog reads it or calls it": {"handleError", "lastResort", "on_any_event"},
    "Python calls it for a name of the module": {"__dir__", "__getattr__"},
    "asyncio calls it": {"buffer_updated", "get_buffer", "sizehint"},
    "click calls it": {"convert", "format_commands"},
    "prometheus_client calls it": {"collect"},
    "textual or rich reads it or calls it": {
        "AUTO_FOCUS",
        "BINDINGS",
        "CSS",
        "DEFAULT_CSS",
        "ENABLE_COMMAND_PALETTE",
        "animation_level",
        "compose",
        "console",
        "container",
        "cursor_blink",
        "disabled",
        "get_content_height",
        "markup",
        "placeholder",
        "render_line",
        "theme",
    },
    "the guardian's process calls it by name": {"guard"},
    "a field of a message to clients": {
        "agent_id",
        "auth",
        "display_name",
        "heartbeat_seconds",
        "protocols",
        "retry_after_seconds",
        "uptime_seconds",
    },
    "a value that a setting or a comparison takes": {"NEVER", "bypasses"},
}


def is_textuals(name: str, path: str) -> bool:
    """Return True for a handler of a live view, which textual calls by its name, and for an action
    that one of its keys names."""
    if "claudehub/tui/" not in path:
        return False
    kind, _, rest = name.partition("_")
    views = "".join(file.read_text() for file in (ROOT / "claudehub" / "tui").glob("*.py"))
    return kind == "on" or (kind == "action" and re.search(rf'"{rest}[("]', views) is not None)


def callbacks(command: click.Command) -> Iterator[str]:
    """Yield the functions of a command and of those below it."""
    if command.callback is not None:
        yield inspect.unwrap(command.callback).__name__
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            part = command.get_command(context, name)
            assert part is not None
            yield from callbacks(part)


def public() -> set[str]:
    """Return the names that programs may use: of the public classes, and of their members."""
    shown = [getattr(claudehub, name) for name in claudehub.__all__]
    shown += [getattr(testing, name) for name in testing.__all__]
    shown += [aio.Hub, aio.Project, aio.Execution]
    members = {name for each in shown if inspect.isclass(each) for name in dir(each)}
    return {name for name in members if not name.startswith("_")}


def unused() -> set[str]:
    finder = Vulture()
    with redirect_stdout(io.StringIO()):
        finder.scavenge([str(ROOT / package) for package in PACKAGES])
    found = finder.get_unused_code(min_confidence=60)
    return {item.name for item in found if not is_textuals(item.name, str(item.filename))}


def test_everything_is_used_or_has_a_reason() -> None:
    allowed = {name for names in EXCEPTIONS.values() for name in names}
    assert unused() - public() - set(callbacks(main)) == allowed


def test_no_exception_is_for_what_is_public() -> None:
    allowed = {name for names in EXCEPTIONS.values() for name in names}
    assert allowed & public() == set()
