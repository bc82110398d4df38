"""The stop: a drain first, where STOP_GRACE allows one, then the end of all actors."""

import os
import threading
from collections.abc import Callable, Collection

import pykka

from actors import messages
from actors.runtime.base import tell_if_alive
from actors.runtime.clock import SystemClock
from actors.runtime.living import LIVING, Observed
from actors.runtime.logger import get_logger
from actors.runtime.refs import Ref
from actors.server import logs
from actors.server.errors import FAILED
from actors.server.service_manager import ServiceManager
from actors.server.stop_request import StopRequest

logger = get_logger("claudehub.main")

# More than what a Project waits for the end of its process (executor_link.py).
LEFT_STOP_S = 8.0
# Beyond the Hub's own deadlines, which depend on KILL_GRACE.
STOP_MARGIN_S = 15.0
# During a drain the service manager is asked that often for that much more time.
EXTEND_EVERY_S = 10.0
EXTEND_S = 60.0
# The third signal waits that long for the reader of the log.
LAST_WORDS_S = 0.5


def drain(hub: Ref, grace_s: float, stop_request: StopRequest, service: ServiceManager) -> None:
    """Let the executions that run end by themselves: at most `grace_s`, and not longer than until
    the next stop signal. Clients stay connected, and can answer what the agents ask."""
    if not grace_s or stop_request.is_urgent:
        return
    drained = threading.Event()

    def note_drained() -> None:
        drained.set()
        stop_request.wake()

    logger.info("draining", because_of=stop_request.reason, grace_s=grace_s)
    if not tell_if_alive(hub, messages.DrainHub(grace_s=grace_s, drained=note_drained)):
        return
    clock = SystemClock()
    began_s = clock.monotonic()
    left_s = grace_s
    while left_s > 0:
        service.extend(EXTEND_S, f"draining: at most {left_s:.0f} s more")
        over = stop_request.wait_until(
            lambda: drained.is_set() or stop_request.is_urgent, min(left_s, EXTEND_EVERY_S)
        )
        if over:
            break
        left_s = began_s + grace_s - clock.monotonic()
    why = "nothing runs any more" if drained.is_set() else "STOP_GRACE is over"
    if stop_request.is_urgent:
        why = "a second signal, or a failure, ends it"
    logger.info("drained", why=why, after_s=round(clock.monotonic() - began_s, 1))


def stop_timeout_s(kill_grace_s: float) -> float:
    """Return how long the Hub may take to end everything below it."""
    return 2 * kill_grace_s + STOP_MARGIN_S


def stop_actors(hub: Ref, kill_grace_s: Callable[[], float], stays: Collection[Ref]) -> None:
    """Have the Hub end everything below it, and wait until each actor's release is over and what it
    raised is logged. Report whatever is alive after that as a bug. `stays` are the actors that are
    stopped later."""
    done = threading.Event()
    if tell_if_alive(hub, messages.StopHub(done=done)):
        # Not for `done`: a Hub that fails on the way never sets it.
        LIVING.wait_until_left(
            lambda actor: actor.actor_urn == hub.actor_urn, stop_timeout_s(kill_grace_s())
        )
        if not done.is_set():
            logger.warning("the hub did not end everything below it")
    spared = {ref.actor_urn for ref in stays}
    for ref in pykka.ActorRegistry.get_all():
        if ref.actor_urn not in spared:
            ref.stop(block=False)
    _wait_until_left(lambda actor: actor.actor_urn not in spared, LEFT_STOP_S)


def stop_actor(ref: Ref, timeout_s: float) -> None:
    """Stop one actor, and wait as `stop_actors` does. pykka would not wait for one that is dying
    already."""
    ref.stop(block=False)
    _wait_until_left(lambda actor: actor.actor_urn == ref.actor_urn, timeout_s)


def _wait_until_left(is_awaited: Callable[[Observed], bool], timeout_s: float) -> None:
    for name in LIVING.wait_until_left(is_awaited, timeout_s):
        logger.error("bug: an actor is still alive", actor=name)


def end_at_once() -> None:
    """End the process, at the third signal, whatever it does. What clients have seen as stored is
    on the disk; executions without an end are `lost` at the next start. The guardian ends the
    agents: the kernel closes its pipe."""
    logger.error("ended at once by a third signal: what ran will be reported as lost")
    logs.flush(LAST_WORDS_S)
    os._exit(FAILED)
