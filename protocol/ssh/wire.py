"""SSH's strings and numbers (RFC 4251, section 5)."""

import struct


class SshError(Exception):
    """The input is invalid; the text says why, for people."""


class Blob:
    """Bytes that are read from the front; every method raises SshError if too few are left."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def at(self) -> int:
        """Return how many bytes have been read."""
        return self._at

    @property
    def is_at_end(self) -> bool:
        return self._at == len(self._data)

    def take(self, size_bytes: int) -> bytes:
        taken = self._data[self._at : self._at + size_bytes]
        if len(taken) < size_bytes:
            raise SshError("is cut short")
        self._at += size_bytes
        return taken

    def byte(self) -> int:
        return self.take(1)[0]

    def u32(self) -> int:
        value: int = struct.unpack(">I", self.take(4))[0]
        return value

    def u64(self) -> int:
        value: int = struct.unpack(">Q", self.take(8))[0]
        return value

    def string(self) -> bytes:
        return self.take(self.u32())

    def mpint(self) -> int:
        """Return a number without a sign: signatures hold no others."""
        value = int.from_bytes(self.string(), "big", signed=True)
        if value < 0:
            raise SshError("holds a number below zero")
        return value

    def end(self) -> None:
        """Check that nothing follows."""
        if not self.is_at_end:
            raise SshError("goes on behind its end")


def string(data: bytes) -> bytes:
    """Return a string as Blob.string reads it."""
    return struct.pack(">I", len(data)) + data
