"""What all executors of a server share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from actors import messages
from actors.executor.argument_space import ArgumentSpace
from actors.executor.cli_facts import CliFacts
from actors.executor.walls import NO_WALLS, Walls


@dataclass(frozen=True, slots=True)
class ExecutorSettings:
    """`command` is CLAUDE_CMD, split; `run_id` names this run of the server; `permission_mode` is
    PERMISSION_MODE, `background` AGENT_BACKGROUND, `timeout_s` EXEC_TIMEOUT. `keeps_warm`:
    WARM_SESSIONS is not 0. `space` is for the options of a prompt. `is_ours`: no other server may
    use the data folder by now."""

    command: Sequence[str]
    environment: Mapping[str, str]
    data_id: str
    run_id: str
    permission_mode: str
    kill_grace_s: float
    max_line_bytes: int
    cli: CliFacts
    space: ArgumentSpace
    timeout_s: float
    background: bool = False
    keeps_warm: bool = True
    warm_idle_s: float = 600.0
    walls: Walls = NO_WALLS
    is_ours: Callable[[], bool] = lambda: True

    def changed(self, change: messages.ChangeSettings) -> "ExecutorSettings":
        """Return the settings after a change while the server runs."""
        return replace(
            self,
            permission_mode=change.permission_mode,
            kill_grace_s=change.kill_grace_s,
            timeout_s=change.execution_timeout_s,
            keeps_warm=change.warm_sessions > 0,
            warm_idle_s=change.warm_idle_s,
        )
