"""A span for each execution, sent to an OpenTelemetry collector. Off unless
OTEL_EXPORTER_OTLP_ENDPOINT is set.

`spans.py` is what projects use. `otel.py` makes the spans, and alone imports OpenTelemetry, which
is the extra `otel`. `setup.py` chooses.
"""
