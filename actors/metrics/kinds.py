"""The kinds of actors, threads and processes whose deaths are counted.

All are shown from the start, with 0. Prometheus' increase() does not see a series that begins with
1, so the first death of a kind would raise no alert.
"""

# The classes of the actors.
ACTOR_KINDS = (
    "Auditor",
    "Client",
    "Executor",
    "FileReloader",
    "FileWatcher",
    "Hub",
    "Liveness",
    "PlaceWatcher",
    "Project",
    "Rotator",
)
# Those that the server cannot do without, and those that serve an agent's process.
THREAD_KINDS = (
    "thread accept",
    "thread caretaker",
    "thread readiness",
    "thread signals",
    "thread timers",
    "thread agent-err",
    "thread agent-in",
    "thread agent-out",
    "thread agent-wait",
)
# The process that ends the agents if the server dies.
GUARDIAN = "guardian"
PROCESS_KINDS = (GUARDIAN,)
KINDS = ACTOR_KINDS + THREAD_KINDS + PROCESS_KINDS
