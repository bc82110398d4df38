"""Who has come and gone, for the log."""

from actors.access.gate import Gate
from actors.audit.refusal_lines import RefusalLines
from actors.runtime.clock import Clock
from actors.runtime.logger import get_logger
from protocol import requests

logger = get_logger("claudehub.client")

# A connection that asks for nothing else is a check of the hub's health. Some come every few
# seconds, and would fill the log.
_CHECKS = (requests.Authenticate, requests.HealthCheck, requests.Ping)


class Presence:
    """A connection counts as a client from its first request that does something. For the Client's
    thread only."""

    def __init__(self, gate: Gate, clock: Clock, refusal_lines: RefusalLines) -> None:
        self._gate = gate
        self._refusal_lines = refusal_lines
        self._clock = clock
        self._came_s = clock.monotonic()
        self._is_shown = False

    def began(self) -> None:
        logger.debug("connection opened", address=str(self._gate.peer))

    def authenticated(self) -> None:
        gate = self._gate
        logger.debug("authenticated", user=gate.caller.user, key=gate.fingerprint)

    def refused(self, reason: str) -> None:
        """Note an authentication that was refused, in a line of its own if there are not too
        many."""
        gate = self._gate
        if not self._refusal_lines.take(gate.peer):
            return
        logger.warning(
            "authentication refused",
            address=str(gate.peer),
            key=gate.fingerprint,
            reason=reason,
        )

    def asked(self, body: requests.Body) -> None:
        """Note a request that the gate lets through."""
        if self._is_shown or self._gate.is_locked or isinstance(body, _CHECKS):
            return
        self._is_shown = True
        gate = self._gate
        key = {} if gate.fingerprint is None else {"key": gate.fingerprint}
        logger.info("client connected", user=gate.caller.user, address=str(gate.peer), **key)

    def left(self, reason: str) -> None:
        say = logger.info if self._is_shown else logger.debug
        seconds = round(self._clock.monotonic() - self._came_s, 3)
        say("client disconnected", user=self._gate.caller.user, reason=reason, seconds=seconds)
