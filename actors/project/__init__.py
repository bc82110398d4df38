"""One project: its prompts, its executions, what its agent asks, and who has joined.

`actor.py` has the inbox. The classes beside it decide without one, in the actor's thread.
"""

from actors.project.actor import Project
from actors.project.settings import ProjectSettings

__all__ = ["Project", "ProjectSettings"]
