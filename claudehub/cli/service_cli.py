"""`claudehub service`: let systemd or launchd run the hub of this account."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from claudehub.cli.exit_codes import FAILED, SUCCESS
from claudehub.cli.failures import Failed, told
from claudehub.cli.options import as_json
from claudehub.cli.output import say
from claudehub.cli.service_files import Service, Unwritable, replace
from claudehub.cli.service_managers import (
    Command,
    CommandFailed,
    ServiceManager,
    run,
    service_manager,
)
from claudehub.cli.tables import print_json

PLATFORM = sys.platform


@click.group()
def service() -> None:
    """Let the system run the hub: systemd on Linux, launchd on macOS.

    The hub then runs as you, starts by itself, and comes back after a failure. docs/deploy.md has
    the unit for a whole machine and the container.

    \b
    Example:
      claudehub service install
      claudehub service status
    """


_yes = click.option("--yes", is_flag=True, help="Do not ask.")


@service.command()
@click.option(
    "--config",
    "config_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="For `claudehub serve --config`. Default: the file that it finds by itself.",
)
@click.option("--print", "only_print", is_flag=True, help="Print the file, and change nothing.")
@_yes
@told
def install(config_file: Path | None, only_print: bool, yes: bool) -> None:
    """Show the service's file, write it, and start the hub.

    The service gets the PATH of this shell, and no other variable of it: settings belong into the
    configuration file.

    \b
    Example:
      claudehub service install --print
      claudehub service install
    """
    manager = _manager()
    try:
        text = manager.text(_service(config_file))
    except Unwritable as error:
        raise Failed(str(error)) from None
    if only_print:
        click.echo(text, nl=False)
        return
    verb = "replaces" if manager.file.exists() else "writes"
    say(f"This {verb} {manager.file}:\n")
    say("\n".join("    " + line for line in text.splitlines()))
    _ask(manager.to_install(), yes=yes)
    try:
        replace(manager.file, text)
    except OSError as error:
        raise Failed(f"{manager.file} cannot be written: {error.strerror}") from None
    _run_all(manager.to_install())
    say("the hub runs; `claudehub service status` shows it")
    for hint in manager.hints():
        say(hint)


@service.command()
@_yes
@told
def uninstall(yes: bool) -> None:
    """Stop the hub and remove the service's file. All data stays.

    \b
    Example:
      claudehub service uninstall
    """
    manager = _manager()
    if not manager.file.exists():
        say(f"there is no service: {manager.file} does not exist", err=True)
        return
    say(f"This stops the hub and removes {manager.file}. Projects and history stay.")
    _ask([*manager.to_remove(), *manager.after_removal()], yes=yes)
    _run_all(manager.to_remove())
    manager.file.unlink()
    _run_all(manager.after_removal())
    say("the service is removed")


@service.command()
@as_json
@told
def status(as_json: bool) -> int:
    """Show if the service is installed, and if it runs.

    Exit code: 0 it runs, 1 it does not.

    \b
    Example:
      claudehub service status
    """
    manager = _manager()
    is_installed = manager.file.exists()
    try:
        state = manager.state()
    except CommandFailed as error:
        raise Failed(_with_remedy(error)) from None
    if as_json:
        print_json(
            {
                "file": str(manager.file),
                "installed": is_installed,
                "running": state.is_running,
                "state": state.word,
                "pid": state.process_id,
            }
        )
    else:
        file = str(manager.file) if is_installed else "none; `claudehub service install` makes one"
        say(f"file:   {file}")
        number = "" if state.process_id is None else f", process {state.process_id}"
        say(f"state:  {state.word}{number}")
    return SUCCESS if state.is_running else FAILED


def _manager() -> ServiceManager:
    manager = service_manager(PLATFORM)
    if manager is None:
        raise Failed(f"services of {PLATFORM} are not known; docs/deploy.md has other ways")
    return manager


def _service(config_file: Path | None) -> Service:
    config = [] if config_file is None else ["--config", str(config_file.absolute())]
    program = (*_program(), "serve", *config)
    return Service(program, _search_path(), Path.home(), _stop_grace_s(config_file))


def _stop_grace_s(config_file: Path | None) -> float:
    """Return STOP_GRACE as the service will read it, which does not get this shell's variables. A
    fault of the file is for `claudehub serve` to tell; what is right in it counts."""
    from actors.config.sources import default_file, look

    found = look({}, config_file or default_file(), has_environment=False)
    return 0.0 if found.mended is None else found.mended.stop_grace


def _program() -> list[str]:
    """Return how this program was started: by its script, or from a checkout by its file."""
    script = Path(sys.executable).with_name("claudehub")
    if script.is_file():
        return [str(script)]
    return [sys.executable, str(Path(__file__).resolve().parents[1] / "__main__.py")]


def _search_path() -> str:
    """Return the absolute folders of PATH, each once: a service starts in another folder."""
    found = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(dict.fromkeys(part for part in found if os.path.isabs(part)))


def _ask(commands: Sequence[Command], *, yes: bool) -> None:
    """Show the commands, and ask if that is right. Raises Failed."""
    say("\nand runs:\n")
    for command in commands:
        say("    " + " ".join(command.words))
    say("")
    if yes:
        return
    if not is_interactive():
        raise Failed("nobody can be asked here; --yes does it without a question")
    if not click.confirm("Go on?", err=True):
        raise Failed("nothing was changed")


def is_interactive() -> bool:
    """Return True if somebody can answer a question."""
    return sys.stdin.isatty()


def _run_all(commands: Sequence[Command]) -> None:
    """Raises Failed."""
    try:
        for command in commands:
            run(command)
    except CommandFailed as error:
        raise Failed(_with_remedy(error)) from None


def _with_remedy(error: CommandFailed) -> str:
    words = str(error)
    if "bus" in words.lower():
        words += (
            "\n  systemd's user manager is not there: log in as this user (ssh, not su or sudo), "
            "or use the unit for a whole machine (docs/deploy.md)"
        )
    elif "journalctl" in words or "restart" in words:
        words += "\n  journalctl --user -u claudehub says why"
    return words
