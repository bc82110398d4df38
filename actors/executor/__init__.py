"""The executor: one actor a project, which runs the CLI; one process at a time, many turns in it.

`actor.py` is the mailbox. Beside it, without one: `turns.py` which turn (`turn.py`) runs in which
process, with `starter.py` and `keeping.py` (a process's beginning, and its time between turns);
`worker.py` one process and the table of states that `ending.py` holds, pure; `preparing.py` what
a process is told before a prompt; `questioning.py` and `permissions.py` what it asks; `relay.py`
what the Project is told, in order. Below them `process.py`, the process itself, with
`credit.py` (how much output may be on its way), `lines.py` (bytes to lines), `folder.py` (where it
runs), `environment.py` (what it may see) and `walls.py` (what it may be and take, with
`launcher.py`). What a process has started is `actors/kin`'s to know; `cli_facts.py` knows what CLI
is installed.
"""

from actors.executor.actor import Executor

__all__ = ["Executor"]
