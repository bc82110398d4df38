"""The list of what starts and, mirrored, what stops."""

import contextlib
import faulthandler
import hashlib
import os
import select
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from actors.access.prompt_keys import Standing
from actors.audit.auditor import Auditor
from actors.audit.trail import CONFIG_CHANGED, AuditTrail
from actors.config.settings import Config
from actors.directory import LocalDirectory
from actors.frontend.readiness import Readiness
from actors.hub import Hub
from actors.runtime.base import tell_if_alive
from actors.runtime.clock import Clock, SystemClock, ThreadTimers
from actors.runtime.logger import get_logger
from actors.runtime.problems import Problems
from actors.runtime.refs import Ref
from actors.server import (
    agent_setup,
    banner,
    doors,
    essential_threads,
    logs,
    memory,
    no_new_privileges,
    shutdown,
    state_report,
    system_limits,
    unreadable,
)
from actors.server.doors import Doors
from actors.server.errors import FAILED, StartFailed
from actors.server.liveness import Liveness
from actors.server.lookout import LOOK_S, Lookout
from actors.server.monitoring import Monitoring, ServerState
from actors.server.rereading import Rereading
from actors.server.service_manager import ServiceManager
from actors.server.start_progress import StartProgress
from actors.server.stop_request import StopRequest
from actors.server.wiring import FrontEnd, audit_settings, change_of, hub_settings
from actors.tracing import setup
from actors.watch.places import DataFolderPlace, PlaceWatcher
from protocol import VERSION, codec
from storage import run_mark
from storage.data_version import DATA_VERSION, check_version, take_over
from storage.errors import StorageError
from storage.layout import DataLayout

logger = get_logger("claudehub.main")

TIMERS_STOP_S = 2.0
READINESS_STOP_S = 2.0
AUDIT_STOP_S = 5.0
PLACES_STOP_S = 2.0
# While the projects open, the service manager is asked for that much more time with each line.
START_EXTEND_S = 30.0


def faults(config: Config) -> list[str]:
    """Return what only the system can tell about the configuration, in one line for each fault."""
    return [*agent_setup.faults(config), *doors.faults(config)]


def check(config: Config) -> tuple[list[str], int]:
    """Return what would start with a configuration without faults, and the exit code."""
    return banner.what_would_start(config, SystemClock())


def serve(
    config: Config,
    announce: Callable[[str], None],
    load: Callable[[], Config] | None = None,
    hung_up: Callable[[], bool] = lambda: False,
) -> int:
    """Run the server until SIGTERM or SIGINT; return the exit code.

    `announce` gets the one line for standard output, once clients can connect. `load` reads the
    configuration again at SIGHUP; `hung_up` returns True if one came before the server had its
    signals. Call it on the main thread. Raises StartFailed.
    """
    # Before there are other threads, and anything to read.
    problems = (no_new_privileges.forgo(), unreadable.become())
    logs.configure(config.log_level, config.log_format)
    stop_request = StopRequest(shutdown.end_at_once, state_report.report, hung_up)
    with (
        logs.everything_logged(),
        essential_threads.watched(stop_request.fail),
        _crashes_shown(),
        stop_request.signals(),
        contextlib.ExitStack() as stack,
    ):
        service = _begin(config, problems)
        start = _Start(config, stop_request, service, stack)
        _run(start, announce, load or (lambda: config))
    if stop_request.failure is not None:
        logger.error("stopped, because of a failure", reason=stop_request.failure)
        return FAILED
    logger.info("stopped")
    return 0


def _begin(config: Config, problems: Iterable[str | None]) -> ServiceManager:
    """Say what starts, and under which limits; return whom to tell about it."""
    banner.say_version()
    for problem in filter(None, problems):
        logger.warning("less protection than usual", problem=problem)
    system_limits.raise_descriptors()
    if low := system_limits.warnings(config.max_conn):
        logger.warning("limits of the system are low", problems=low)
    return ServiceManager.taken_from(os.environ, SystemClock())


@contextlib.contextmanager
def _crashes_shown() -> Iterator[None]:
    """Write all stacks when the interpreter crashes, or gets the watchdog's SIGABRT. Nothing else
    can write then, so this goes past the log."""
    if faulthandler.is_enabled():
        yield
        return
    faulthandler.enable(2)
    try:
        yield
    finally:
        faulthandler.disable()


def _run(start: "_Start", announce: Callable[[str], None], load: Callable[[], Config]) -> None:
    """Start, in this order; the stack stops everything in the reverse order."""
    agent_setup.check_system()
    config, stack, stop_request = start.config, start.stack, start.stop_request
    layout, data_id = start.take_data_folder()
    front_doors = Doors(config, stack)
    monitoring = start.monitor(front_doors)
    agent_setup.end_strays(data_id)
    start.begin_timers()
    start.watch_places(layout, data_id, front_doors)
    agents = agent_setup.prepare(config, data_id, start.clock, start.problems, stack)
    trail = start.audit(layout)
    monitoring.watch_trail(trail)
    start.begin_readiness()
    directory = LocalDirectory()
    hub = start.hub(layout, agents, directory, Standing(front_doors.keyring), monitoring)
    if stop_request.is_requested:
        return
    front = start.front_end(data_id, hub, directory, trail, monitoring)
    memory.settle()
    front_doors.open(front, hub, start.timers, stop_request.fail, start.problems, stack)
    monitoring.state.is_open = True
    front_doors.announce(announce)
    start.service.ready("listening")
    start.keep_alive(hub)  # from now on the status says what the hub does
    start.say_banner(agents, front_doors)
    use = partial(start.use, hub=hub, doors=front_doors, front=front, layout=layout)
    rereading = Rereading(
        config,
        load,
        front_doors.reloaders,
        use,
        trail.record,
        monitoring.move,
        problems=start.problems,
        clock=start.clock,
    )
    monitoring.watch(rereading.readings)
    start.run(hub, rereading, agents)


class _Start:
    """The steps of a start, and what they share. Each step leaves its stop on the stack."""

    def __init__(
        self,
        config: Config,
        stop_request: StopRequest,
        service: ServiceManager,
        stack: contextlib.ExitStack,
    ) -> None:
        self.config = config
        self.stop_request = stop_request
        self.service = service
        self.stack = stack
        self.problems = Problems()
        self.clock = SystemClock()
        self.timers = ThreadTimers(self.clock)
        self._stopped_last: list[Ref] = []  # behind the Hub and everything below it

    def take_data_folder(self) -> tuple[DataLayout, str]:
        """Lock the data folder, and bring it to this program's version; return it and its id.
        Raises StartFailed."""
        config = self.config
        layout = DataLayout(Path(config.data_dir))
        try:
            check_version(layout.root)  # before anything is touched there
            layout.create()
            layout.lock.acquire()
            self.stack.callback(layout.lock.release)
            before = take_over(layout.root)
            if before is not None and before != DATA_VERSION:
                logger.info("data folder taken over", before=before, now=DATA_VERSION)
            if (original := layout.copied_from()) is not None:
                logger.warning(
                    "data folder is a copy, and gets an id of its own",
                    copy=str(layout.root),
                    original=str(original),
                )
            data_id = layout.data_id()
        except StorageError as error:
            raise StartFailed(str(error)) from None
        except OSError as error:
            raise StartFailed(f"DATA_DIR {config.data_dir} cannot be used: {error}") from None
        self._mark_run(layout)
        return layout, data_id

    def _mark_run(self, layout: DataLayout) -> None:
        """Say if the last run was cut off, and mark this one until it has stopped. A full disk
        keeps no server from starting."""
        try:
            before = run_mark.cut_off(layout.root)
            run_mark.put_up(layout.root)
        except OSError as error:
            logger.warning("the mark of a run cannot be written", error=error)
            return
        if before is not None:
            why = "the system has restarted" if before.system_restarted else "killed, or crashed"
            logger.warning("the last run did not stop cleanly", pid=before.pid, reason=why)
        self.stack.callback(_end_mark, layout)

    def monitor(self, doors: Doors) -> Monitoring:
        """Begin to answer on METRICS_PORT, until all else has stopped. Raises StartFailed."""
        state = self._state = ServerState(
            self.config, self.problems, is_stopping=lambda: self.stop_request.is_requested
        )
        monitoring = Monitoring(self.config, self.clock, state, self.stack, doors.has_name)
        monitoring.watch_certificate(doors.certificate_expires_s)
        return monitoring

    def watch_places(self, layout: DataLayout, data_id: str, doors: Doors) -> None:
        """Watch the server's own files, until everything that writes has stopped."""
        watcher = PlaceWatcher.start(
            places=[DataFolderPlace(layout, data_id), self._state.storage, *doors.places],
            problems=self.problems,
            timers=self.timers,
            died=self.stop_request.fail,
        )
        self._stopped_last.append(watcher)
        self.stack.callback(shutdown.stop_actor, watcher, PLACES_STOP_S)

    def begin_timers(self) -> None:
        self.timers.start()
        self.stack.callback(self.timers.stop, TIMERS_STOP_S)

    def begin_readiness(self) -> None:
        """Begin to wait for sockets. That stops after the threads that it wakes."""
        self._readiness = _readiness(self.clock, self.stack)

    def front_end(
        self,
        data_id: str,
        hub: Ref,
        directory: LocalDirectory,
        trail: AuditTrail,
        monitoring: Monitoring,
    ) -> FrontEnd:
        """Return what all connections share."""
        return FrontEnd(
            self.config,
            data_id=data_id,
            hub=hub,
            directory=directory,
            clock=self.clock,
            timers=self.timers,
            readiness=self._readiness,
            trail=trail,
            meter=monitoring.meter,
        )

    def audit(self, layout: DataLayout) -> AuditTrail:
        """Start the auditor, which stops behind everybody who may still have something to say.
        Raises StartFailed."""
        trail = self._trail = AuditTrail(self.clock)
        self.stack.callback(trail.refusal_lines.sum_up)
        try:
            auditor = Auditor.start(
                settings=audit_settings(self.config, layout),
                trail=trail,
                clock=self.clock,
                timers=self.timers,
                died=self.stop_request.fail,
                problems=self.problems,
            )
        except OSError as error:
            raise StartFailed(f"the audit log cannot be written: {error}") from None
        trail.goes_to(auditor)
        self._auditor = auditor
        self._stopped_last.append(auditor)
        self.stack.callback(trail.report_lost)
        self.stack.callback(shutdown.stop_actor, auditor, AUDIT_STOP_S)
        _note_configuration(self.config, layout, trail)
        return trail

    def hub(
        self,
        layout: DataLayout,
        agents: agent_setup.AgentFacts,
        directory: LocalDirectory,
        standing: Standing,
        monitoring: Monitoring,
    ) -> Ref:
        """Start the Hub and wait until its projects are open, or until a stop is requested."""
        self._progress = StartProgress(self._say_progress)
        # It is stopped behind the Hub, whose stop ends the last spans.
        tracer = setup.tracer(os.environ, self.stack, version=VERSION, instance_id=agents.data_id)
        self._traces = tracer.endpoint
        settings = hub_settings(
            self.config,
            layout=layout,
            agents=agents,
            standing=standing,
            progress=self._progress.note,
            died=self.stop_request.fail,
            problems=self.problems,
            meter=monitoring.meter,
            tracer=tracer,
        )
        monitoring.state.hub = hub = Hub.start(
            settings=settings, directory=directory, clock=self.clock, timers=self.timers
        )
        agents.cli.tells(hub)
        self.stack.callback(
            shutdown.stop_actors, hub, lambda: self.config.kill_grace, self._stopped_last
        )
        self._progress.wait(self.stop_request)
        return hub

    def _say_progress(self, done: int, total: int) -> None:
        logger.info("opening projects", done=done, total=total)
        self.service.extend(START_EXTEND_S, f"opening projects: {done} of {total}")

    def run(self, hub: Ref, rereading: Rereading, agents: agent_setup.AgentFacts) -> None:
        """Run until a stop is requested, and drain."""

        def read_again() -> None:
            self.service.reloading()
            rereading.read()
            self.service.ready()

        lookout = Lookout(self.problems)

        def look() -> None:
            lookout.look(self.clock.monotonic())
            agents.cli.retry()
            self._trail.refusal_lines.look()

        self.stop_request.wait_for_ever(read_again, look, LOOK_S)
        self.service.stopping("stopping")
        shutdown.drain(hub, self.config.stop_grace, self.stop_request, self.service)
        logger.info("stopping", because_of=self.stop_request.reason)
        self.service.extend(shutdown.stop_timeout_s(self.config.kill_grace), "stopping")

    def use(
        self, config: Config, *, hub: Ref, doors: Doors, front: FrontEnd, layout: DataLayout
    ) -> None:
        """Use a changed configuration. It differs only in what can change while the server runs."""
        self.config = config
        logs.set_level(config.log_level)
        doors.change(config, front)
        self._state.change(config)
        for actor in (hub, self._auditor):
            tell_if_alive(actor, change_of(config))
        try:
            layout.note_configuration(_digest(config))
        except OSError as error:
            logger.error("the note of the configuration cannot be written", error=error)

    def say_banner(self, agents: agent_setup.AgentFacts, doors: Doors) -> None:
        lines = banner.Banner(self.config, agents, self.clock)
        lines.begin(
            addresses=doors.addresses,
            signed_names=doors.signed_names,
            projects=self._progress.total,
            traces=self._traces,
        )
        self.stack.callback(lines.end)

    def keep_alive(self, hub: Ref) -> None:
        """Have the service manager hear that the Hub is alive."""
        if self.service.is_there:
            liveness = Liveness.start(
                hub=hub, service=self.service, timers=self.timers, died=self.stop_request.fail
            )
            self.stack.callback(liveness.stop, block=False)


def _note_configuration(config: Config, layout: DataLayout, trail: AuditTrail) -> None:
    """Record which settings differ from the defaults, if the configuration has changed since the
    last start."""
    named = config.model_dump(mode="json", exclude_defaults=True)
    try:
        changed = layout.note_configuration(_digest(config))
    except OSError as error:
        logger.error("the note of the configuration cannot be written", error=error)
        changed = True
    if changed:
        trail.record(CONFIG_CHANGED, details={"set": sorted(name.upper() for name in named)})


def _end_mark(layout: DataLayout) -> None:
    try:
        run_mark.take_down(layout)
    except OSError as error:
        logger.warning("the mark of a run cannot be taken away", error=error)


def _digest(config: Config) -> str:
    return hashlib.sha256(codec.dumps(config.model_dump(mode="json"))).hexdigest()


def _readiness(clock: Clock, stack: contextlib.ExitStack) -> Readiness | None:
    if not hasattr(select, "epoll"):  # not Linux
        return None
    readiness = Readiness(clock)
    readiness.start()
    stack.callback(readiness.stop, READINESS_STOP_S)
    return readiness


def say_last(config: Config, reason: str) -> None:
    """Say why the server did not start, in the format of its log."""
    logs.say_last(reason, config.log_format)


def say(line: str) -> None:
    """Write to standard output (outlet.py)."""
    sys.stdout.write(line + "\n")
