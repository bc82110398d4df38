"""Look every second what each actor does, and name those that get nowhere.

An actor that handles one message for long, or whose inbox is far behind, is a problem that
health_check and the log show until it is over.
"""

from actors.runtime.living import LIVING, ActorState, LivingActors
from actors.runtime.problems import Problems

LOOK_S = 1.0
# Longer than anything that a handler may wait for by design.
LATE_S = 15.0
# The actors that are named; when the whole machine stands still, all of them are late.
NAMED_MAX = 20


class Lookout:
    """For one thread."""

    def __init__(self, problems: Problems, living: LivingActors = LIVING) -> None:
        self._problems = problems
        self._living = living
        self._named: set[str] = set()

    def look(self, now_s: float) -> None:
        """Look at a monotonic time."""
        self._living.look(now_s)
        late = {state.name: _sentence(state) for state in self._living.states() if _is_late(state)}
        for name in self._named - late.keys():
            self._problems.note(name, None)
        self._named &= late.keys()
        for name, sentence in late.items():
            if name in self._named or len(self._named) < NAMED_MAX:
                self._named.add(name)
                self._problems.note(name, sentence)


def _is_late(state: ActorState) -> bool:
    return max(state.handling_s, state.waiting_s) >= LATE_S


def _sentence(state: ActorState) -> str:
    if state.handling is not None and state.handling_s >= LATE_S:
        return f"it has been handling one {state.handling} for over {LATE_S:g} s"
    return f"messages wait in its inbox for over {LATE_S:g} s"
