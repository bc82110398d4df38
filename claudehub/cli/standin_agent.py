#!/usr/bin/env python3
"""A stand-in for the Claude Code CLI in `claudehub demo`: it follows a script and uses no model.

It reads one prompt as a stream-json line and writes lines with the shapes of the CLI's. The text is
fixed. Standard library only.
"""

import json
import sys
import time
import uuid

SCRIPT = (
    "This is the stand-in agent: a script, no model behind it.",
    "It speaks the same lines as the Claude Code CLI,",
    "so what you see here, the numbers, the log, the two clients,",
    "the kill and the restart, is what happens with the real one.",
)
PAUSE_S = 0.03
VERSION = "0.0.0 (claudehub stand-in agent)"


class Turn:
    """One answer to a prompt."""

    def __init__(self, session_id: str) -> None:
        self._session_id = session_id

    def emit(self, **fields: object) -> None:
        line = {**fields, "session_id": self._session_id, "uuid": str(uuid.uuid4())}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()

    def event(self, **event: object) -> None:
        self.emit(type="stream_event", event=event, parent_tool_use_id=None)

    def say(self, text: str) -> None:
        message_id = f"msg_{uuid.uuid4().hex}"
        self.event(type="message_start", message={"id": message_id, "role": "assistant"})
        first, *rest = text.split(" ")
        for piece in (first, *(f" {word}" for word in rest)):
            self.event(
                type="content_block_delta", index=0, delta={"type": "text_delta", "text": piece}
            )
            time.sleep(PAUSE_S)
        self.event(type="message_stop")
        self.message("assistant", [{"type": "text", "text": text}], message_id)

    def message(self, role: str, content: list[object], message_id: str | None = None) -> None:
        message = {"id": message_id, "type": "message", "role": role, "content": content}
        self.emit(type=role, message=message, parent_tool_use_id=None)

    def use_tool(self, command: str, output: str) -> None:
        tool_id = f"toolu_{uuid.uuid4().hex}"
        call = {"type": "tool_use", "id": tool_id, "name": "Bash", "input": {"command": command}}
        self.message("assistant", [call])
        time.sleep(5 * PAUSE_S)
        self.message("user", [{"type": "tool_result", "tool_use_id": tool_id, "content": output}])


def answer(prompt: str, session_id: str) -> None:
    turn = Turn(session_id)
    turn.emit(
        type="system", subtype="init", model="stand-in", tools=["Bash"], claude_code_version=VERSION
    )
    turn.say(f"You asked: {prompt}")
    turn.use_tool("echo hello", "hello")
    for sentence in SCRIPT:
        turn.say(sentence)
    turn.emit(
        type="result",
        subtype="success",
        is_error=False,
        duration_ms=1,
        num_turns=2,
        result=SCRIPT[-1],
        total_cost_usd=0.0,
        permission_denials=[],
    )


def main() -> None:
    if "--version" in sys.argv:
        sys.stdout.write(VERSION + "\n")
        return
    resumed = [a.removeprefix("--resume=") for a in sys.argv if a.startswith("--resume=")]
    session_id = resumed[0] if resumed else str(uuid.uuid4())
    for line in sys.stdin:
        message = json.loads(line)
        if message["type"] == "user":
            answer(message["message"]["content"], session_id)
        elif message["type"] == "control_request":
            response = {"subtype": "success", "request_id": message["request_id"]}
            sys.stdout.write(json.dumps({"type": "control_response", "response": response}) + "\n")
            sys.stdout.flush()
            if message["request"]["subtype"] == "end_session":
                return


if __name__ == "__main__":
    main()
