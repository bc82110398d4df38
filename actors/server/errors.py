"""Why the server cannot run."""


class StartFailed(Exception):
    """The text says why. Exit code 1."""
