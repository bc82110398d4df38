"""Why the server cannot run."""

# The exit code.
FAILED = 1


class StartFailed(Exception):
    """The text says why. Exit code 1."""
