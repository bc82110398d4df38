"""Executions as OpenTelemetry spans, by the semantic conventions for generative AI agents
(https://opentelemetry.io/docs/specs/semconv/gen-ai/, in development as of 1.41).

The one module that imports OpenTelemetry.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import simplejson
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from actors.runtime.logger import get_logger
from actors.tracing.spans import Began, Ended, Span
from protocol.claude import AgentLine
from protocol.trace_context import TraceParent
from protocol.updates import UpdateType

logger = get_logger("claudehub.tracing")

AGENT = "claude-code"
PROVIDER = "anthropic"
# Spans that wait for the collector; further ones are dropped.
QUEUE_SPANS_MAX = 2_048
BATCH_SPANS_MAX = 256
DELAY_MS = 2_000.0
EXPORT_TIMEOUT_S = 5.0
# How long a stop waits for the collector.
FLUSH_S = 3.0
# Tools of one execution that have begun and not ended; further ones have no span.
OPEN_TOOLS_MAX = 256
NAME_CHARS_MAX = 128
# A longer line is not looked at.
LINE_BYTES_MAX = 1024 * 1024
_USAGE = {
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cache_read_input_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_creation_input_tokens": "gen_ai.usage.cache_creation.input_tokens",
}
# These count as input, by the conventions; the CLI counts them apart.
_CACHED = ("cache_read_input_tokens", "cache_creation_input_tokens")


class OtelTracer:
    """Spans wait in a bounded queue, which a thread of its own sends. `stop` is for the main
    thread."""

    def __init__(self, *, version: str, instance_id: str, endpoint: str | None = None) -> None:
        """Read the settings of the exporter from the variables OTEL_*. Raises ValueError."""
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # _Told says it once
        ours = {"service.name": "claudehub", "service.version": version}
        resource = Resource.create({**ours, "service.instance.id": instance_id})
        resource = resource.merge(OTELResourceDetector().detect())  # OTEL_SERVICE_NAME and alike
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        exporter = _Told(OTLPSpanExporter(timeout=EXPORT_TIMEOUT_S))
        self._provider.add_span_processor(
            BatchSpanProcessor(
                exporter,
                max_queue_size=QUEUE_SPANS_MAX,
                max_export_batch_size=BATCH_SPANS_MAX,
                schedule_delay_millis=DELAY_MS,
            )
        )
        self.endpoint = endpoint
        self._tracer = self._provider.get_tracer("claudehub", version)

    def begin(self, began: Began) -> Span:
        return _ExecutionSpan(self._tracer, began)

    def stop(self) -> None:
        """Send what waits, for a bounded time: the collector may be away."""
        flushing = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        flushing.start()
        flushing.join(FLUSH_S)
        if flushing.is_alive():
            logger.warning("the last spans could not be sent in time", waited_s=FLUSH_S)


class _Told(SpanExporter):
    """An exporter that logs when the collector goes away and comes back, and not each batch."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._is_away = False
        self._lost = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result = self._exporter.export(spans)
        except Exception as error:  # noqa: BLE001 - whatever the library raises
            self._failed(len(spans), f"{type(error).__name__}: {error}")
            return SpanExportResult.FAILURE
        if result is not SpanExportResult.SUCCESS:
            self._failed(len(spans), "it gave no answer, or refused them")
        elif self._is_away:
            logger.warning("the collector takes spans again", lost=self._lost)
            self._is_away, self._lost = False, 0
        return result

    def _failed(self, count: int, reason: str) -> None:
        self._lost += count
        if not self._is_away:
            self._is_away = True
            remedy = "look at OTEL_EXPORTER_OTLP_ENDPOINT and at the collector"
            logger.warning("spans are lost", reason=reason, remedy=remedy)

    def shutdown(self) -> None:
        self._exporter.shutdown()


class _ExecutionSpan:
    """One execution, in its Project's thread."""

    def __init__(self, tracer: trace.Tracer, began: Began) -> None:
        self._tracer = tracer
        self._span = tracer.start_span(
            f"invoke_agent {AGENT}",
            context=_context(began.parent),
            attributes={
                "gen_ai.operation.name": "invoke_agent",
                "gen_ai.provider.name": PROVIDER,
                "gen_ai.agent.name": AGENT,
                "claudehub.project.id": began.project_id,
                "claudehub.execution.id": began.execution_id,
                "claudehub.client.id": began.client_id,
                "claudehub.origin": began.origin,
                **({} if began.user is None else {"user.name": began.user}),
            },
        )
        self._tools: dict[str, trace.Span] = {}

    def take(self, lines: Sequence[AgentLine]) -> None:
        for line in lines:
            if line.update_type is UpdateType.CLAUDE and len(line.data) <= LINE_BYTES_MAX:
                self._take(_object(line.data))

    def _take(self, value: Mapping[str, Any]) -> None:
        kind = value.get("type")
        if kind == "system" and value.get("subtype") == "init":
            self._set("gen_ai.request.model", value.get("model"))
        elif kind == "assistant":
            self._set("gen_ai.response.model", _member(value, "message").get("model"))
            self._each(value, "tool_use", self._begin_tool)
        elif kind == "user":
            self._each(value, "tool_result", self._end_tool)
        elif kind == "result":
            self._usage(_member(value, "usage"))

    def _each(
        self,
        value: Mapping[str, Any],
        kind: str,
        use: Callable[[Mapping[str, Any], object], None],
    ) -> None:
        blocks = _member(value, "message").get("content")
        for block in blocks if isinstance(blocks, list) else ():
            if isinstance(block, dict) and block.get("type") == kind:
                use(block, value.get("parent_tool_use_id"))

    def _begin_tool(self, block: Mapping[str, Any], parent: object) -> None:
        call_id, name = block.get("id"), block.get("name")
        if not isinstance(call_id, str) or not isinstance(name, str) or call_id in self._tools:
            return
        if len(self._tools) >= OPEN_TOOLS_MAX:
            return
        above = self._tools.get(parent) if isinstance(parent, str) else None
        self._tools[call_id] = self._tracer.start_span(
            f"execute_tool {name[:NAME_CHARS_MAX]}",
            context=trace.set_span_in_context(above or self._span),
            attributes={
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": name[:NAME_CHARS_MAX],
                "gen_ai.tool.call.id": call_id[:NAME_CHARS_MAX],
                "gen_ai.tool.type": "function",
            },
        )

    def _end_tool(self, block: Mapping[str, Any], _parent: object) -> None:
        call_id = block.get("tool_use_id")
        span = self._tools.pop(call_id, None) if isinstance(call_id, str) else None
        if span is not None:
            _close(span, "tool_error" if block.get("is_error") is True else None)

    def _usage(self, usage: Mapping[str, Any]) -> None:
        counts: dict[str, int] = {n: usage[n] for n in _USAGE if _is_count(usage.get(n))}
        if "input_tokens" in counts:
            counts["input_tokens"] += sum(counts.get(name, 0) for name in _CACHED)
        for name, count in counts.items():
            self._span.set_attribute(_USAGE[name], count)

    def _set(self, name: str, value: object) -> None:
        if isinstance(value, str):
            self._span.set_attribute(name, value[:NAME_CHARS_MAX])

    def end(self, ended: Ended) -> None:
        for span in reversed(self._tools.values()):
            _close(span, "no_result")
        self._tools.clear()
        self._set("gen_ai.conversation.id", ended.session_id)
        self._span.set_attribute("claudehub.outcome", ended.outcome)
        if ended.cost_usd is not None:
            self._span.set_attribute("claudehub.cost_usd", ended.cost_usd)
        _close(self._span, ended.outcome if ended.is_fault else None)


def _close(span: trace.Span, error_type: str | None) -> None:
    if error_type is not None:
        span.set_attribute("error.type", error_type)
        span.set_status(trace.StatusCode.ERROR)
    span.end()


def _context(parent: TraceParent | None) -> Any:
    """Return the context of a client's span; None begins a new trace."""
    if parent is None:
        return None
    above = trace.SpanContext(
        trace_id=int(parent.trace_id, 16),
        span_id=int(parent.parent_id, 16),
        is_remote=True,
        trace_flags=trace.TraceFlags(parent.flags),
    )
    return trace.set_span_in_context(trace.NonRecordingSpan(above))


def _object(data: bytes) -> Mapping[str, Any]:
    try:
        value = simplejson.loads(data)
    except (ValueError, RecursionError):  # the parser has read it before
        return {}
    return value if isinstance(value, dict) else {}


def _member(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63
