#!/usr/bin/env python3
"""A mock of the Claude Code CLI, shaped after captured sessions of 2.1.331 and 2.1.197.

One prompt a line on standard input (stream-json); directives in the prompt steer the answer:

    [[text:HELLO]]     answer exactly HELLO (default "ok")
    [[lines:4000]]     so many assistant lines before the answer
    [[pace:0.01]]      seconds between those lines
    [[deltas:5]]       so many stream_event lines first
    [[big:100000]]     one assistant line of about that many characters
    [[raw:BASE64]]     these bytes, as they are
    [[wait:PATH]]      wait until a file is there
    [[touch:PATH]]     make a file
    [[hang]]           never answer
    [[stubborn]]       ignore SIGINT and SIGTERM
    [[grandchild]]     start a process in a session of its own that holds our output open
    [[doublefork]]     start one that is not our descendant
    [[naked]]          start one without any environment, and say its pid
    [[stderr:TEXT]]    write to standard error
    [[error]]          an API error: subtype success, is_error true
    [[exit:3]]         exit at once with that code, without a result
    [[torn:TEXT]]      leave TEXT without a newline, and exit 1
    [[linger]]         stay after the result, whatever the host says
    [[ask]]            a control request; its answer becomes the text
    [[show:args]]      answer with the arguments (or env, cwd) as JSON
    [[old]]            write as 2.1.197 does

Sessions are remembered in $CLAUDE_MOCK_SESSIONS, a file, so that --resume and -c work.
"""

import base64
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid

DIRECTIVE = re.compile(r"\[\[(\w+)(?::([^\]]*))?\]\]")
SLEEPER = "import time; time.sleep(600)"


def write(data):
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


def emit(**fields):
    write(json.dumps(fields).encode() + b"\n")


class Sessions:
    """Known ids, the latest last."""

    def __init__(self):
        self._path = os.environ.get("CLAUDE_MOCK_SESSIONS")

    def known(self):
        if not self._path or not os.path.exists(self._path):
            return []
        with open(self._path) as file:
            return file.read().split()

    def add(self, session_id):
        if self._path and session_id not in self.known():
            with open(self._path, "a") as file:
                file.write(session_id + "\n")


class Turn:
    def __init__(self, session_id, prompt, prompt_uuid):
        self.session_id = session_id
        self.uuid = prompt_uuid
        self.wanted = dict(DIRECTIVE.findall(prompt))
        self.is_old = "old" in self.wanted

    def line(self, **fields):
        emit(**fields, session_id=self.session_id, uuid=str(uuid.uuid4()))

    def lifecycle(self, state):
        if not self.is_old:
            self.line(type="command_lifecycle", command_uuid=self.uuid, state=state)

    def assistant(self, text):
        content = [{"type": "text", "text": text}]
        message = {"id": "msg_1", "type": "message", "role": "assistant", "content": content}
        self.line(type="assistant", message=message, parent_tool_use_id=None)

    def result(self, text, **fields):
        usage = {"mock": {"inputTokens": 1, "costUSD": 0.25}}
        new = {} if self.is_old else {"model_usage_since_last_result": usage}
        # 2.1.331 does not write `type` first.
        facts = {
            "duration_api_ms": 1,
            "session_id": self.session_id,
            "total_cost_usd": 1.5,
            "is_error": False,
            "num_turns": 1,
            "subtype": "success",
            "result": text,
            "type": "result",
            "uuid": str(uuid.uuid4()),
            **new,
            **fields,
        }
        emit(**facts)

    def run(self):
        """Whether the process stays for another line."""
        self.lifecycle("queued")
        self.lifecycle("started")
        self.line(type="system", subtype="init", cwd=os.getcwd(), model="mock")
        self.side_effects()
        self.output()
        if "exit" in self.wanted:
            os._exit(int(self.wanted["exit"]))
        if "torn" in self.wanted:
            write(self.wanted["torn"].encode())
            os._exit(1)
        while "hang" in self.wanted:
            time.sleep(1)
        self.finish()

    def side_effects(self):
        if "stubborn" in self.wanted:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if "grandchild" in self.wanted:
            subprocess.Popen([sys.executable, "-c", SLEEPER], start_new_session=True)
        if "doublefork" in self.wanted:
            script = (
                f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEPER!r}])"
            )
            subprocess.run([sys.executable, "-c", script], start_new_session=True, check=True)
        if "naked" in self.wanted:
            child = subprocess.Popen([sys.executable, "-c", SLEEPER], env={})
            self.assistant(f"pid {child.pid}")
        if "stderr" in self.wanted:
            sys.stderr.write(self.wanted["stderr"])
            sys.stderr.flush()
        if "touch" in self.wanted:
            with open(self.wanted["touch"], "w"):
                pass
        while "wait" in self.wanted and not os.path.exists(self.wanted["wait"]):
            time.sleep(0.01)

    def output(self):
        for number in range(int(self.wanted.get("deltas", 0))):
            delta = {"type": "text_delta", "text": f"d{number} "}
            event = {"type": "content_block_delta", "index": 0, "delta": delta}
            self.line(type="stream_event", event=event)
        for number in range(int(self.wanted.get("lines", 0))):
            self.assistant(f"line {number}")
            if "pace" in self.wanted:
                time.sleep(float(self.wanted["pace"]))
        if "big" in self.wanted:
            self.assistant("x" * int(self.wanted["big"]))
        if "raw" in self.wanted:
            write(base64.b64decode(self.wanted["raw"]))
        if "ask" in self.wanted:
            emit(type="control_request", request_id="r1", request={"subtype": "can_use_tool"})
            self.wanted["text"] = sys.stdin.readline().strip()

    def finish(self):
        if "error" in self.wanted:
            self.assistant("API Error: 400")
            self.result("API Error: 400", is_error=True, api_error_status=400)
            self.lifecycle("cancelled")
            return
        shown = {"args": sys.argv[1:], "env": dict(os.environ), "cwd": os.getcwd()}
        text = self.wanted.get("text", "ok")
        if "show" in self.wanted:
            text = json.dumps(shown[self.wanted["show"]])
        self.assistant(text[:1000])
        self.result(text)
        self.lifecycle("completed")
        while "linger" in self.wanted:
            time.sleep(1)


def chosen_session(sessions):
    """The session of --resume, -c, or a new one."""
    for argument in sys.argv[1:]:
        if argument.startswith("--resume="):
            session_id = argument.removeprefix("--resume=")
            if session_id not in sessions.known():
                forget(session_id)
            return session_id
    if "-c" in sys.argv and sessions.known():
        return sessions.known()[-1]
    return str(uuid.uuid4())


def forget(session_id):
    """What the CLI does when it does not know the session."""
    problem = f"No conversation found with session ID: {session_id}"
    emit(
        type="result",
        subtype="error_during_execution",
        is_error=True,
        num_turns=0,
        session_id=session_id,
        total_cost_usd=0,
        errors=[problem],
    )
    sys.stderr.write(problem + "\n")
    sys.exit(1)


def interrupted(*_):
    """SIGINT with stream-json input: a result, then exit 0."""
    emit(
        type="result",
        subtype="error_during_execution",
        is_error=True,
        num_turns=2,
        terminal_reason="aborted_streaming",
        errors=["interrupted"],
    )
    os._exit(0)


def main():
    if "--version" in sys.argv:
        print("2.1.331 (mock)")
        return
    signal.signal(signal.SIGINT, interrupted)
    sessions = Sessions()
    session_id = chosen_session(sessions)
    seen = set()
    for text in iter(sys.stdin.readline, ""):
        message = json.loads(text)
        if message["type"] == "user" and message["uuid"] not in seen:
            seen.add(message["uuid"])
            sessions.add(session_id)
            Turn(session_id, message["message"]["content"], message["uuid"]).run()
        elif message["type"] == "control_request":
            request_id = message["request_id"]
            emit(type="control_response", response={"subtype": "success", "request_id": request_id})
            if message["request"]["subtype"] == "end_session":
                return


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main()
