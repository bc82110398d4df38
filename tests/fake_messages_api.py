#!/usr/bin/env python3
"""A stand-in for the Anthropic Messages API, on loopback, for the real Claude Code CLI to talk to.

Start it with `fake_messages_api.py --port 0`; it prints `http://127.0.0.1:PORT` and serves until it
is ended. Point the CLI at it with ANTHROPIC_BASE_URL and any made-up ANTHROPIC_API_KEY.

The last user text of a request steers the answer. Directives may stand anywhere in it:

    [[text:HELLO]]        answer exactly HELLO (the default answer is "ok")
    [[slow:30:0.1]]       stream 30 words, one each 0.1 s
    [[big:1000000]]       answer with that many characters
    [[deltas:2000:8]]     stream 2000 pieces of 8 characters
    [[tool:Bash:echo hi]] call a tool first (Bash, Write:PATH:TEXT or Read:PATH), then answer
    [[calls:BASE64]]      call several tools first: base64 of a JSON list of [name, input]
    [[loop:3]]            call Bash until three results were seen
    [[after:BYE]]         what to answer after tool results (default "done")
    [[error:529]]         answer with that HTTP status and an API error body
    [[hang]]              accept the request and never answer

FAKE_API_LOG names a file that gets each request as a line.
"""

import argparse
import base64
import json
import os
import re
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DIRECTIVE = re.compile(r"\[\[(\w+)(?::([^\]]*))?\]\]")
TOOL_INPUTS = {
    "Bash": lambda rest: {"command": rest, "description": "a command"},
    "Write": lambda rest: dict(zip(("file_path", "content"), rest.split(":", 1), strict=False)),
    "Read": lambda rest: {"file_path": rest},
}


def last_user_turn(messages):
    """The text of the last user message that holds text, and whether it ends in a tool result."""
    for message in reversed(messages):
        if message["role"] != "user":
            continue
        content = message["content"]
        if isinstance(content, str):
            return content, False
        has_result = any(block["type"] == "tool_result" for block in content)
        if has_result:
            last = max(i for i, block in enumerate(content) if block["type"] == "tool_result")
            tail = "\n".join(
                block["text"]
                for block in content[last + 1 :]
                if block["type"] == "text" and not block["text"].startswith("<system-reminder>")
            )
            return (
                (tail, False) if "[[" in tail else ("", True)
            )  # a new prompt may be folded in behind the result
        texts = [block["text"] for block in content if block["type"] == "text"]
        texts = [text for text in texts if not text.startswith("<system-reminder>")] or texts
        return "\n".join(texts), False
    return "", False


def answer_after_tool(messages):
    """After tool results: the next call of a loop, the text of an `after`, else "done"."""
    said = json.dumps(messages)
    loops, afters = (
        re.findall(r"\[\[loop:(\d+)\]\]", said),
        re.findall(r"\[\[after:([^\]]*)\]\]", said),
    )
    results = [
        m
        for m in messages
        if m["role"] == "user"
        and isinstance(m["content"], list)
        and any(block["type"] == "tool_result" for block in m["content"])
    ]
    if loops and len(results) < int(loops[-1]):
        return [
            ("tool", ("Bash", {"command": f"echo {len(results)}", "description": "loop"}))
        ], "tool_use"
    return [("text", [afters[-1] if afters else "done"])], "end_turn"


def answer_blocks(messages):
    """The content blocks to answer with: (kind, value) pairs."""
    text, after_tool = last_user_turn(messages)
    if after_tool:
        return answer_after_tool(messages)
    wanted = dict(DIRECTIVE.findall(text))
    if "calls" in wanted:
        calls = json.loads(base64.b64decode(wanted["calls"]))
        return [("tool", (n, i)) for n, i in calls], "tool_use"
    if "tool" in wanted:
        name, _, rest = wanted["tool"].partition(":")
        return [("tool", (name, TOOL_INPUTS[name](rest)))], "tool_use"
    if "big" in wanted:
        size = int(wanted["big"])
        return [("text", ["x" * 4000] * (size // 4000) + ["x" * (size % 4000)])], "end_turn"
    if "deltas" in wanted:
        n, size = map(int, wanted["deltas"].split(":"))
        return [("text", ["x" * size] * n)], "end_turn"
    if "slow" in wanted:
        count = int(wanted["slow"].split(":")[0])
        return [("text", [f"word{n} " for n in range(count)])], "end_turn"
    return [("text", [wanted.get("text", "ok")])], "end_turn"


def pause_s(messages):
    """Seconds between deltas."""
    text, _ = last_user_turn(messages)
    slow = dict(DIRECTIVE.findall(text)).get("slow")
    return float(slow.split(":")[1]) if slow and ":" in slow else (0.1 if slow else 0.0)


class MessagesHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer_json(200, {})

    def do_GET(self):
        self.answer_json(200, {"data": [], "has_more": False})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = json.loads(body or b"{}")
        if "count_tokens" in self.path:
            self.answer_json(200, {"input_tokens": len(body) // 4})
        elif not self.path.startswith("/v1/messages"):
            self.answer_json(200, {})
        else:
            self.answer_messages(request)

    def answer_messages(self, request):
        if path := os.environ.get("FAKE_API_LOG"):
            with open(path, "a") as log:
                log.write(json.dumps(request) + "\n")
        text, _ = last_user_turn(request["messages"])
        wanted = dict(DIRECTIVE.findall(text))
        if "hang" in wanted:
            time.sleep(3600)
        if "error" in wanted:
            kind = {401: "authentication_error", 429: "rate_limit_error", 529: "overloaded_error"}
            status = int(wanted["error"])
            error = {"type": kind.get(status, "api_error"), "message": f"planned error {status}"}
            self.answer_json(status, {"type": "error", "error": error})
            return
        blocks, stop_reason = answer_blocks(request["messages"])
        usage = {"input_tokens": 10, "output_tokens": 5}
        message = {
            "id": f"msg_{time.time_ns()}",
            "type": "message",
            "role": "assistant",
            "model": request.get("model", "fake"),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage,
        }
        if request.get("stream"):
            self.stream(message, blocks, stop_reason, pause_s(request["messages"]))
            return
        for kind, value in blocks:
            message["content"].append(
                {"type": "text", "text": "".join(value)}
                if kind == "text"
                else {"type": "tool_use", "id": "toolu_1", "name": value[0], "input": value[1]}
            )
        self.answer_json(200, message | {"stop_reason": stop_reason})

    def stream(self, message, blocks, stop_reason, pause):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.event("message_start", message=message)
        for index, (kind, value) in enumerate(blocks):
            start = (
                {"type": "text", "text": ""}
                if kind == "text"
                else {
                    "type": "tool_use",
                    "id": f"toolu_{time.time_ns()}",
                    "name": value[0],
                    "input": {},
                }
            )
            self.event("content_block_start", index=index, content_block=start)
            deltas = (
                [{"type": "text_delta", "text": part} for part in value]
                if kind == "text"
                else [{"type": "input_json_delta", "partial_json": json.dumps(value[1])}]
            )
            for delta in deltas:
                self.event("content_block_delta", index=index, delta=delta)
                if pause:
                    time.sleep(pause)
            self.event("content_block_stop", index=index)
        self.event(
            "message_delta",
            delta={"stop_reason": stop_reason, "stop_sequence": None},
            usage={"output_tokens": 5},
        )
        self.event("message_stop")
        self.wfile.write(b"0\r\n\r\n")

    def event(self, kind, **fields):
        data = f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def answer_json(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--port", type=int, default=0)
    server = ThreadingHTTPServer(("127.0.0.1", parser.parse_args().port), MessagesHandler)
    server.daemon_threads = True
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
