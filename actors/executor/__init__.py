"""The executor: one actor a project, which runs the CLI, one process a prompt.

`actor.py` is the mailbox; `ending.py` the ladder of signals and the verdict, pure; `process.py` the
only user of Popen; `credit.py` how much output may be on its way; `family.py` finds what a process
left behind; `lines.py` bytes to lines; `environment.py` what the CLI may see.
"""

from actors.executor.actor import Executor

__all__ = ["Executor"]
