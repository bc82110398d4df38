"""From the configuration to the settings of each room."""

import http
import secrets
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from actors.access.gate import Gate, server_name
from actors.access.hub_names import HubNames
from actors.access.keyring import Keyring
from actors.access.prompt_keys import Standing
from actors.audit.auditor import AuditSettings
from actors.audit.trail import HANDSHAKE_REFUSED, AuditTrail
from actors.config.settings import Config
from actors.directory import LocalDirectory
from actors.executor.argument_space import argument_space
from actors.executor.settings import ExecutorSettings
from actors.feed.rotator import RotationSettings
from actors.frontend.connection import ConnectionContext
from actors.frontend.conversation import HubContext, HubConversation
from actors.frontend.handshake import HandshakeRules
from actors.frontend.readiness import Readiness
from actors.frontend.wire import FrameLimits
from actors.hub import MAX_UPDATE_BYTES_LEAST, HubSettings
from actors.limits.connections import ConnectionLimit
from actors.limits.peer import Peer
from actors.limits.quotas import Quotas
from actors.messages.settings import ChangeSettings
from actors.metrics import catalogue
from actors.metrics.meter import Meter
from actors.project import ProjectSettings
from actors.runtime.clock import Clock, Timers
from actors.runtime.problems import Problems
from actors.runtime.refs import Ref
from actors.server.agent_setup import AgentFacts
from actors.tracing.spans import Tracer
from protocol import VERSION
from protocol.claude import STORED_GROWTH_MAX
from protocol.dialect import Dialect
from protocol.updates import OldVersionWelcome, Welcome
from protocol.versions import Endpoint
from storage.layout import DataLayout, boot_id
from storage.message_log import LogSettings

# What an update has beside a line or a prompt.
ENVELOPE_BYTES = 64 * 1024
PROMPT_GROWTH_MAX = 6  # a control character becomes \u0000


def hub_settings(
    config: Config,
    *,
    layout: DataLayout,
    agents: AgentFacts,
    standing: Standing,
    progress: Callable[[int, int], None],
    died: Callable[[str], None],
    problems: Problems,
    tracer: Tracer,
    meter: Meter | None = None,
) -> HubSettings:
    project = replace(
        _project_settings(config, layout, agents),
        standing=standing,
        problems=problems,
        meter=meter,
        tracer=tracer,
    )
    return HubSettings(
        project=project,
        max_projects=config.max_projects,
        max_connections=config.max_conn,
        warm_sessions=config.warm_sessions,
        rotation=_rotation_settings(config, layout),
        version=VERSION,
        progress=progress,
        died=died,
        max_reply_bytes=_max_update_bytes(config) - ENVELOPE_BYTES,
        problems=problems,
        meter=meter,
    )


def _project_settings(config: Config, layout: DataLayout, agents: AgentFacts) -> ProjectSettings:
    return ProjectSettings(
        layout=layout,
        log=_log_settings(config),
        executor=_executor_settings(config, layout, agents),
        roots=tuple(Path(root) for root in config.project_roots),
        execution_timeout_s=config.exec_timeout,
        max_queue=config.max_queue,
        min_free_bytes=config.min_free_bytes,
        permission_timeout_s=config.permission_timeout,
        warm_ahead=config.warm_ahead,
        trusts_all=config.trust_projects == "all",
        revoke_kills=config.revoke_kills,
    )


def _log_settings(config: Config) -> LogSettings:
    return LogSettings(rotate_bytes=config.msg_rotate_size, sync=config.log_sync, boot_id=boot_id())


def _executor_settings(config: Config, layout: DataLayout, agents: AgentFacts) -> ExecutorSettings:
    return ExecutorSettings(
        command=config.claude_cmd,
        environment=agents.environment,
        data_id=agents.data_id,
        run_id=agents.run_id,
        permission_mode=config.permission_mode,
        kill_grace_s=config.kill_grace,
        max_line_bytes=config.max_line_bytes,
        cli=agents.cli,
        space=argument_space(config.claude_cmd, agents.environment, config.agent_limits),
        timeout_s=config.exec_timeout,
        background=config.agent_background,
        keeps_warm=config.warm_sessions > 0,
        warm_idle_s=config.warm_idle,
        walls=agents.walls,
        is_ours=lambda: not layout.lock.is_lost,
    )


def audit_settings(config: Config, layout: DataLayout) -> AuditSettings:
    return AuditSettings(
        folder=layout.root,
        rotate_bytes=config.msg_rotate_size,
        rotate_days=config.msg_rotate_days,
        retain_days=config.log_retain_days,
        retain_bytes=config.log_retain_bytes,
    )


def change_of(config: Config) -> ChangeSettings:
    """Return what actors are told when the configuration has changed."""
    return ChangeSettings(
        compression=config.log_compress,
        execution_timeout_s=config.exec_timeout,
        kill_grace_s=config.kill_grace,
        max_projects=config.max_projects,
        max_connections=config.max_conn,
        max_queue=config.max_queue,
        min_free_bytes=config.min_free_bytes,
        permission_mode=config.permission_mode,
        permission_timeout_s=config.permission_timeout,
        retain_bytes=config.log_retain_bytes,
        retain_days=config.log_retain_days,
        revoke_kills=config.revoke_kills,
        roots=tuple(Path(root) for root in config.project_roots),
        rotate_days=config.msg_rotate_days,
        trusts_all=config.trust_projects == "all",
        warm_ahead=config.warm_ahead,
        warm_idle_s=config.warm_idle,
        warm_sessions=config.warm_sessions,
    )


def _rotation_settings(config: Config, layout: DataLayout) -> RotationSettings:
    return RotationSettings(
        layout=layout,
        rotate_days=config.msg_rotate_days,
        retain_days=config.log_retain_days,
        retain_bytes=config.log_retain_bytes,
        compression=config.log_compress,
    )


class FrontEnd:
    """What the connections of all doors share: their limits, and the actors that they talk to."""

    def __init__(
        self,
        config: Config,
        *,
        data_id: str,
        hub: Ref,
        directory: LocalDirectory,
        clock: Clock,
        timers: Timers,
        readiness: Readiness | None,
        trail: AuditTrail,
        meter: Meter | None = None,
    ) -> None:
        self._server = server_name(data_id)
        self.clock = clock
        self._readiness = readiness
        self._connections = ConnectionLimit(config.max_conn)
        self._quotas = Quotas(config.rate_limit, clock)
        self._take(config)
        self._actors = (hub, directory, timers)
        self.trail = trail
        self._meter = meter

    def _take(self, config: Config) -> None:
        self._config = config
        self._rules = HandshakeRules(
            allowed_origins=config.allowed_origins,
            path_prefix=config.path_prefix,
            limits=FrameLimits(config.max_message_bytes),
            compression=config.compression,
            has_older=config.protocol_v0,
            connection_count=lambda: self._connections.count,
        )
        self._welcome = _greeter(config)

    def change(self, config: Config) -> None:
        """Use changed settings: the limits at once, the others in the next `context`."""
        self._connections.change(config.max_conn)
        self._quotas.change(config.rate_limit)
        self._take(config)

    def context(self, keyring: Keyring | None, names: HubNames) -> ConnectionContext:
        """Return the context of a door, without TLS. Its peers need a key of `keyring`, and sign
        one of `names`; None: they need no key."""
        config = self._config
        hub, directory, timers = self._actors
        conversation = HubContext(
            hub=hub,
            directory=directory,
            clock=self.clock,
            timers=timers,
            welcome=self._welcome,
            new_gate=partial(self._new_gate, keyring, names),
            trail=self.trail,
            auth_timeout_s=config.auth_timeout,
            heartbeat_s=config.heartbeat,
            quotas=self._quotas,
            meter=self._meter,
        )
        return ConnectionContext(
            rules=replace(self._rules, needs_key=keyring is not None),
            converse=partial(HubConversation, conversation),
            clock=self.clock,
            tls=None,
            readiness=self._readiness,
            needs_key=keyring is not None,
            connections=self._connections,
            refused=self._refused,
            heartbeat_s=config.heartbeat,
            handshake_timeout_s=config.auth_timeout,
            slow_client_bytes=config.slow_client_bytes,
        )

    def _refused(self, peer: Peer, status: int) -> None:
        if status == http.HTTPStatus.OK:  # a health script of the older server: no handshake
            return
        if self._meter is not None:
            self._meter.count(catalogue.HANDSHAKES, str(status), catalogue.UNKNOWN)
        if status == http.HTTPStatus.UPGRADE_REQUIRED:
            self.trail.plain_request(peer)
        else:
            self.trail.record(HANDSHAKE_REFUSED, peer=peer, ok=False, code=str(status))

    def _new_gate(
        self, keyring: Keyring | None, names: HubNames, peer: Peer, has_room: Callable[[], bool]
    ) -> Gate:
        client_id, executions = f"c-{secrets.token_hex(6)}", self._quotas.executions
        return Gate(
            keyring,
            server=self._server,
            client_id=client_id,
            peer=peer,
            clock=self.clock,
            is_own_host=partial(names.are_dialled_by, peer),
            has_room=has_room,
            too_many_executions=partial(executions.refusal, executions.of_connection(), peer),
        )


def _max_update_bytes(config: Config) -> int:
    longest = max(
        STORED_GROWTH_MAX * config.max_line_bytes, PROMPT_GROWTH_MAX * config.max_message_bytes
    )
    return max(MAX_UPDATE_BYTES_LEAST, ENVELOPE_BYTES + longest)


def _greeter(config: Config) -> Callable[[Gate, Endpoint, Dialect], Welcome]:
    max_update_bytes = _max_update_bytes(config)

    def welcome(gate: Gate, endpoint: Endpoint, dialect: Dialect) -> Welcome:
        facts = Welcome(
            server=f"claudehub/{VERSION}",
            protocol=dialect.version,
            protocols=endpoint.versions,
            client_id=gate.caller.client_id,
            heartbeat_seconds=config.heartbeat,
            max_message_bytes=config.max_message_bytes,
            max_update_bytes=max_update_bytes,
            auth=gate.offer,
        )
        note = endpoint.deprecations.get(dialect.version)
        return facts if note is None else OldVersionWelcome(**dict(facts), deprecation=note)

    return welcome
