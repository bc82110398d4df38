"""The program itself: its Python, its variables, and the hub that may run already."""

import difflib
import platform
import sys
from collections.abc import Iterator

from actors.config.settings import Config
from actors.doctor import own_hub
from actors.doctor.finding import Finding, Setup, fault, ok, warning
from protocol import VERSION

PYTHON_MIN = (3, 11)
_SYSTEMS = ("linux", "darwin")
# Variables that look as if they were meant for the hub: one of these words, and nearly a setting.
_NEAR = 0.85
# Of the client, of agents, or of what starts the hub.
_FOREIGN_PREFIXES = ("CLAUDE_CODE_", "ANTHROPIC_", "LC_")


def python(_: Setup) -> Iterator[Finding]:
    found = platform.python_version()
    if sys.version_info[:2] < PYTHON_MIN:
        least = ".".join(map(str, PYTHON_MIN))
        yield fault(f"Python {found}, and claudehub needs {least}", f"install Python {least}")
    else:
        yield ok(f"claudehub {VERSION}, Python {found} ({sys.executable})")
    if sys.platform not in _SYSTEMS:
        yield fault(f"claudehub does not run on {sys.platform}", "use Linux or macOS")
    elif sys.platform != "linux":
        yield warning(
            "on this system a process without its mark may outlive its execution",
            "run the hub on Linux where that matters (docs/security.md)",
        )


def variables(setup: Setup) -> Iterator[Finding]:
    """Find variables that nothing reads, and whose name is nearly a setting's."""
    known = {name.upper() for name in Config.model_fields}
    stale = []
    for name in sorted(setup.environment):
        if name in known or name.startswith(_FOREIGN_PREFIXES) or "_" not in name:
            continue
        bare = name.removeprefix("CLAUDEHUB_")
        if bare != name and bare in known:
            stale.append((name, bare))
        elif near := difflib.get_close_matches(name, known, n=1, cutoff=_NEAR):
            stale.append((name, near[0]))
    for name, meant in stale:
        yield warning(f"{name} is set, and claudehub does not read it", f"unset it, or set {meant}")
    if not stale:
        used = sum(name in known for name in setup.environment)
        yield ok(f"{used} variables are settings; none of the others looks like one")


def running_hub(setup: Setup) -> Iterator[Finding]:
    """Look at the hub that has the data folder, and at the one that answers at its address."""
    holder = own_hub.holder(setup)
    hub = setup.hub
    if hub is None or not hub.is_hub:
        yield from _without_answer(setup, holder)
        return
    is_own = own_hub.answers(setup)
    who = f"the hub at {hub.url}" + (f" (process {holder})" if is_own else "")
    if not is_own:
        yield warning(
            f"{who} has another data folder than {setup.config.data_dir}",
            "give doctor the settings that this hub was started with",
        )
    if hub.version is not None and hub.version != VERSION:
        yield warning(f"{who} is version {hub.version}, installed is {VERSION}", "restart the hub")
    for problem in hub.problems:
        yield warning(f"{who} has a problem: {problem}", "claudehub health")
    if hub.problem is not None:
        yield warning(f"{who} cannot be asked: {hub.problem}", "claudehub health")
    elif hub.uptime_s is None:  # it wants a key, and has said no more than its version
        yield ok(f"{who} runs; `claudehub health` asks it for problems, with your key")
    elif not hub.problems:
        yield ok(f"{who} runs, for {hub.uptime_s:.0f} s, and has no problems")


def _without_answer(setup: Setup, holder: int | None) -> Iterator[Finding]:
    if holder is None:
        yield ok("no hub runs on this data folder")
        return
    tried = "" if setup.hub is None else f" at {setup.hub.url}"
    why = "" if setup.hub is None or setup.hub.problem is None else f": {setup.hub.problem}"
    yield warning(
        f"process {holder} uses {setup.config.data_dir}, and no hub answers{tried}{why}",
        "claudehub health --url URL, with the address that this hub printed at its start",
    )
