"""What the server does right now, for SIGUSR1: all threads with their stacks, and all actors with
their inboxes. It only looks, and waits for nothing."""

import logging
import sys
import threading
from collections import defaultdict
from types import FrameType

from actors.runtime.living import LIVING
from actors.runtime.logger import get_logger

# Threads in the same place are one line, such as those of idle connections.
STACKS_MAX = 200
FRAMES_MAX = 40
NAMES_MAX = 20
ACTORS_MAX = 1_000

logger = get_logger("claudehub.state")


def report() -> None:
    """Log everything, whatever LOG_LEVEL is: somebody has asked for it."""
    logging.getLogger("claudehub.state").setLevel(logging.INFO)
    _report_threads()
    _report_actors()


def _report_threads() -> None:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    places: dict[str, list[str]] = defaultdict(list)
    for ident, frame in sys._current_frames().items():
        places[_stack(frame)].append(names.get(ident, str(ident)))
    logger.info("threads", count=sum(map(len, places.values())), stacks=len(places))
    for stack, found in list(places.items())[:STACKS_MAX]:
        logger.info("stack", threads=found[:NAMES_MAX], count=len(found), block=stack)
    if len(places) > STACKS_MAX:
        logger.info("more stacks are left out", count=len(places) - STACKS_MAX)


def _stack(frame: FrameType | None) -> str:
    """Return a stack, the innermost frame last, without reading any source."""
    lines: list[str] = []
    while frame is not None and len(lines) < FRAMES_MAX:
        code = frame.f_code
        lines.append(f"{code.co_filename}:{frame.f_lineno} {code.co_qualname}")
        frame = frame.f_back
    return "\n".join(reversed(lines))


def _report_actors() -> None:
    actors = LIVING.states()
    logger.info("actors", count=len(actors))
    for actor in sorted(actors, key=lambda actor: -actor.inbox_length)[:ACTORS_MAX]:
        logger.info(
            "actor",
            kind=actor.kind,
            name=actor.name,
            inbox=actor.inbox_length,
            waiting_s=round(actor.waiting_s),
            handling=actor.handling,
            handling_s=round(actor.handling_s),
            handled=actor.handled,
        )
    logger.info("actors shown", count=min(len(actors), ACTORS_MAX))
    if len(actors) > ACTORS_MAX:
        logger.info("more actors are left out", count=len(actors) - ACTORS_MAX)
