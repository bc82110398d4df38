"""A span for each execution, with its tools below it, at a collector of our own."""

import base64
import contextlib
import json
import socket
import sys
from typing import Any

import pytest

from actors.tracing import otel, setup
from actors.tracing.otel import _ExecutionSpan
from actors.tracing.spans import Began, Ended, NoTracer
from protocol import trace_context
from protocol.claude import AgentLine, parse_lines
from protocol.trace_context import TraceParent
from tests.trace_collector import Shown, TraceCollector

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
SECRET = "the words of a prompt"
BEGAN = Began("shop", "e-1", "ann", "c-1", "prompt", TraceParent(TRACE, PARENT, 1))
SUCCESS = Ended("success", is_fault=False, session_id="s-1", cost_usd=0.25)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (TRACEPARENT, TraceParent(TRACE, PARENT, 1)),
        (f"00-{TRACE}-{PARENT}-00", TraceParent(TRACE, PARENT, 0)),
        (f"cc-{TRACE}-{PARENT}-01-what-comes-later", TraceParent(TRACE, PARENT, 1)),
        (None, None),
        ("", None),
        (f"00-{TRACE}-{PARENT}-01-more", None),
        (f"ff-{TRACE}-{PARENT}-01", None),
        (f"00-{'0' * 32}-{PARENT}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-{PARENT}-01", None),
        (f"00-{TRACE}-{PARENT}", None),
        (f"{TRACEPARENT}\n", None),
    ],
)
def test_a_traceparent_is_read_or_ignored(text: str | None, found: TraceParent | None) -> None:
    assert trace_context.parsed(text) == found
    assert found is None or trace_context.parsed(str(found)) == found


def test_an_execution_is_a_span_with_its_tools_below_it(start_hub: Any) -> None:
    calls = [["Bash", {"command": f"echo {SECRET}"}], ["Bash", {"command": "exit 3"}]]
    prompt = f"[[calls:{base64.b64encode(json.dumps(calls).encode()).decode()}]] {SECRET}"
    with TraceCollector() as collector:
        hub = start_hub(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
        with hub.client() as client:
            client.request("project_create", path=hub.folder("shop"))
            client.request("project_join", project_id="shop")
            options = {"allowed_tools": ["Bash"]}
            end = client.run("shop", prompt, options=options, traceparent=TRACEPARENT)
            client.run("shop", "[[error:529]]", traceparent="nonsense")
        assert hub.stop() == 0  # which sends what waits
        spans = collector.wait_for(4)
        said = hub.errors.read_text()
    first, second = [span for span in spans if span.name == "invoke_agent claude-code"]
    assert (first.trace_id, first.parent_id, first.failed) == (TRACE, PARENT, False)
    assert (
        first.attributes.items()
        >= {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": "claude-code",
            "gen_ai.provider.name": "anthropic",
            "gen_ai.conversation.id": end["session_id"],
            "claudehub.project.id": "shop",
            "claudehub.execution.id": end["execution_id"],
            "claudehub.outcome": "success",
        }.items()
    )
    assert first.attributes["gen_ai.request.model"]
    tools = [span for span in spans if span.name == "execute_tool Bash"]
    assert [(t.parent_id, t.trace_id) for t in tools] == [(first.span_id, TRACE)] * 2
    assert [t.attributes["gen_ai.tool.name"] for t in tools] == ["Bash"] * 2
    # A malformed traceparent begins a new trace; an outcome that is no success is an error.
    assert second.trace_id != TRACE and second.parent_id == "" and second.failed
    assert second.attributes["error.type"] == second.attributes["claudehub.outcome"] == "error"
    assert collector.service["service.name"] == "claudehub"
    assert SECRET.encode() not in collector.raw
    assert said.count(f"traceparent={TRACEPARENT}") == 2 and "nonsense" not in said


def test_a_collector_that_is_away_costs_nothing_and_is_told_once(start_hub: Any) -> None:
    with socket.socket() as nobody:  # bound, and it never answers
        nobody.bind(("127.0.0.1", 0))
        hub = start_hub(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{nobody.getsockname()[1]}")
        with hub.client() as client:
            client.request("project_create", path=hub.folder("p"))
            client.request("project_join", project_id="p")
            for _ in range(3):
                assert client.run("p", "[[tool:Bash:echo hi]]")["outcome"] == "success"
        assert hub.stop() == 0
    said = hub.errors.read_text()
    assert said.count("spans are lost") <= 1 and said.count("could not be sent in time") <= 1
    assert "spans are lost" in said or "could not be sent in time" in said
    assert "Traceback" not in said


def test_no_collector_no_opentelemetry() -> None:
    with contextlib.ExitStack() as stack:
        made = [
            setup.tracer(environment, stack, version="1", instance_id="i")
            for environment in (
                {},
                {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
                {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"},
                {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_TRACES_EXPORTER": "none"},
            )
        ]
    assert all(isinstance(tracer, NoTracer) for tracer in made)


def test_a_missing_extra_is_told_and_is_no_reason_to_fail(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "actors.tracing.otel", None)
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
    with contextlib.ExitStack() as stack:
        found = setup.tracer(environment, stack, version="1", instance_id="i")
    assert isinstance(found, NoTracer)
    assert "-m pip install opentelemetry-sdk" in caplog.text


# -- one execution's span, without a hub -----------------------------------------------------------


def lines(*values: object) -> list[AgentLine]:
    return parse_lines([json.dumps(value).encode() for value in values], 1 << 20)


def tool(call_id: str, name: str = "Bash", above: str | None = None) -> dict[str, Any]:
    block = {"type": "tool_use", "id": call_id, "name": name, "input": {"command": SECRET}}
    return {"type": "assistant", "parent_tool_use_id": above, "message": {"content": [block]}}


def result(call_id: str, **more: Any) -> dict[str, Any]:
    block = {"type": "tool_result", "tool_use_id": call_id, "content": SECRET, **more}
    return {"type": "user", "message": {"content": [block]}}


def spans_of(*values: object) -> dict[str, Shown]:
    """Return the spans of an execution that says this, by the ids of their tools."""
    with TraceCollector() as collector, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        tracer = otel.OtelTracer(version="1", instance_id="i")
        span = tracer.begin(BEGAN)
        assert isinstance(span, _ExecutionSpan)
        span.take(lines(*values))
        span.end(SUCCESS)
        tracer.stop()
        found = {str(s.attributes.get("gen_ai.tool.call.id", "")): s for s in collector.spans}
        assert SECRET.encode() not in collector.raw
    return found


def test_a_tool_of_a_subagent_is_below_the_tool_that_started_it() -> None:
    found = spans_of(tool("t1", "Task"), tool("t2", above="t1"), result("t2"), result("t1"))
    assert found["t2"].parent_id == found["t1"].span_id
    assert found["t1"].parent_id == found[""].span_id


def test_a_tool_that_fails_is_an_error() -> None:
    found = spans_of(tool("t1"), tool("t2"), result("t1", is_error=True), result("t2"))
    assert found["t1"].failed and found["t1"].attributes["error.type"] == "tool_error"
    assert not found["t2"].failed and not found[""].failed


def test_a_tool_without_a_result_ends_with_its_execution() -> None:
    found = spans_of(tool("t1"), result("unknown"))
    assert found["t1"].failed and found["t1"].attributes["error.type"] == "no_result"


def test_the_variables_of_opentelemetry_name_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "the-hub-of-ann")
    with TraceCollector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        tracer = otel.OtelTracer(version="1.2", instance_id="i")
        tracer.begin(BEGAN).end(SUCCESS)
        tracer.stop()
        assert collector.service.items() >= {
            ("service.name", "the-hub-of-ann"),
            ("service.version", "1.2"),
            ("service.instance.id", "i"),
        }


def test_cached_tokens_count_as_input() -> None:
    usage = {"input_tokens": 3, "cache_read_input_tokens": 40, "output_tokens": 5, "x": "y"}
    found = spans_of({"type": "result", "usage": usage})[""].attributes
    assert found["gen_ai.usage.input_tokens"] == 43
    assert found["gen_ai.usage.cache_read.input_tokens"] == 40
    assert found["gen_ai.usage.output_tokens"] == 5


@pytest.mark.parametrize(
    "value",
    [
        {"type": "assistant"},
        {"type": "assistant", "message": 5},
        {"type": "assistant", "message": {"content": [None, {"type": "tool_use"}]}},
        {"type": "assistant", "message": {"content": [{"type": "tool_use", "id": [], "name": 1}]}},
        {"type": "user", "message": {"content": [{"type": "tool_result", "tool_use_id": {}}]}},
        {"type": "result", "usage": {"input_tokens": -1, "output_tokens": True}},
        {"type": "result", "usage": {"input_tokens": 10**30}},
        {"type": "system", "subtype": "init", "model": ["x"]},
    ],
)
def test_a_line_of_another_shape_changes_nothing(value: object) -> None:
    (only,) = spans_of(value).values()
    assert not only.failed and not [n for n in only.attributes if n.startswith("gen_ai.usage")]


def test_open_tools_and_names_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otel, "OPEN_TOOLS_MAX", 2)
    found = spans_of(tool("t1", "n" * 10_000), tool("t2"), tool("t3"))
    assert set(found) == {"", "t1", "t2"}
    assert len(found["t1"].attributes["gen_ai.tool.name"]) == otel.NAME_CHARS_MAX
