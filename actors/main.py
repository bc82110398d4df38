"""The list of what starts and, mirrored, what stops."""

import contextlib
import faulthandler
import hashlib
import logging
import os
import resource
import secrets
import select
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pykka

from actors import doors, logs, messages, system_limits
from actors.access.trail import CONFIG_CHANGED, AuditTrail
from actors.auditor import Auditor
from actors.clock import SystemClock, ThreadTimers
from actors.config import Config
from actors.config_source import ConfigurationError
from actors.directory import LocalDirectory
from actors.doors import Doors
from actors.errors import StartFailed
from actors.executor import family
from actors.executor.cli_facts import CliFacts
from actors.executor.environment import agent_environment, home_problem
from actors.executor.guardian import Guardian
from actors.frontend.readiness import Readiness
from actors.hub import Hub
from actors.mailbox import tell_if_alive
from actors.opening import Opening
from actors.stop_wish import StopWish
from actors.wiring import AgentFacts, FrontEnd, audit_settings, hub_settings
from protocol import codec
from storage.errors import StorageError
from storage.layout import DataLayout
from storage.lock import DataLock

logger = logging.getLogger("claudehub.main")

STRAYS_TIMEOUT_S = 5.0
TIMERS_STOP_S = 2.0
LEFT_STOP_S = 2.0
READINESS_STOP_S = 2.0
AUDIT_STOP_S = 5.0
# Over the Hub's own deadlines, which depend on KILL_GRACE.
STOP_MARGIN_S = 15.0
DESCRIPTORS_WANTED = 65536
INSTALL_CLAUDE = (
    "install Claude Code (npm install -g @anthropic-ai/claude-code) or set CLAUDE_CMD to where it "
    "is; `claudehub demo` shows the hub without it"
)


def check(config: Config) -> None:
    """What only the system can tell of the configuration. Raises ConfigurationError."""
    faults = []
    command = config.claude_cmd[0]
    if shutil.which(command) is None:
        faults.append(f"CLAUDE_CMD: {command!r} was not found; {INSTALL_CLAUDE}")
    try:
        doors.check(config)
    except ConfigurationError as error:
        faults += error.faults
    if faults:
        raise ConfigurationError(faults)


def serve(config: Config, announce: Callable[[str], None]) -> int:
    """Runs the server until SIGTERM or SIGINT; returns the exit code.

    `announce` gets the one line for standard output, once clients can connect. To be called on the
    main thread. Raises StartFailed.
    """
    logs.configure(config.log_level, config.log_format)
    _raise_descriptor_limit()
    for warning in system_limits.warnings(config.max_conn):
        logger.warning("%s", warning)
    with contextlib.suppress(ValueError, OSError, AttributeError):  # stderr may be no real file
        faulthandler.register(signal.SIGUSR1)
    wish = StopWish()
    with wish.signals(), contextlib.ExitStack() as stack:
        _run(config, announce, wish, stack)
    if wish.failure is not None:
        logger.error("stopped: %s", wish.failure)
        return 1
    logger.info("stopped")
    return 0


def _run(
    config: Config, announce: Callable[[str], None], wish: StopWish, stack: contextlib.ExitStack
) -> None:
    """Start, in this order; the stack stops in the other."""
    layout, data_id = _take_data_folder(config, stack)
    front_doors = Doors(config, stack)
    _end_strays(data_id)
    clock, timers = _clock_and_timers(stack)
    agents = _agents(config, data_id, stack)
    trail = _start_auditor(config, layout, clock, timers, wish, stack)
    readiness = _readiness(stack)  # stops after those whom it wakes
    opening = Opening(_say_progress)
    directory = LocalDirectory()
    settings = hub_settings(
        config,
        layout=layout,
        agents=agents,
        progress=opening.progress,
        died=wish.fail,
    )
    hub = Hub.start(settings=settings, directory=directory, clock=clock, timers=timers)
    stack.callback(_stop_actors, hub, 2 * config.kill_grace + STOP_MARGIN_S)
    opening.wait(wish)
    if wish.is_wanted:
        return
    front = FrontEnd(
        config,
        data_id=data_id,
        hub=hub,
        directory=directory,
        clock=clock,
        timers=timers,
        readiness=readiness,
        trail=trail,
    )
    front_doors.open(front, hub, timers, wish.fail, stack)
    front_doors.announce(announce)
    wish.wait_for_ever()
    logger.info("stopping")


def _end_strays(data_id: str) -> None:
    if strays := family.end_strays(family.mark_of(data_id, ""), STRAYS_TIMEOUT_S):
        logger.warning("ended %d processes that an earlier server left behind", strays)


def _clock_and_timers(stack: contextlib.ExitStack) -> tuple[SystemClock, ThreadTimers]:
    clock = SystemClock()
    timers = ThreadTimers(clock)
    timers.start()
    stack.callback(timers.stop, TIMERS_STOP_S)
    return clock, timers


def _start_auditor(
    config: Config,
    layout: DataLayout,
    clock: SystemClock,
    timers: ThreadTimers,
    wish: StopWish,
    stack: contextlib.ExitStack,
) -> AuditTrail:
    """Stops behind all that may still have something to say."""
    trail = AuditTrail(clock)
    settings = audit_settings(config, layout)
    try:
        auditor = Auditor.start(
            settings=settings, trail=trail, clock=clock, timers=timers, died=wish.fail
        )
    except OSError as error:
        raise StartFailed(f"the audit log cannot be written: {error}") from None
    trail.goes_to(auditor)
    stack.callback(auditor.stop, timeout=AUDIT_STOP_S)
    _note_configuration(config, layout, trail)
    return trail


def _note_configuration(config: Config, layout: DataLayout, trail: AuditTrail) -> None:
    """Where it is another than at the last start: which settings are not the default's."""
    named = config.model_dump(mode="json", exclude_defaults=True)
    digest = hashlib.sha256(codec.dumps(config.model_dump(mode="json"))).hexdigest()
    try:
        changed = layout.note_configuration(digest)
    except OSError as error:
        logger.error("%s", error)
        changed = True
    if changed:
        trail.record(CONFIG_CHANGED, details={"set": sorted(name.upper() for name in named)})


def _readiness(stack: contextlib.ExitStack) -> Readiness | None:
    if not hasattr(select, "epoll"):  # not Linux
        return None
    readiness = Readiness()
    readiness.start()
    stack.callback(readiness.stop, READINESS_STOP_S)
    return readiness


def _take_data_folder(config: Config, stack: contextlib.ExitStack) -> tuple[DataLayout, str]:
    layout = DataLayout(Path(config.data_dir))
    lock = DataLock(layout.lock_file)
    try:
        layout.create()
        lock.acquire()
        stack.callback(lock.release)
        return layout, layout.data_id()
    except StorageError as error:
        raise StartFailed(str(error)) from None
    except OSError as error:
        raise StartFailed(f"DATA_DIR {config.data_dir} cannot be used: {error}") from None


def _environment(config: Config) -> dict[str, str]:
    return agent_environment(
        os.environ,
        config.claude_env,
        delta_hold_ms=round(config.delta_hold * 1000),
        background=config.agent_background,
    )


def _agents(config: Config, data_id: str, stack: contextlib.ExitStack) -> AgentFacts:
    environment = _environment(config)
    if (problem := home_problem(environment)) is not None:
        logger.warning("%s", problem)
    return AgentFacts(
        data_id=data_id,
        run_id=_guard(data_id, stack),
        environment=environment,
        cli=_ask_cli(config, environment),
    )


def _guard(data_id: str, stack: contextlib.ExitStack) -> str:
    """Stops behind those whom it guards. Returns the name of this run."""
    run_id = secrets.token_hex(4)
    marks = family.mark_of(data_id, f"{run_id}-")
    try:
        guardian = Guardian(marks)
    except OSError as error:
        raise StartFailed(f"the guardian of agents cannot be started: {error}") from None
    stack.callback(guardian.stop)
    stack.callback(_look_once_more, marks)
    return run_id


def _look_once_more(marks: str) -> None:
    """Each end has looked for what it left; this finds what has hidden from that."""
    if found := family.end_strays(marks, STRAYS_TIMEOUT_S):
        logger.warning("ended %d processes that agents had left behind", found)


def _ask_cli(config: Config, environment: dict[str, str]) -> CliFacts:
    """In a thread: the CLI may take its time, and the port need not wait for it."""
    facts = CliFacts()
    asked = (config.claude_cmd, environment)
    threading.Thread(target=facts.probe, args=asked, name="claude-facts", daemon=True).start()
    return facts


def _stop_actors(hub: messages.Ref, timeout_s: float) -> None:
    """The Hub ends everything below it; whatever is alive after that is a bug, and said to be."""
    done = threading.Event()
    if tell_if_alive(hub, messages.StopHub(done=done)):
        done.wait(timeout_s)
    left = [ref for ref in pykka.ActorRegistry.get_all() if ref.is_alive()]
    for ref in left:
        ref.stop(block=False)
    clock = SystemClock()
    deadline_s = clock.monotonic() + LEFT_STOP_S  # one for all
    for ref in left:
        if not ref.actor_stopped.wait(max(0.0, deadline_s - clock.monotonic())):
            logger.error("bug: %s is still alive", ref)


def _raise_descriptor_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS_WANTED if hard == resource.RLIM_INFINITY else min(DESCRIPTORS_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def say(line: str) -> None:
    """To standard output; a closed one does not stop the server."""
    with contextlib.suppress(OSError):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def _say_progress(line: str) -> None:
    with contextlib.suppress(OSError):
        sys.stderr.write(f"claudehub: {line}\n")
        sys.stderr.flush()
