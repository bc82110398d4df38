"""Where a connection comes from."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Peer:
    """`address` without a port, of a connection over TCP; `uid` of one over a Unix socket."""

    address: str | None = None
    uid: int | None = None

    def __str__(self) -> str:
        return self.address if self.uid is None else f"uid {self.uid}"  # type: ignore[return-value]
