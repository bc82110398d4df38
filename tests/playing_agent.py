#!/usr/bin/env python3
"""Stand in for the CLI: print recorded lines for each prompt.

    CLAUDE_CMD="playing_agent.py LINES.json"

LINES.json maps a prompt to `{"lines": [...], "end": ...}`. After the lines the program waits for
the next prompt (null), exits with that code (a number), or does nothing more ("hang"). A prompt
that is not recorded gets an answer of its own words.
"""

import json
import sys
import time


def say(line):
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def words(prompt):
    session = {"session_id": "11111111-2222-4333-8444-555555555555"}
    content = [{"type": "text", "text": f"echo: {prompt}"}]
    return [
        {"type": "system", "subtype": "init", **session},
        {"type": "assistant", "message": {"role": "assistant", "content": content}, **session},
        {"type": "result", "subtype": "success", "is_error": False, "result": "", **session},
    ]


def main():
    if "--version" in sys.argv:
        print("9.9.9 (playing)")
        return
    with open(sys.argv[1], encoding="utf-8") as file:
        recorded = json.load(file)
    for text in sys.stdin:
        message = json.loads(text)
        if message.get("type") != "user":
            continue
        content = message["message"]["content"]
        prompt = content if isinstance(content, str) else content[0]["text"]
        turn = recorded.get(prompt) or {"lines": words(prompt), "end": None}
        for line in turn["lines"]:
            say(line)
        if turn["end"] == "hang":
            while True:
                time.sleep(60)
        if turn["end"] is not None:
            sys.exit(turn["end"])


if __name__ == "__main__":
    main()
