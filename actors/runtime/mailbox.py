"""Sending to an actor that may have ended."""

from typing import Any

import pykka


def tell_if_alive(receiver: pykka.ActorRef[Any], message: object) -> bool:
    """A tell that may come late: to a dead actor it does nothing. Whether it was alive."""
    try:
        receiver.tell(message)
    except pykka.ActorDeadError:
        return False
    return True
