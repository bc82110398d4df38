#!/usr/bin/env python3
"""An agent for measurements: speak as much stream-json as the hub needs, and write lines.

The prompt `burst COUNT SIZE` asks for COUNT lines of SIZE bytes at once. `ticks COUNT PAUSE` asks
for COUNT lines, PAUSE seconds apart, each with its monotonic time in nanoseconds.
"""

import json
import os
import sys
import time


def write(data):
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


def emit(**fields):
    write(json.dumps(fields).encode() + b"\n")


def burst(count, size):
    head = b'{"type":"assistant","text":"'
    line = head + b"x" * (size - len(head) - 3) + b'"}\n'
    batch = line * 64
    for _ in range(count // 64):
        write(batch)


def ticks(count, pause_s):
    for _ in range(count):
        time.sleep(pause_s)
        emit(type="tick", at=time.monotonic_ns())


def main():
    if "--version" in sys.argv or "--help" in sys.argv:
        print("0 (bench)")
        return
    for text in sys.stdin:
        message = json.loads(text)
        if message["type"] == "user":
            emit(type="system", subtype="init", session_id="bench")
            kind, count, value = message["message"]["content"].split()
            if kind == "burst":
                burst(int(count), int(value))
            else:
                ticks(int(count), float(value))
            emit(type="result", is_error=False, num_turns=1, result="done", session_id="bench")
        elif message["type"] == "control_request":
            response = {"subtype": "success", "request_id": message["request_id"]}
            emit(type="control_response", response=response)
            if message["request"]["subtype"] == "end_session":
                return


if __name__ == "__main__":
    main()
