#!/usr/bin/env python3
"""Stand in for the CLI in fan-out runs: print what a load client writes to a Unix socket.

    CLAUDE_CMD="line_agent.py /path/of/socket"

On the first user line (stream-json) it prints system/init, listens on the socket, and copies whole
lines unchanged from there to standard output. It prints the result when the load client hangs up.
`fanload --pub-unix` so measures the whole path of a line: pipe, hub, log, every subscriber.
"""

import json
import os
import socket
import sys


def emit(**fields):
    os.write(
        1,
        json.dumps({**fields, "session_id": "00000000-0000-4000-8000-000000000000"}).encode()
        + b"\n",
    )


def write_all(data):
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


def forward(path):
    with socket.socket(socket.AF_UNIX) as listener:
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        listener.bind(path)
        listener.listen(1)
        peer, _ = listener.accept()
        with peer:
            while data := peer.recv(1 << 16):
                write_all(data)


def turn():
    emit(
        type="system",
        subtype="init",
        cwd=os.getcwd(),
        tools=[],
        model="line-agent",
        permissionMode="default",
    )
    forward(sys.argv[1])
    emit(
        type="result",
        subtype="success",
        is_error=False,
        duration_ms=1,
        num_turns=1,
        result="ok",
        total_cost_usd=0,
        permission_denials=[],
    )


def main():
    if "--version" in sys.argv:
        print("0.0.0 (line agent)")
        return
    for line in sys.stdin:
        message = json.loads(line)
        if message["type"] == "user":
            turn()
        elif message["type"] == "control_request":
            emit(
                type="control_response",
                response={
                    "subtype": "success",
                    "request_id": message["request_id"],
                    "response": {},
                },
            )


main()
