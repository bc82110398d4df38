"""A collector of OpenTelemetry on loopback, for tests: it takes spans over HTTP as protobuf."""

import gzip
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.harness import TIMEOUT_S


@dataclass
class Shown:
    """A span as it came: its name, its ids in hexadecimal, its attributes, whether it failed."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    failed: bool
    nanoseconds: int
    attributes: dict[str, Any] = field(default_factory=dict)


class TraceCollector:
    """Use it as a context. `spans` are all so far, `service` the attributes of who sent them, `raw`
    the bytes."""

    def __init__(self) -> None:
        self.spans: list[Shown] = []
        self.service: dict[str, Any] = {}
        self.raw = b""
        self._changed = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "TraceCollector":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(TIMEOUT_S)

    def wait_for(self, count: int) -> list[Shown]:
        """Return the spans, once there are so many."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.spans) >= count, TIMEOUT_S), self.spans
            return list(self.spans)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            timeout: ClassVar[float] = TIMEOUT_S

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                collector._take(body)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def _take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        with self._changed:
            self.raw += body
            for group in request.resource_spans:
                self.service = _values(group.resource.attributes)
                for scope in group.scope_spans:
                    self.spans += [_shown(span) for span in scope.spans]
            self._changed.notify_all()


def _shown(span: Any) -> Shown:
    return Shown(
        span.name,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.status.code == 2,
        span.end_time_unix_nano - span.start_time_unix_nano,
        _values(span.attributes),
    )


def _values(attributes: Any) -> dict[str, Any]:
    return {a.key: getattr(a.value, str(a.value.WhichOneof("value"))) for a in attributes}
