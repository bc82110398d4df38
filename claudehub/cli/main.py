"""The command line: `claudehub serve`, `demo`, and the commands of a client."""

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from claudehub.cli import commands
from claudehub.cli.attach_cli import attach, watch
from claudehub.cli.audit_cli import audit
from claudehub.cli.log_cli import log
from claudehub.client.connection import ClientError
from claudehub.client.target import DEFAULT_URL, Target
from claudehub.client.target import target as target_of
from protocol import VERSION

EXIT_FAILED = 1
EXIT_CONFIGURATION = 2

_json = click.option("--json", "as_json", is_flag=True, help="Print updates as JSON, one a line.")


def _hub(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of every client: which hub, and with which key. The command gets a Target."""

    @click.option(
        "--url",
        envvar="CLAUDEHUB_URL",
        help=f"The hub (default: unix:SOCKET if SOCKET is set and exists, else {DEFAULT_URL}).",
    )
    @click.option(
        "--key",
        envvar="CLAUDEHUB_KEY",
        type=click.Path(path_type=Path),
        help="The SSH key for a hub that wants one (default: those of ~/.ssh).",
    )
    @functools.wraps(command)
    def with_target(*, url: str | None, key: Path | None, **options: Any) -> Any:
        return command(target=target_of(url, key), **options)

    return with_target


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="claudehub")
def main() -> None:
    """A WebSocket hub for Claude Code: run prompts in project folders, keep every line, and send
    it live to every client.

    \b
    Example:
      claudehub demo                            # the whole job, on a stand-in agent
      claudehub serve                           # the hub, on port 8080
      claudehub run ~/src/site "Fix the tests"  # from another terminal
    """


def _settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add one option for each variable of the configuration."""
    from actors.config.settings import Config

    for name, field in reversed(Config.model_fields.items()):
        flag = "--" + name.replace("_", "-")
        default = field.get_default(call_default_factory=True, validated_data={})
        shown = " ".join(default) if isinstance(default, tuple) else default
        text = f"{field.description} (default: {shown if shown != '' else 'none'})."
        command = click.option(flag, name, metavar="VALUE", help=text)(command)
    return command


@main.command()
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="TOML, its keys are the variables in lower case.",
)
@_settings
def serve(config_file: Path | None, **flags: object) -> None:
    """Run the hub, until SIGTERM or Ctrl-C.

    Every option is also an environment variable: --ws-port is WS_PORT. Prints one line once clients
    can connect.

    \b
    Example:
      claudehub serve --ws-port 0 --project-roots ~/src --exec-timeout 30m
    """
    from actors.server import outlet

    outlet.hold_descriptors()  # before anything is opened that stays open
    import actors.config.sources as config_source
    from actors.config.settings import Config
    from actors.server import main as server
    from actors.server.errors import StartFailed

    def load() -> Config:
        return config_source.load(flags, config_file or config_source.default_file())

    try:
        config = load()
        server.check(config)
    except config_source.ConfigurationError as error:
        for fault in error.faults:
            click.echo(f"claudehub: {fault}", err=True)
        sys.exit(EXIT_CONFIGURATION)
    with outlet.spoken():
        try:
            code = server.serve(config, server.say, load)
        except StartFailed as error:
            sys.stderr.write(f"claudehub: {error}\n")
            code = EXIT_FAILED
    sys.exit(code)


@main.command()
@click.option("--claude", is_flag=True, help="Use the real CLI (CLAUDE_CMD) and not the stand-in.")
def demo(claude: bool) -> None:
    """Show the whole job: a server, two clients, one prompt, a kill -9, and nothing lost.

    \b
    Example:
      claudehub demo
    """
    from claudehub.cli.demo import run_demo

    sys.exit(run_demo(use_claude=claude))


@main.group()
def projects() -> None:
    """List, create, trust and delete projects.

    \b
    Example:
      claudehub projects create ~/src/site
      claudehub projects list
    """


@projects.command("list")
@_hub
def projects_list(target: Target) -> None:
    """Show the projects of a hub.

    \b
    Example:
      claudehub projects list
    """
    _run(commands.list_projects, target)


@projects.command("create")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--id", "project_id", help="Default: made from the folder's name.")
@click.option("--name", help="For people; default: the folder's name.")
@click.option("--new-conversation", is_flag=True, help="Do not continue the folder's latest one.")
@click.option(
    "--trust/--no-trust",
    "trusted",
    default=None,
    help="Let the folder's own settings, hooks and servers take effect (default: the hub's "
    "TRUST_PROJECTS; on a terminal it asks).",
)
@_hub
def projects_create(
    path: Path,
    project_id: str | None,
    name: str | None,
    new_conversation: bool,
    trusted: bool | None,
    target: Target,
) -> None:
    """Make a project of an existing folder.

    \b
    Example:
      claudehub projects create ~/src/site --id site
    """
    _run(commands.create_project, target, path, project_id, name, not new_conversation, trusted)


@projects.command("trust")
@click.argument("project")
@click.option("--revoke", is_flag=True, help="Trust it no longer.")
@_hub
def projects_trust(project: str, revoke: bool, target: Target) -> None:
    """Let a folder's own settings, hooks, helpers and MCP servers take effect.

    They can run programs as soon as a prompt starts. It holds from the next prompt on.

    \b
    Example:
      claudehub projects trust site
      claudehub projects trust site --revoke
    """
    _run(commands.trust_project, target, project, not revoke)


@projects.command("delete")
@click.argument("project")
@click.option("--keep-history", is_flag=True, help="Keep its log for a later project there.")
@_hub
def projects_delete(project: str, keep_history: bool, target: Target) -> None:
    """Delete a project and its history; the folder itself is not touched.

    \b
    Example:
      claudehub projects delete site
    """
    _run(commands.delete_project, target, project, keep_history)


@main.command()
@click.argument("project")
@click.argument("permission_id")
@click.argument("decision", type=click.Choice(["allow", "deny"]))
@click.option("--message", help="If you deny: tell the agent why.")
@click.option("--remember", is_flag=True, help="Do not ask again in this session.")
@_hub
def answer(
    project: str,
    permission_id: str,
    decision: str,
    message: str | None,
    remember: bool,
    target: Target,
) -> None:
    """Answer a permission that an agent waits for.

    \b
    Example:
      claudehub answer site 205572b403ddafe4 allow --remember
    """
    _run(commands.answer, target, project, permission_id, decision, message, remember)


main.add_command(log)
main.add_command(audit)
main.add_command(attach)
main.add_command(watch)


@main.command()
@click.argument("project")
@click.argument("prompt")
@click.option("--model", help="For this prompt only.")
@click.option("--permission-mode", help="For this prompt only.")
@click.option("--timeout", "timeout_s", type=float, help="Seconds, at most the hub's EXEC_TIMEOUT.")
@_json
@_hub
def run(
    project: str,
    prompt: str,
    model: str | None,
    permission_mode: str | None,
    timeout_s: float | None,
    as_json: bool,
    target: Target,
) -> None:
    """Run PROMPT in PROJECT and stream what the agent does. Ctrl-C ends the execution.

    PROJECT is an id, or a path with a slash in it; the command turns that folder into a project.
    The PROMPT `-` reads standard input. A prompt that begins with a dash follows `--`.

    Exit code: 0 success, 1 error, 3 timeout, 4 killed, 5 cancelled, 6 lost, 7 no connection.

    \b
    Example:
      claudehub run site "Fix the failing test"
      git diff | claudehub run ./ -
      claudehub run site -- "- a list, not an option"
    """
    if prompt == "-":
        prompt = sys.stdin.read()
    options: dict[str, object] = {
        "model": model,
        "permission_mode": permission_mode,
        "timeout_seconds": timeout_s,
    }
    _run(commands.run_prompt, target, project, prompt, options, as_json)


@main.command()
@click.argument("project")
@click.option("--last", type=int, default=None, help="Begin that many updates back (default 20).")
@click.option("--after-seq", type=int, help="Begin behind that number.")
@click.option("--since", help="Begin at a time, such as 2026-11-23T08:00:00Z.")
@_json
@_hub
def tail(
    project: str,
    last: int | None,
    after_seq: int | None,
    since: str | None,
    as_json: bool,
    target: Target,
) -> None:
    """Show the latest updates of PROJECT, and then what comes, until Ctrl-C.

    \b
    Example:
      claudehub tail site --last 100
    """
    _run(commands.tail_project, target, project, last, after_seq, since, as_json)


def _run(command: Callable[..., int], target: Target, *arguments: object) -> None:
    try:
        sys.exit(command(target, *arguments))
    except ClientError as error:
        click.echo(f"claudehub: {error}", err=True)
        sys.exit(commands.exit_code_of(error))
