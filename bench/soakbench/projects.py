"""The projects of a soak: most stay, some are deleted and made again."""

import random
from dataclasses import dataclass
from pathlib import Path

PASSING_SHARE = 0.2
STEADY = "steady-"


@dataclass
class Passing:
    """A place for projects that come and go. `project_id` is the one that is there now."""

    number: int
    generation: int = 0
    project_id: str = ""
    is_there: bool = False
    is_changing: bool = False

    def renew(self) -> str:
        self.generation += 1
        self.project_id = f"passing-{self.number}-{self.generation}"
        return self.project_id


class Projects:
    """Ids and folders."""

    def __init__(self, count: int, roots: Path) -> None:
        passing = max(1, round(count * PASSING_SHARE))
        self._roots = roots
        self.steady = [f"{STEADY}{number:02}" for number in range(max(1, count - passing))]
        self.passing = [Passing(number) for number in range(passing)]
        for place in self.passing:
            place.renew()

    def folder(self, project_id: str) -> str:
        """Return the project's folder, which is made if it is not there."""
        path = self._roots / project_id
        path.mkdir(exist_ok=True)
        return str(path)

    def any(self, chance: random.Random) -> str:
        """Return a project that is there, mostly a steady one."""
        there = [p.project_id for p in self.passing if p.is_there and not p.is_changing]
        return chance.choice(there if there and chance.random() < PASSING_SHARE else self.steady)
