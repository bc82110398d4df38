"""What fuzzing has found, as it was found: the target and the input."""

from zlib import crc32


def _record(rest: bytes) -> bytes:
    """Whose checksum fits, as the fuzzer had found out."""
    return b'{"crc":"%08x",%b\n' % (crc32(rest), rest)


FOUND: tuple[tuple[str, bytes], ...] = (
    # A compressed point: cryptography raises NotImplementedError for it.
    (
        "keys",
        b"ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAAAhA2sX0fLhLEJH+Lzm"
        b"5WOkQPJ3A32BLeszoPShOUXYmMKW",
    ),
    # Records of a number that is none, and of times that are none.
    ("log_files", _record(b'"seq":2\xac"timestamp":"2026-11-23T08:14:33.123456Z","data":{}}')),
    ("log_files", _record(b'"seq":1,"timestamp":"2026-11-23T08:14:3\xff.123456Z","data":{}}')),
    ("log_files", _record(b'"seq":1,"timestamp":"2026-02-30T08:14:33.123456Z","data":{}}')),
    ("log_files", _record(b'"seq":%d,"timestamp":"2026-11-23T08:14:33.123456Z","d":1}' % 10**30)),
)
