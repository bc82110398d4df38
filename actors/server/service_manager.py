"""Tell the service manager (systemd) what the server does: sd_notify(3), by hand.

The protocol is one datagram of text to the socket that NOTIFY_SOCKET names (docs/decisions/0019).
Without that variable nothing is sent.
"""

import os
import socket
from collections.abc import MutableMapping
from typing import Self

from actors.runtime.clock import Clock
from actors.runtime.logger import get_logger

logger = get_logger("claudehub.main")

# A manager that does not read its socket holds the server up no longer than this.
SEND_TIMEOUT_S = 1.0
STATUS_CHARACTERS_MAX = 200
# A number of 64 bits has no more: systemd's "infinity" is the largest one.
_USEC_DIGITS_MAX = 20
_SOCKET, _WATCHDOG, _WATCHDOG_PID = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"


class ServiceManager:
    """`watchdog_s` is the time within which the manager wants to hear that the server is alive;
    None if it does not ask. Any thread may call the methods."""

    def __init__(self, address: str | None, clock: Clock, watchdog_s: float | None = None) -> None:
        """Use the address as NOTIFY_SOCKET has it: a path, or `@name` in Linux's abstract
        namespace. None: there is no manager."""
        self.watchdog_s = watchdog_s
        self._clock = clock
        self._address = None if address is None else _usable(address)
        self._failed = False

    @classmethod
    def taken_from(cls, environment: MutableMapping[str, str], clock: Clock) -> Self:
        """Read the manager's variables, and take them out: agents must not speak for the server."""
        address = environment.pop(_SOCKET, None) or None
        usec, pid = environment.pop(_WATCHDOG, ""), environment.pop(_WATCHDOG_PID, "")
        is_for_us = pid in ("", str(os.getpid()))
        return cls(address, clock, _watchdog_s(usec) if is_for_us else None)

    @property
    def is_there(self) -> bool:
        return self._address is not None

    def ready(self, status: str | None = None) -> None:
        """The start, or a reload, is complete. Without a status the last one stays."""
        self._send("READY=1", *(() if status is None else (_status(status),)))

    def reloading(self) -> None:
        """A reload begins; `ready` ends it. The time lets the manager tell it from an earlier one
        (Type=notify-reload)."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={round(self._clock.monotonic() * 1e6)}")

    def stopping(self, status: str) -> None:
        self._send("STOPPING=1", _status(status))

    def status(self, text: str) -> None:
        self._send(_status(text))

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def extend(self, more_s: float, status: str) -> None:
        """Ask for more time than the unit's timeout: `more_s` from now on."""
        self._send(f"EXTEND_TIMEOUT_USEC={round(more_s * 1e6)}", _status(status))

    def _send(self, *lines: str) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(SEND_TIMEOUT_S)
                sender.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            if not self._failed:
                logger.warning("the service manager cannot be told anything", error=error)
            self._failed = True
        else:
            self._failed = False


def _watchdog_s(usec: str) -> float | None:
    """Return the watchdog's time; None if it is no number, or so long that it is none."""
    if not usec or not usec.isascii() or not usec.isdecimal() or len(usec) > _USEC_DIGITS_MAX:
        return None
    return int(usec) / 1e6 or None


def _usable(address: str) -> str | None:
    if address.startswith("@"):
        return "\0" + address[1:]
    if address.startswith("/"):
        return address
    logger.warning("NOTIFY_SOCKET is neither a path nor an abstract socket", address=address)
    return None


def _status(text: str) -> str:
    return f"STATUS={' '.join(text.split())[:STATUS_CHARACTERS_MAX]}"
