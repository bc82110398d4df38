"""One project: its run queue, log, subscribers and status.

`actor.py` is the mailbox. Beside it, without one: `agent.py` everything about the agent, to
`runs.py` (executions from prompt to end) with `prompts.py` (taking them), `admission.py` (may one
run), `keys.py` (has it run already), `run_queue.py` (who runs and who waits), `permissions.py`
(what the agent asks), `session.py` (in which conversation), `ends.py` (the record of an end) and
`executor_link.py` (its child); `feed.py` append, durable, acknowledge,
broadcast, with `journal.py` (updates on their way) and `deflation.py` (their compressed frames);
`ledger.py` log and metadata in step, with `open_runs.py` (what a crash left open); `joining.py`
where a subscription begins; `watching.py` its FileWatcher.
"""

from actors.project.actor import Project
from actors.project.settings import ProjectSettings

__all__ = ["Project", "ProjectSettings"]
