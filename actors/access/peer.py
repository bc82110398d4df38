"""Where a connection comes from."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Peer:
    """`address` without a port, of a connection over TCP; `uid` of one over a Unix socket."""

    address: str | None = None
    uid: int | None = None

    def __str__(self) -> str:
        return f"uid {self.uid}" if self.address is None else self.address
