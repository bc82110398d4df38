"""What fuzzing has found, as it was found: the target and the input."""

FOUND: tuple[tuple[str, bytes], ...] = (
    # A compressed point: cryptography raises NotImplementedError for it.
    (
        "keys",
        b"ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAAAhA2sX0fLhLEJH+Lzm"
        b"5WOkQPJ3A32BLeszoPShOUXYmMKW",
    ),
)
