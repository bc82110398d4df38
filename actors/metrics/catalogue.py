"""All metrics: names, labels and meanings. docs/monitoring.md has the same table.

Names follow Prometheus: base units, `_total` for what only grows. No label holds what a client or
a project chooses, so the number of series is bounded.
"""

from dataclasses import dataclass
from typing import Literal

from actors.metrics.kinds import ACTOR_KINDS, KINDS
from protocol import PROTOCOL_VERSION
from protocol.errors import ErrorCode
from protocol.requests import MODELS
from protocol.updates import Outcome, ProjectStatus, UpdateType

Kind = Literal["counter", "gauge", "histogram"]

# The label of what has no type of the protocol: a message of unknown type, and the welcome.
UNKNOWN = "unknown"
IN, OUT = "in", "out"
UPDATE_TYPES = frozenset(str(update_type) for update_type in UpdateType)
PING = "ping"
REQUEST_TYPES = (*MODELS, PING, UNKNOWN)
# The code of a request that worked, and of one whose client left before the answer.
OK, UNANSWERED = "ok", "unanswered"
# Handshakes are answered with one of these; the first one accepts.
ACCEPTED = "101"
HANDSHAKE_STATUSES = (ACCEPTED, "400", "403", "404", "408", "426", "429", "431", "503")
OPENING = "opening"
CLEAN, RECOVERED = "clean", "recovered"
# How a question of the agent ends: by an answer, or without one.
RESOLUTIONS = ("allow", "deny", "timeout", "withdrawn", "execution_finished")

_REQUEST_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_SYNC_S = (
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    5.0,
)
_OPENING_S = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0)
_EXECUTION_S = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0)
_PERMISSION_S = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0)
_BATCH = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 512.0, 2048.0)


@dataclass(frozen=True, eq=False, slots=True)  # by identity: it is a key on busy paths
class Metric:
    """`known`: label values that are shown from the start, with 0. `is_largest`: of the values of
    all actors the largest one is shown, and not the sum. `is_always_shown`: 0 is shown if
    nothing is known."""

    name: str
    kind: Kind
    meaning: str
    labels: tuple[str, ...] = ()
    known: tuple[tuple[str, ...], ...] = ()
    buckets: tuple[float, ...] = ()
    is_largest: bool = False
    is_always_shown: bool = True


def _each(*values: str) -> tuple[tuple[str, ...], ...]:
    return tuple((value,) for value in values)


# -- connections and requests ----------------------------------------------------------------------

HANDSHAKES = Metric(
    "websocket_connections_total",
    "counter",
    "Handshakes by their HTTP status: 101 is an accepted connection. Its version of the protocol "
    "is known then.",
    ("status", "version"),
    (
        (ACCEPTED, str(PROTOCOL_VERSION)),
        *((status, UNKNOWN) for status in HANDSHAKE_STATUSES if status != ACCEPTED),
    ),
)
MESSAGES = Metric(
    "messages_total",
    "counter",
    "Messages from clients (in) and to them (out). An answer counts under the type of its request, "
    "an update under its update_type; everything else, such as the welcome, is unknown.",
    ("type", "direction"),
    ((UNKNOWN, IN), (UNKNOWN, OUT)),
)
CONNECTIONS = Metric(
    "claudehub_connections", "gauge", "Open connections whose handshake is complete."
)
SUBSCRIPTIONS = Metric(
    "claudehub_subscriptions", "gauge", "Projects that connections have joined, in total."
)
OUTBOX_BYTES = Metric(
    "claudehub_outbox_bytes", "gauge", "Bytes that wait for clients that read too slowly."
)
OUTBOX_LARGEST = Metric(
    "claudehub_outbox_largest_bytes",
    "gauge",
    "Bytes that wait for the slowest client; at SLOW_CLIENT_BYTES it is closed.",
    is_largest=True,
)
SENT_BYTES = Metric(
    "claudehub_sent_bytes_total", "counter", "Bytes that were written to clients' sockets."
)
SLOW_CLOSED = Metric(
    "claudehub_slow_clients_closed_total",
    "counter",
    "Connections that were closed because the client read too slowly (1013).",
)
REQUESTS = Metric(
    "claudehub_requests_total",
    "counter",
    "Requests by type and result: ok, an error code of the protocol, or unanswered if the client "
    "left before the answer.",
    ("type", "code"),
    # From the start: a rule that looks for an increase does not see a series that begins with 1.
    tuple((kind, ErrorCode.INTERNAL) for kind in REQUEST_TYPES),
)
REQUEST_TIME = Metric(
    "claudehub_request_duration_seconds",
    "histogram",
    "From the message that the hub has read to the answer that it writes.",
    ("type",),
    buckets=_REQUEST_S,
)

# -- projects and executions -----------------------------------------------------------------------

PROJECTS = Metric(
    "claudehub_projects",
    "gauge",
    "Projects by status; opening is one whose log is not open yet.",
    ("status",),
    _each(*ProjectStatus, OPENING),
)
EXECUTIONS = Metric(
    "claudehub_executions_total",
    "counter",
    "Executions that have ended, by outcome.",
    ("outcome",),
    _each(*Outcome),
)
EXECUTION_TIME = Metric(
    "claudehub_execution_duration_seconds",
    "histogram",
    "Time from the start of an execution to its end, for those that had started.",
    ("outcome",),
    buckets=_EXECUTION_S,
)
COST = Metric(
    "claudehub_execution_cost_usd_total",
    "counter",
    "Cost of all executions in US dollars, as the CLI states it.",
)
RUNNING = Metric("claudehub_executions_running", "gauge", "Executions that run.")
QUEUED = Metric("claudehub_queue_length", "gauge", "Prompts that wait, in all projects.")
QUEUED_LARGEST = Metric(
    "claudehub_queue_largest_length",
    "gauge",
    "Prompts that wait in the project with the longest queue; MAX_QUEUE is the limit.",
    is_largest=True,
)
PERMISSIONS = Metric(
    "claudehub_permissions_waiting", "gauge", "Questions of agents that wait for an answer."
)
PERMISSION_AGE = Metric(
    "claudehub_permissions_oldest_age_seconds",
    "gauge",
    "How long the oldest of these questions has waited; 0 without one.",
    is_largest=True,
)
PERMISSION_TIME = Metric(
    "claudehub_permission_wait_seconds",
    "histogram",
    "From a question of an agent to its end: allow, deny, timeout, withdrawn or "
    "execution_finished.",
    ("resolution",),
    _each(*RESOLUTIONS),
    buckets=_PERMISSION_S,
)
WARM = Metric("claudehub_warm_processes", "gauge", "Idle CLI processes that are kept.")
WARM_BYTES = Metric(
    "claudehub_warm_processes_memory_bytes",
    "gauge",
    "Memory of these processes, measured when each became idle.",
)

# -- the log ---------------------------------------------------------------------------------------

LOG_APPENDS = Metric("claudehub_log_appends_total", "counter", "Batches that were written.")
LOG_RECORDS = Metric("claudehub_log_records_total", "counter", "Records in these batches.")
LOG_BYTES = Metric("claudehub_log_appended_bytes_total", "counter", "Bytes of these records.")
LOG_BATCH = Metric(
    "claudehub_log_batch_records", "histogram", "Records in one batch.", buckets=_BATCH
)
LOG_FAILURES = Metric(
    "claudehub_log_failures_total", "counter", "Writes, flushes and reads of logs that failed."
)
LOG_SYNC = Metric(
    "claudehub_log_sync_duration_seconds",
    "histogram",
    "Time of one flush of a log to the device.",
    buckets=_SYNC_S,
)
LOG_SEGMENTS = Metric("claudehub_log_segments", "gauge", "Files of all logs.")
LOG_SIZE = Metric("claudehub_log_bytes", "gauge", "Bytes of these files, as they are on the disk.")
LOG_OPENING = Metric(
    "claudehub_log_opening_duration_seconds",
    "histogram",
    "Time to open a log: clean, or recovered after a crash.",
    ("state",),
    _each(CLEAN, RECOVERED),
    buckets=_OPENING_S,
)
LOG_TORN = Metric(
    "claudehub_log_torn_bytes_total",
    "counter",
    "Bytes behind the last whole record that recoveries have set aside.",
)
FREE_BYTES = Metric(
    "claudehub_storage_free_bytes",
    "gauge",
    "Free space where the data folder is.",
    is_always_shown=False,
)
MIN_FREE_BYTES = Metric(
    "claudehub_storage_min_free_bytes",
    "gauge",
    "Below this much free space prompts are refused: MIN_FREE_BYTES.",
)
STORAGE_FULL = Metric(
    "claudehub_storage_full",
    "gauge",
    "1 while prompts are refused because less than MIN_FREE_BYTES is free, else 0.",
)

# -- actors ----------------------------------------------------------------------------------------

ACTORS = Metric(
    "claudehub_actors", "gauge", "Actors that live, by kind.", ("kind",), _each(*ACTOR_KINDS)
)
INBOX = Metric(
    "claudehub_actor_inbox_messages",
    "gauge",
    "Messages that wait in the inboxes of one kind of actor.",
    ("kind",),
)
INBOX_LARGEST = Metric(
    "claudehub_actor_inbox_largest_messages",
    "gauge",
    "Messages that wait in the longest of these inboxes.",
    ("kind",),
    is_largest=True,
)
INBOX_AGE = Metric(
    "claudehub_actor_inbox_oldest_age_seconds",
    "gauge",
    "How long the oldest of these messages has waited; exact to a second.",
    ("kind",),
    is_largest=True,
)
HANDLING = Metric(
    "claudehub_actor_handling_seconds",
    "gauge",
    "How long the slowest actor of this kind has handled its present message; exact to a second.",
    ("kind",),
    is_largest=True,
)
DEATHS = Metric(
    "claudehub_actor_deaths_total",
    "counter",
    "Actors, and threads beside them, that have died of a fault.",
    ("kind",),
    _each(*KINDS),
)
RESTARTS = Metric(
    "claudehub_actor_restarts_total",
    "counter",
    "Actors and threads that were started in place of dead ones.",
    ("kind",),
    _each(*KINDS),
)

# -- the server itself -----------------------------------------------------------------------------

READY = Metric("claudehub_ready", "gauge", "1 if /readyz says that the hub takes work, else 0.")
DRAINING = Metric(
    "claudehub_draining",
    "gauge",
    "1 from the signal that stops the hub on, while it drains and stops; else 0.",
)
PROBLEMS = Metric(
    "claudehub_problems",
    "gauge",
    "Parts of the hub that do not work, as health_check lists them. A drain is none.",
)
THREADS = Metric("claudehub_threads", "gauge", "Threads of the hub.")
AUDIT_DROPPED = Metric(
    "claudehub_audit_dropped_total",
    "counter",
    "Lines that the audit log did not take: floods, a disk that is full or too slow, a failure.",
)
LINES_DROPPED = Metric(
    "claudehub_output_dropped_lines_total",
    "counter",
    "Lines for standard output and standard error that were dropped because nobody read them.",
)
RELOADED = Metric(
    "claudehub_config_last_reload_successful",
    "gauge",
    "1 if the last start or SIGHUP found no fault in the configuration, else 0.",
    is_always_shown=False,
)
RELOADED_TIME = Metric(
    "claudehub_config_last_reload_success_timestamp_seconds",
    "gauge",
    "When the configuration was last read without a fault, in Unix time.",
    is_always_shown=False,
)
CERTIFICATE = Metric(
    "claudehub_certificate_expiry_timestamp_seconds",
    "gauge",
    "When the certificate in use expires, in Unix time. Only with TLS.",
    is_always_shown=False,
)
BUILD = Metric(
    "claudehub_build_info",
    "gauge",
    "Always 1; the labels say what runs.",
    ("version", "commit", "python"),
)

CATALOGUE = tuple(value for value in globals().values() if isinstance(value, Metric))
