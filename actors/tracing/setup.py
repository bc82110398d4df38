"""Trace executions if the variables of OpenTelemetry name a collector."""

import contextlib
import shlex
import sys
from collections.abc import Mapping

from actors.runtime.logger import get_logger
from actors.tracing.spans import NoTracer, Tracer

logger = get_logger("claudehub.tracing")

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
# The packages of the extra `otel`. No command installs claudehub by its name: it is on no index.
INSTALL = (
    f"{shlex.quote(sys.executable)} -m pip install opentelemetry-sdk "
    "opentelemetry-exporter-otlp-proto-http, or unset OTEL_EXPORTER_OTLP_ENDPOINT"
)


def tracer(
    environment: Mapping[str, str],
    stack: contextlib.ExitStack,
    *,
    version: str,
    instance_id: str,
) -> Tracer:
    """Return a tracer, which the stack stops. It traces nothing where no collector is named, and
    where the extra is missing, which is logged."""
    endpoint = next((found for name in _ENDPOINTS if (found := environment.get(name))), None)
    is_off = environment.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if endpoint is None or is_off or environment.get("OTEL_TRACES_EXPORTER") == "none":
        return NoTracer()
    try:
        from actors.tracing.otel import OtelTracer  # noqa: PLC0415 - an extra, and 20 MiB
    except ImportError as error:
        logger.warning("no spans: OpenTelemetry is not installed", error=error, remedy=INSTALL)
        return NoTracer()
    try:
        started = OtelTracer(version=version, instance_id=instance_id, endpoint=endpoint)
    except ValueError as error:
        logger.warning("no spans: a setting of OpenTelemetry is not valid", error=error)
        return NoTracer()
    stack.callback(started.stop)
    return started
