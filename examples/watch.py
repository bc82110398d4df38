#!/usr/bin/env python3
"""Join a project and print every message: examples/watch.py PROJECT [PROMPT]

Needs `websockets`. CLAUDEHUB_URL names the hub, by default ws://127.0.0.1:8080.
"""

import json
import os
import sys

from websockets.sync.client import connect


def main() -> None:
    project_id, *prompt = sys.argv[1:]
    url = os.environ.get("CLAUDEHUB_URL", "ws://127.0.0.1:8080")
    with connect(url, max_size=None, proxy=None) as hub:

        def send(kind: str, **payload: object) -> None:
            hub.send(json.dumps({"type": kind, "payload": payload}))

        send("project_join", project_id=project_id, last=10)
        if prompt:
            send("execute", project_id=project_id, prompt=" ".join(prompt))
        for message in hub:
            print(message, flush=True)


if __name__ == "__main__":
    main()
