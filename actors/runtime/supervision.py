"""What follows from the death of an actor. Each class declares a rule, and its supervisor
carries it out. docs/architecture.md has the table."""

import enum


class Rule(enum.Enum):
    """The value is what docs/architecture.md says."""

    EXIT = "the server ends with exit code 1, and its last line says why"
    RESTART_OR_EXIT = "it is started again; after three times in 60 seconds the server ends"
    RESTART_OR_ERROR = (
        "it is started again from disk; after three times in 60 seconds, or if it cannot start, "
        "the project's status is `error`, and it is tried again later"
    )
    FAIL_EXECUTION = (
        "the execution ends as `error`, and the next prompt starts another one; after three times "
        "in 60 seconds prompts are refused for 60 seconds"
    )
    CLOSE_CONNECTION = "its connection is closed"
    RETRY = "it is started again after 30 seconds; meanwhile health_check says what is missing"
    EXIT_OR_DEGRADE = (
        "for keys the server ends; for certificates health_check says that the old one stays"
    )
