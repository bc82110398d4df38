"""Run the checks: each by itself, for a bounded time."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from actors.doctor import agents, clock_state, doors, folders, keys, program, storage_speed, system
from actors.doctor.finding import Finding, Setup, fault
from actors.doctor.refusals import no_thread, of_error
from actors.runtime.clock import Clock
from actors.server import system_limits

CHECK_MAX_S = 30.0
Check = Callable[[Setup], Iterable[Finding]]
CHECKS: Mapping[str, Check] = {
    "python": program.python,
    "variables": program.variables,
    "running hub": program.running_hub,
    "data folder": folders.data_folder,
    "data version": folders.data_version,
    "project folders": folders.project_roots,
    "disk space": folders.space,
    "sync time": storage_speed.sync_time,
    "port": doors.ports,
    "socket": doors.socket_path,
    "certificate": doors.certificate,
    "names": doors.names,
    "keys": keys.authorized_keys,
    "claude": agents.cli,
    "sign-in": agents.signed_in,
    "agents' user": agents.user,
    "sandbox": agents.sandboxed,
    "guardian": agents.guarded,
    "limits": system.limits,
    "inotify": system.inotify,
    "clock": clock_state.clock,
}
_REPORT = "this is a fault of the check, not of your hub: please report it"


@dataclass(frozen=True, slots=True)
class Report:
    """What one check has found."""

    check: str
    findings: Sequence[Finding]


def examine(setup: Setup, checks: Mapping[str, Check] = CHECKS) -> list[Report]:
    """Run all checks, at the same time; return what they have found, in their order."""
    running = [_Running(name, check, setup) for name, check in checks.items()]
    deadline_s = setup.clock.monotonic() + CHECK_MAX_S
    return [Report(each.name, each.findings(setup.clock, deadline_s)) for each in running]


class _Running:
    """A check in a thread of its own, which is left behind if it does not end."""

    def __init__(self, name: str, check: Check, setup: Setup) -> None:
        self.name = name
        self._found: list[Finding] | None = None
        self._check = check
        self._setup = setup
        self._thread = threading.Thread(target=self._run, name=f"doctor {name}", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            self._found = [no_thread(error)]

    def _run(self) -> None:
        try:
            self._found = list(self._check(self._setup))
        except OSError as error:
            self._found = [of_error(f"the system refuses what the check needs: {error}", error)]
        except Exception as error:  # noqa: BLE001 - whatever it is, the other checks go on
            if system_limits.is_lack(error):
                self._found = [no_thread(error)]
                return
            reason = f"the check has failed: {type(error).__name__}: {error}"
            self._found = [fault(reason, _REPORT)]

    def findings(self, clock: Clock, deadline_s: float) -> Sequence[Finding]:
        if self._found is None:
            self._thread.join(max(0.0, deadline_s - clock.monotonic()))
        if self._found is not None:
            return self._found
        return [
            fault(f"no answer within {CHECK_MAX_S:g} s", "look what holds it up, and try again")
        ]
