"""`claudehub completion`: what a shell needs to complete commands, options and projects."""

import click
from click.shell_completion import get_completion_class

PROGRAM = "claudehub"
VARIABLE = "_CLAUDEHUB_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script for SHELL. It also completes the projects of your hub.

    \b
    Example:
      eval "$(claudehub completion bash)"                    # in ~/.bashrc
      eval "$(claudehub completion zsh)"                     # in ~/.zshrc
      claudehub completion fish > ~/.config/fish/completions/claudehub.fish
    """
    from claudehub.cli.main import main

    complete = get_completion_class(shell)
    assert complete is not None, "click knows these shells"
    click.echo(complete(main, {}, PROGRAM, VARIABLE).source())
