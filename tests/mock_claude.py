#!/usr/bin/env python3
"""A mock of the Claude Code CLI, held against 2.1.331 and 2.1.197 by tests/test_conversations.py.

One prompt a line on standard input (stream-json); directives in the prompt steer the answer. These
are the fake API's too (tests/fake_messages_api.py), so that a conversation can be held with both:

    [[text:HELLO]]        answer exactly HELLO (default "ok")
    [[slow:30:0.1]]       30 words, one each 0.1 s
    [[big:1000000]]       an answer of that many characters
    [[deltas:2000:8]]     2000 pieces of 8 characters
    [[tool:Bash:echo hi]] call a tool first (Bash, Write:PATH:TEXT or Read:PATH), then answer
    [[calls:BASE64]]      several tools first: base64 of a JSON list of [name, input]
    [[loop:3]]            call Bash until three results were seen
    [[after:BYE]]         what to answer after tool results (default "done")
    [[error:529]]         that API error, after the retries that it deserves
    [[hang]]              never answer

and these are the mock's own:

    [[lines:4000]]     so many assistant lines before the answer
    [[pace:0.01]]      seconds between those lines
    [[raw:BASE64]]     these bytes, as they are
    [[wait:PATH]]      wait until a file is there
    [[touch:PATH]]     make a file
    [[stubborn]]       ignore SIGINT and SIGTERM, and interrupts
    [[deaf]]           read nothing more
    [[grandchild]]     start a process in a session of its own that holds our output open
    [[doublefork]]     start one that is not our descendant
    [[latefork:MS]]    start one that forks so much later, ends, and leaves its child
    [[naked]]          start one in a session of its own, without any environment, and say its pid
    [[stderr:TEXT]]    write to standard error
    [[exit:3]]         exit at once with that code, without a result
    [[dies:0.1]]       exit so long after the turn
    [[torn:TEXT]]      leave TEXT without a newline, and exit 1
    [[linger]]         stay, whatever the host asks for
    [[ask]]            a control request that no host knows; its answer becomes the text
    [[wakeup:0.1]]     so long after the turn begin another that nobody asked for
    [[refuse:SUBTYPE]] from now on, answer that control request with an error
    [[show:args]]      answer with the arguments (or env, cwd, settings, content) as JSON

CLAUDE_MOCK_VERSION=2.1.197 makes it write as that one does. Sessions are remembered in
$CLAUDE_MOCK_SESSIONS, a file, so that --resume and -c work. $CLAUDE_MOCK_PHRASES, a file, says
which directives are meant by words in a prompt, for documents that people read.
"""

import contextlib
import json
import os
import queue
import signal
import sys
import threading
import time
import uuid

from mock_sessions import Sessions, chosen_session
from mock_turn import Turn, own_turn

KNOWN_CONTROLS = (
    "mcp_status",
    "get_settings",
    "get_context_usage",
    "get_session_cost",
    "get_usage",
)
NEW_CONTROLS = ("get_task_output", "list_permission_rules", "list_models", "set_has_subscribers")
MODES = ("acceptEdits", "auto", "bypassPermissions", "default", "dontAsk", "manual", "plan")
DEFAULT_MODEL = "claude-mock-1"
BYPASS = "bypassPermissions"


def option(name):
    """The value of `--name=value`, the last one, or None."""
    found = [a.split("=", 1)[1] for a in sys.argv[1:] if a.startswith(f"--{name}=")]
    return found[-1] if found else None


class Mock:
    """The process: its settings, its standard output, and the turn that runs. `is_silent`: no
    result comes after SIGTERM."""

    is_silent = False

    def __init__(self):
        self.is_old = os.environ.get("CLAUDE_MOCK_VERSION") == "2.1.197"
        self.version = "2.1.197" if self.is_old else "2.1.331"
        self.sessions = Sessions()
        self.session_id = chosen_session(self, sys.argv[1:])
        self.mode = option("permission-mode") or "default"
        self.launch_mode = self.mode
        self.model = option("model") or DEFAULT_MODEL
        self.allowed, self.denied, self.folders = [], [], []
        self.remembered = []
        self.total_cost = 0.0
        self.cost_at_last_result = 0.0
        resumed = option("resume") is not None
        if resumed and not self.is_old:  # it begins at the transcript's total
            self.total_cost = self.cost_at_last_result = 5.0
        self.last_was_error = False
        self.waiting = queue.Queue()
        self.running = None
        self.background = []
        self.pending = {}
        self.refused = set()
        self.is_stubborn = False
        self.output_lock = threading.RLock()
        self.seen = set()

    # -- output

    def write(self, data):
        if self.is_silent:
            return
        with self.output_lock:
            view = memoryview(data)
            while view:
                view = view[os.write(1, view) :]

    def emit(self, **fields):
        self.write(json.dumps(fields).encode() + b"\n")

    def line(self, **fields):
        self.emit(**fields, session_id=self.session_id, uuid=str(uuid.uuid4()))

    def lifecycle(self, message_uuid, state):
        if not self.is_old:
            self.line(type="command_lifecycle", command_uuid=message_uuid, state=state)

    def respond(self, request_id, response=None, error=None):
        answer = {"subtype": "success", "request_id": request_id}
        if error is not None:
            answer = {"subtype": "error", "request_id": request_id, "error": error}
        elif response is not None:
            answer["response"] = response
        self.emit(type="control_response", response=answer)

    # -- input

    def read(self):
        for text in iter(sys.stdin.readline, ""):
            if not text.strip():
                continue
            try:
                message = json.loads(text)
            except ValueError:
                sys.stderr.write("Error parsing streaming input line\n")
                os._exit(1)
            if isinstance(message, dict):
                self.take(message)
        self.waiting.put(None)
        self.working.join()
        os._exit(1 if self.last_was_error else 0)

    def take(self, message):
        kind = message.get("type")
        if kind == "user":
            if message["uuid"] not in self.seen:
                self.seen.add(message["uuid"])
                self.lifecycle(message["uuid"], "queued")
                self.waiting.put(message)
        elif kind == "control_request":
            self.control(message["request_id"], message["request"])
        elif kind == "control_response":
            answer = self.pending.pop(message["response"]["request_id"], None)
            if answer is not None:
                answer.put(message["response"])

    def control(self, request_id, request):
        subtype = request["subtype"]
        known = KNOWN_CONTROLS + (() if self.is_old else NEW_CONTROLS)
        if subtype in self.refused:
            self.respond(request_id, error=f"{subtype} is refused, as was asked for")
        elif (method := getattr(self, f"on_{subtype}", None)) is not None:
            method(request_id, request)
        elif subtype in known:
            self.respond(request_id, {})
        else:
            self.respond(request_id, error=f"Unsupported control request subtype: {subtype}")

    def on_initialize(self, request_id, request):
        self.respond(request_id, {"commands": [], "models": [], "pid": os.getpid()})

    def on_rewind_files(self, request_id, request):
        self.respond(request_id, error="File rewinding is not enabled.")

    def on_set_max_thinking_tokens(self, request_id, request):
        self.respond(request_id)

    def on_stop_task(self, request_id, request):
        self.respond(request_id, {})

    def on_cancel_async_message(self, request_id, request):
        taken = self.take_back(request["message_uuid"])
        self.respond(request_id, {"cancelled": bool(taken)})

    def on_set_model(self, request_id, request):
        self.model = request.get("model") or DEFAULT_MODEL
        said = f"<local-command-stdout>Set model to {self.model}</local-command-stdout>"
        self.line(type="user", message={"role": "user", "content": said}, isReplay=True)
        self.respond(request_id, None if self.is_old else {"model": self.model})

    def on_set_permission_mode(self, request_id, request):
        mode = request["mode"]
        if mode == BYPASS and self.launch_mode != BYPASS:
            self.respond(request_id, error="the session was not launched with it")
            return
        if mode not in MODES and not self.is_old:
            self.respond(request_id, error=f"Invalid permission mode: {mode}")
            return
        self.respond(request_id, {"mode": mode})
        self.change_mode(mode)

    def change_mode(self, mode):
        if mode != self.mode:
            self.mode = mode
            self.line(type="system", subtype="status", status=None, permissionMode=mode)

    def on_apply_flag_settings(self, request_id, request):
        settings = request["settings"]
        if "permissions" in settings:
            rules = settings["permissions"] or {}
            self.allowed = rules.get("allow", [])
            self.denied = rules.get("deny", [])
            self.folders = rules.get("additionalDirectories", [])
        self.respond(request_id)

    def on_end_session(self, request_id, request):
        self.respond(request_id)
        if self.running is not None and self.running.wants("linger"):
            return
        if not self.lingers:
            for task in self.background:
                task.kill()
            os._exit(0)

    lingers = False

    def on_interrupt(self, request_id, request):
        if self.is_stubborn:
            return
        cancelled = self.take_back() if request.get("cancel_queued") and not self.is_old else []
        turn = self.running
        if turn is not None:
            turn.withdraw()
        if self.is_old:
            self.respond(request_id)
        else:
            self.respond(request_id, {"still_queued": [], "cancelled": cancelled})
        if turn is not None:
            turn.abort()

    def take_back(self, only=None):
        """User lines that wait: they are not run."""
        kept, taken = [], []
        while True:
            try:
                message = self.waiting.get_nowait()
            except queue.Empty:
                break
            (taken if message and only in (None, message["uuid"]) else kept).append(message)
        for message in kept:
            self.waiting.put(message)
        for message in taken:
            self.lifecycle(message["uuid"], "cancelled")
        return [message["uuid"] for message in taken]

    # -- turns

    def work(self):
        with contextlib.suppress(BrokenPipeError):
            while (message := self.waiting.get()) is not None:
                messages = [message]
                while not self.waiting.empty():  # all that wait become one turn
                    if (more := self.waiting.get()) is None:
                        self.waiting.put(None)
                        break
                    messages.append(more)
                self.sessions.add(self.session_id)
                self.running = Turn(self, messages)
                self.running.run()
                self.running = None

    def start_own_turn(self, origin, text="ok"):
        """A turn that nobody asked for: `origin` is None for one that was scheduled."""
        while self.running is not None:
            time.sleep(0.005)
        own_turn(self, origin, text)

    def on_sigint(self, *_):
        """With stream-json input: a result, then exit 0."""
        if self.is_stubborn:
            return
        turn = self.running
        if turn is not None:
            turn.abort()
            turn.over.wait(2)
            turn.wait_for_commands()
        os._exit(0)

    def on_sigterm(self, *_):
        if self.is_stubborn:
            return
        self.is_silent = True
        turn = self.running
        if turn is not None and not self.is_old:  # 2.1.197 leaves its commands running
            turn.kill_commands()
            turn.wait_for_commands()
        for task in self.background:
            task.kill()
        os._exit(143)


def usage_error():
    for argument in sys.argv[1:]:
        name = argument.split("=")[0]
        is_old = os.environ.get("CLAUDE_MOCK_VERSION") == "2.1.197"
        if name == "--system-prompt-snapshot" and is_old:
            return f"error: unknown option '{name}'"
    if option("permission-mode") == BYPASS and os.geteuid() == 0:
        return "--dangerously-skip-permissions cannot be used with root/sudo privileges"
    return None


def main():
    if "--version" in sys.argv:
        print(f"{os.environ.get('CLAUDE_MOCK_VERSION', '2.1.331')} (mock)")
        return
    if "--help" in sys.argv:
        if os.environ.get("CLAUDE_MOCK_VERSION") != "2.1.197":
            print("--system-prompt-snapshot <on|off>")
        return
    if (problem := usage_error()) is not None:
        sys.stderr.write(problem + "\n")
        sys.exit(1)
    mock = Mock()
    signal.signal(signal.SIGINT, mock.on_sigint)
    signal.signal(signal.SIGTERM, mock.on_sigterm)
    mock.working = threading.Thread(target=mock.work, daemon=True)
    mock.working.start()
    mock.read()


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main()
