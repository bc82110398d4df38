"""The executor: one actor a project, which runs the CLI; one process at a time, many turns in it.

`actor.py` has the inbox. The classes beside it decide without one: `turns.py` decides which turn
(`turn.py`) runs in which process, `worker.py` carries out the table of states (`states.py`) for one
process, `preparation.py` brings a process to what a prompt asks, `permission_requests.py` and
`questions.py` handle what it asks, and `reports.py` tells the Project, in order. `process.py` and
`output.py` own the process and its threads.
"""

from actors.executor.actor import Executor

__all__ = ["Executor"]
