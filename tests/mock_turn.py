"""A turn of the mock: the lines that the CLI writes for a prompt, in its order."""

import base64
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
import uuid

import mock_tools as tools

DIRECTIVE = re.compile(r"\[\[(\w+)(?::([^\]]*))?\]\]")
SLEEPER = "import time; time.sleep(600)"
COST_OF_CALL = 0.25
RETRIES = {529: 2, 429: 10, 500: 10, 401: 10}


def fork_later(pause_s):
    """In a child: it leaves one of its own, in another session, and is gone."""
    os.setsid()
    time.sleep(pause_s)
    if os.fork():
        os._exit(0)
    os.setsid()
    os.execvp("sleep", ["sleep", "600"])


def of_phrases(prompt):
    """The directives that $CLAUDE_MOCK_PHRASES, a JSON file, has for words of the prompt."""
    path = os.environ.get("CLAUDE_MOCK_PHRASES")
    if path is None:
        return ""
    with open(path) as file:
        phrases = json.load(file)
    return "".join(meant for words, meant in phrases.items() if words in prompt)


class Aborted(Exception):
    """An interrupt, or SIGINT."""


class Turn:
    def __init__(self, mock, messages):
        self.mock = mock
        self.uuids = [message["uuid"] for message in messages]
        self.contents = [message["message"]["content"] for message in messages]
        self.prompt = "\n".join(text_of(content) for content in self.contents)
        self.directives = dict(DIRECTIVE.findall(self.prompt + of_phrases(self.prompt)))
        self.aborted = threading.Event()
        self.over = threading.Event()
        self.commands = []
        self.ending = []
        self.in_tool = False
        self.calls = 0
        self.denials = []

    def wants(self, name):
        return name in self.directives

    def pause(self, seconds):
        if self.aborted.wait(seconds):
            raise Aborted

    def abort(self):
        self.aborted.set()

    def withdraw(self):
        """An interrupt takes back what was asked."""
        for request_id in list(self.mock.pending):
            self.mock.pending.pop(request_id).put(None)
            self.mock.emit(type="control_cancel_request", request_id=request_id)

    def kill_commands(self):
        running = [process for process in self.commands if process.poll() is None]
        self.ending += map(tools.end_command, running)

    def wait_for_commands(self):
        for ending in self.ending:
            ending.join()

    def line(self, **fields):
        self.mock.line(**fields)

    def status(self, status):
        self.line(type="system", subtype="status", status=status)

    # -- the course

    def run(self):
        mock = self.mock
        for message_uuid in self.uuids:
            mock.lifecycle(message_uuid, "started")
        state = "completed"
        try:
            if self.prompt.startswith("/"):
                self.slash()
            else:
                self.init()
                self.side_effects()
                state = self.answer()
        except Aborted:
            state = "cancelled"
            self.finish_aborted()
        for message_uuid in self.uuids:
            mock.lifecycle(message_uuid, state)
        self.over.set()
        self.afterwards()

    def init(self):
        mock = self.mock
        named = {} if mock.is_old else {"user_message_uuids": self.uuids}
        self.line(
            type="system",
            subtype="init",
            cwd=os.getcwd(),
            model=mock.model,
            permissionMode=mock.mode,
            claude_code_version=mock.version,
            **named,
        )

    def slash(self):
        mock = self.mock
        if self.prompt == "/clear":
            if not mock.is_old:
                self.line(type="conversation_reset", new_conversation_id=str(uuid.uuid4()))
                self.line(type="system", subtype="background_tasks_changed", tasks=[])
                mock.total_cost = mock.cost_at_last_result = 0.0
            mock.session_id = str(uuid.uuid4())
            mock.sessions.add(mock.session_id)
            self.init()
            if mock.is_old:
                self.assistant([{"type": "text", "text": "(no content)"}])
            self.result("", num_turns=0)
        elif self.prompt == "/compact":
            self.status("compacting")
            self.status(None)
            self.init()
            self.line(type="system", subtype="compact_boundary")
            self.user("This session is being continued from a previous conversation.")
            self.user("<local-command-stdout>Compacted </local-command-stdout>")
            self.result("", num_turns=0)
        else:
            self.init()
            self.result(f"{self.prompt} isn't available in this environment", num_turns=0)

    def answer(self):
        """The state for the lifecycle line."""
        if self.wants("error"):
            return self.api_error(int(self.directives["error"] or 400))
        if self.wants("hang"):
            self.status("requesting")
            while True:
                self.pause(1)
        blocks = self.tool_calls()
        while blocks:
            if self.call_tools(blocks):
                return "completed"
            blocks = self.next_loop()
            if not blocks:
                self.say(self.directives.get("after", "done"))
                self.result(self.directives.get("after", "done"))
                return "completed"
        text = self.text()
        self.say(text)
        self.result(text)
        while self.wants("linger"):
            self.mock.lingers = True
            break
        return "completed"

    def tool_calls(self):
        if self.wants("calls"):
            return json.loads(base64.b64decode(self.directives["calls"]))
        if self.wants("tool"):
            name, _, rest = self.directives["tool"].partition(":")
            if name == "Bash":
                return [[name, {"command": rest, "description": "a command"}]]
            if name == "Write":
                path, _, content = rest.partition(":")
                return [[name, {"file_path": path, "content": content}]]
            return [[name, {"file_path": rest}]]
        return []

    def next_loop(self):
        if self.calls < int(self.directives.get("loop", 0)):
            return [["Bash", {"command": f"echo {self.calls}", "description": "loop"}]]
        return []

    def call_tools(self, blocks):
        """Call the tools; return True if that ended the turn."""
        most = mock_option("max-turns")
        if most and self.calls >= int(most):
            problem = f"Reached maximum number of turns ({most})"
            self.result(None, subtype="error_max_turns", is_error=True, errors=[problem])
            return True
        self.calls += 1
        self.charge()
        asked = self.stream(blocks)
        if self.over_budget():
            return True
        for block in asked:
            block["decision"] = self.decide(block)
        for block in asked:
            self.tool_result(block)
        return False

    def over_budget(self):
        budget = mock_option("max-budget-usd")
        if budget and self.mock.total_cost > float(budget):
            problem = f"Reached maximum budget (${budget})"
            self.result(None, subtype="error_max_budget_usd", is_error=True, errors=[problem])
            return True
        return False

    # -- what the model says

    def stream(self, blocks):
        """The lines of one answer with tool calls; a question follows its own call at once."""
        self.status("requesting")
        self.event(type="message_start")
        asked = []
        for name, tool_input in blocks:
            tool_use_id = f"toolu_{uuid.uuid4().hex[:8]}"
            self.event(type="content_block_start")
            self.event(type="content_block_delta", delta={"type": "input_json_delta"})
            use = {"type": "tool_use", "id": tool_use_id, "name": name, "input": tool_input}
            self.assistant([use])
            block = {"name": name, "input": tool_input, "id": tool_use_id, "question": None}
            if tools.is_denied(self.mock, name, tool_input):
                block["question"] = "denied"
                self.line(type="system", subtype="permission_denied", tool_name=name)
            elif tools.must_ask(self.mock, name, tool_input):
                block["question"] = self.ask_permission(block)
            asked.append(block)
            self.event(type="content_block_stop")
        self.event(type="message_delta")
        self.event(type="message_stop")
        return asked

    def ask_permission(self, block, agent_id=None):
        name, tool_input = block["name"], block["input"]
        request_id = str(uuid.uuid4())
        answer = queue.Queue()
        self.mock.pending[request_id] = answer
        request = {
            "subtype": "can_use_tool",
            "tool_name": name,
            "display_name": name,
            "input": tool_input,
            "description": tool_input.get("description"),
            "permission_suggestions": tools.suggestions(name, tool_input),
            "tool_use_id": block["id"],
        }
        if (path := tools.blocked_path(name, tool_input)) is not None:
            request["blocked_path"] = path
        if agent_id is not None:
            request["agent_id"] = agent_id
        self.mock.emit(type="control_request", request_id=request_id, request=request)
        return answer

    def decide(self, block):
        """The input that the tool runs with, or a text that says why it does not."""
        question = block["question"]
        if question is None:
            return block["input"]
        if question == "denied":
            return "Permission was denied."
        while True:
            try:
                answer = question.get(timeout=0.02)
                break
            except queue.Empty:
                if self.aborted.is_set():
                    raise Aborted from None
        if answer is None:
            self.aborted.wait(2)
            raise Aborted
        if answer["subtype"] == "error":
            return answer["error"]
        said = answer["response"]
        if said["behavior"] != "allow":
            self.denials.append({"tool_name": block["name"]})
            return said["message"]
        tools.remember(self.mock, said.get("updatedPermissions", []))
        if block["name"] == "ExitPlanMode" and self.mock.mode == "plan":
            self.mock.change_mode("default")
        return said["updatedInput"]

    def tool_result(self, block):
        decision = block["decision"]
        if isinstance(decision, str):
            self.user_block(block["id"], decision, is_error=True)
            return
        if block["name"] == "Bash":
            text = self.bash(decision, block)
        elif block["name"] == "Task":
            text = self.task(decision, block)
        else:
            text = tools.result_of(block["name"], decision)
        self.user_block(block["id"], text, is_error=False)

    def bash(self, tool_input, block):
        if "run_in_background" in tool_input and not may_work_in_background():
            return "An unexpected parameter `run_in_background` was provided"
        process = tools.start_command(tool_input["command"])
        if tool_input.get("run_in_background"):
            return start_background(self.mock, process, block["id"])
        self.commands.append(process)
        self.in_tool = True
        said = queue.Queue()
        reader = threading.Thread(target=lambda: said.put(process.stdout.read()), daemon=True)
        reader.start()
        while process.poll() is None:
            if self.aborted.wait(0.005):
                self.kill_commands()  # the result comes before they have ended
                raise Aborted
        self.in_tool = False
        # Somebody who was left behind may hold the pipe open.
        reader.join(0.05)
        text = "" if said.empty() else said.get().decode().strip()
        return text or "(Bash completed with no output)"

    def task(self, tool_input, block):
        """A subagent: in the background by default in 2.1.331, if it may."""
        default = not self.mock.is_old
        if not (tool_input.get("run_in_background", default) and may_work_in_background()):
            return "done"
        start_agent(self, tool_input, block["id"])
        return "Async agent launched successfully."

    def text(self):
        if self.wants("big"):
            return "x" * int(self.directives["big"])
        if self.wants("deltas"):
            number, _, size = self.directives["deltas"].partition(":")
            return "x" * (int(number) * int(size or 8))
        if self.wants("slow"):
            return "".join(f"word{n} " for n in range(int(self.directives["slow"].split(":")[0])))
        if self.wants("show"):
            mock = self.mock
            rules = {"allow": mock.allowed, "deny": mock.denied, "folders": mock.folders}
            shown = {
                "args": sys.argv[1:],
                "env": dict(os.environ),
                "cwd": os.getcwd(),
                "settings": {"model": mock.model, "mode": mock.mode, **rules},
                "content": self.contents[0],
            }
            return json.dumps(shown[self.directives["show"]])
        return self.directives.get("text", "ok")

    def say(self, text):
        self.charge()
        self.status("requesting")
        self.event(type="message_start")
        self.event(type="content_block_start")
        said = ""
        for piece in self.pieces(text):
            self.event(type="content_block_delta", delta={"type": "text_delta", "text": piece})
            said += piece
            if self.wants("slow"):
                try:
                    self.pause(float([*self.directives["slow"].split(":"), "0.1"][1]))
                except Aborted:
                    self.assistant([{"type": "text", "text": said}])
                    raise
        self.assistant([{"type": "text", "text": text}])
        self.event(type="content_block_stop")
        self.event(type="message_delta")
        self.event(type="message_stop")

    def pieces(self, text):
        if self.wants("deltas"):
            number, _, size = self.directives["deltas"].partition(":")
            return ["x" * int(size or 8)] * int(number)
        if self.wants("slow"):
            return [word + " " for word in text.split()]
        return [text[at : at + 4000] for at in range(0, len(text), 4000)] or [""]

    def charge(self):
        self.mock.total_cost += COST_OF_CALL

    def event(self, **event):
        if "--include-partial-messages" in sys.argv:
            self.line(type="stream_event", event=event, parent_tool_use_id=None)

    def assistant(self, content, **fields):
        message = {"id": "msg_1", "type": "message", "role": "assistant", "content": content}
        fields.setdefault("parent_tool_use_id", None)
        if not self.mock.is_old and fields["parent_tool_use_id"] is None:
            fields["user_message_uuids"] = self.uuids
        self.line(type="assistant", message=message, **fields)

    def user(self, content):
        message = {"role": "user", "content": content}
        self.line(type="user", message=message, parent_tool_use_id=None)

    def user_block(self, tool_use_id, text, *, is_error):
        self.user(
            [
                {
                    "type": "tool_result",
                    "tool_use_id": tool_use_id,
                    "content": text,
                    "is_error": is_error,
                }
            ]
        )

    # -- ends

    def result(self, text, **fields):
        mock = self.mock
        since = mock.total_cost - mock.cost_at_last_result
        mock.cost_at_last_result = mock.total_cost
        new = {}
        if not mock.is_old:
            new["model_usage_since_last_result"] = {mock.model: {"costUSD": since}}
            new["user_message_uuids"] = self.uuids
        # 2.1.331 does not write `type` first.
        facts = {
            "duration_api_ms": 1,
            "session_id": mock.session_id,
            "total_cost_usd": mock.total_cost,
            "is_error": False,
            "num_turns": 1 + self.calls,
            "terminal_reason": "completed",
            "subtype": "success",
            "permission_denials": self.denials,
            "type": "result",
            "uuid": str(uuid.uuid4()),
            **({} if text is None else {"result": text}),
            **new,
            **fields,
        }
        mock.last_was_error = facts["is_error"]
        mock.emit(**facts)

    def finish_aborted(self):
        in_tool = self.calls > 0
        if in_tool:
            self.user_block("toolu_1", "The tool use was rejected.", is_error=True)
        self.user([{"type": "text", "text": "[Request interrupted by user]"}])
        reason = "aborted_tools" if in_tool else "aborted_streaming"
        self.result(
            None,
            subtype="error_during_execution",
            is_error=True,
            num_turns=2,
            terminal_reason=reason,
            errors=["[ede_diagnostic] result_type=user"],
        )

    def api_error(self, status):
        self.status("requesting")
        for attempt in range(RETRIES.get(status, 0)):
            self.line(
                type="system",
                subtype="api_retry",
                attempt=attempt + 1,
                max_retries=10,
                retry_delay_ms=523,
                error_status=status,
                error="overloaded" if status == 529 else "unknown",
            )
            self.pause(0.05 if status == 529 else 2)
        text = f"API Error: {status}"
        self.assistant([{"type": "text", "text": text}])
        self.result(text, is_error=True, api_error_status=status)
        return "cancelled"

    def start_family(self, wanted):
        if "grandchild" in wanted:
            subprocess.Popen([sys.executable, "-c", SLEEPER], start_new_session=True)
        if "doublefork" in wanted:
            script = (
                f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEPER!r}])"
            )
            subprocess.run([sys.executable, "-c", script], start_new_session=True, check=True)
        if "latefork" in wanted and os.fork() == 0:
            fork_later(int(wanted["latefork"]) / 1000)
        if "naked" in wanted:
            child = subprocess.Popen(
                [sys.executable, "-c", SLEEPER], env={}, start_new_session=True
            )
            self.assistant([{"type": "text", "text": f"pid {child.pid}"}])

    def side_effects(self):
        wanted = self.directives
        if "stubborn" in wanted:
            self.mock.is_stubborn = True
        if "refuse" in wanted:
            self.mock.refused.add(wanted["refuse"])
        if "deaf" in wanted:
            os.kill(os.getpid(), signal.SIGSTOP)
        self.start_family(wanted)
        if "stderr" in wanted:
            sys.stderr.write(wanted["stderr"])
            sys.stderr.flush()
        if "touch" in wanted:
            with open(wanted["touch"], "w"):
                pass
        while "wait" in wanted and not os.path.exists(wanted["wait"]):
            self.pause(0.01)
        self.extra_lines(wanted)

    def extra_lines(self, wanted):
        for number in range(int(wanted.get("lines", 0))):
            self.assistant([{"type": "text", "text": f"line {number}"}])
            if "pace" in wanted:
                self.pause(float(wanted["pace"]))
        if "raw" in wanted:
            self.mock.write(base64.b64decode(wanted["raw"]))
        if "ask" in wanted:
            answer = self.mock.pending["r1"] = queue.Queue()
            self.mock.emit(type="control_request", request_id="r1", request={"subtype": "elicit"})
            wanted["text"] = json.dumps(answer.get(timeout=10))
        if "exit" in wanted:
            os._exit(int(wanted["exit"]))
        if "torn" in wanted:
            self.mock.write(wanted["torn"].encode())
            os._exit(1)

    def afterwards(self):
        if self.wants("dies"):
            time.sleep(float(self.directives["dies"]))
            os._exit(7)
        if self.wants("wakeup"):
            later(float(self.directives["wakeup"]), lambda: self.mock.start_own_turn(None))


def text_of(content):
    if isinstance(content, str):
        return content
    return "\n".join(block["text"] for block in content if block["type"] == "text")


def mock_option(name):
    found = [a.split("=", 1)[1] for a in sys.argv if a.startswith(f"--{name}=")]
    return found[-1] if found else None


def later(seconds, act):
    timer = threading.Timer(seconds, act)
    timer.daemon = True
    timer.start()


# -- work in the background


def may_work_in_background():
    return "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS" not in os.environ


def task_began(mock, task_id):
    if not mock.is_old:
        tasks = [{"task_id": task_id}]
        mock.line(type="system", subtype="background_tasks_changed", tasks=tasks)
    mock.line(type="system", subtype="task_started", task_id=task_id)


def task_ended(mock, task_id):
    """The news, and a turn of its own about it."""
    while mock.running is not None:
        time.sleep(0.005)
    mock.line(type="system", subtype="task_updated", task_id=task_id)
    mock.line(type="system", subtype="task_notification", task_id=task_id, status="completed")
    if not mock.is_old:
        mock.line(type="system", subtype="background_tasks_changed", tasks=[])
    mock.start_own_turn({"kind": "task-notification"})


def start_background(mock, process, tool_use_id):
    task_id = uuid.uuid4().hex[:8]
    mock.background.append(process)
    task_began(mock, task_id)

    def wait():
        process.stdout.read()
        process.wait()
        mock.background.remove(process)
        task_ended(mock, task_id)

    threading.Thread(target=wait, daemon=True).start()
    return f"Command running in background with ID: {task_id}."


def start_agent(turn, tool_input, tool_use_id):
    """An agent that calls what its prompt says, and asks for it."""
    mock, task_id = turn.mock, uuid.uuid4().hex[:8]
    task_began(mock, task_id)
    directives = dict(DIRECTIVE.findall(tool_input["prompt"]))
    name, called = json.loads(base64.b64decode(directives["calls"]))[0]
    block = {"name": name, "input": called, "id": "toolu_sub"}

    def work():
        use = {"type": "tool_use", **block}
        turn.assistant([use], parent_tool_use_id=tool_use_id, agent_id=task_id)
        mock.line(type="system", subtype="task_progress", task_id=task_id)
        answer = turn.ask_permission(block, agent_id=task_id).get()
        if answer is None:
            return
        message = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_sub"}]}
        mock.line(type="user", message=message, parent_tool_use_id=tool_use_id, agent_id=task_id)
        said = [{"type": "text", "text": "done"}]
        turn.assistant(said, parent_tool_use_id=tool_use_id, agent_id=task_id)
        task_ended(mock, task_id)

    later(0.05, work)


def own_turn(mock, origin, text):
    """A turn that the CLI begins by itself."""
    turn = Turn(mock, [])
    turn.uuids = []
    if origin is None and not mock.is_old:
        mock.line(type="command_lifecycle", command_uuid=str(uuid.uuid4()), state="started")
    mock.running = turn
    named, mock.is_old = mock.is_old, True  # no uuids of user lines in its lines
    try:
        turn.init()
        turn.say(text)
    finally:
        mock.is_old = named
    turn.result(text, **({} if origin is None else {"origin": origin}))
    mock.running = None
