"""Ask on a terminal if a folder that somebody else may have written is to be trusted."""

import sys

import click

import claudehub
from claudehub.cli.output import say
from claudehub.show.safe_text import one_line


def offer_trust(project: claudehub.Project, info: claudehub.ProjectInfo) -> None:
    """Name the files of a new project that have no effect, and ask if they are to have it.

    Elsewhere than on a terminal, print the command that trusts it.
    """
    if info.trusted or not info.untrusted_files:
        return
    say(f"{one_line(info.path)} is not trusted; these files have no effect:", err=True)
    for name in info.untrusted_files:
        say(f"  {one_line(name)}", err=True)
    if not sys.stdin.isatty():
        say(f"`claudehub projects trust {project.id}` gives them effect", err=True)
        return
    say("With effect they can run programs and send your API key elsewhere.", err=True)
    if click.confirm("Do you trust who wrote them?", default=False, err=True):
        try:
            project.trust()
        except claudehub.RequestRefused as error:
            say(one_line(str(error)), err=True)
