#!/usr/bin/env python3
"""Start the hub for a fan-out run: hub.py CHECKOUT PORT SOCKET READY

This process becomes the hub, so that its pid is the hub's. A child makes project `bench` in a folder
of its own, starts an execution of line_agent.py on SOCKET, and creates the file READY. Needs
`websockets` in its own Python.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

from websockets.sync.client import connect

checkout, port, agent_socket, ready = sys.argv[1:5]
root = Path(tempfile.mkdtemp(prefix="fanout-"))
(root / "bench").mkdir()


def request(ws, kind, **payload):
    ws.send(json.dumps({"type": kind, "id": kind, "payload": payload}))
    while (answer := json.loads(ws.recv(timeout=20))).get("id") != kind:
        pass
    if answer["type"] == "error":
        raise SystemExit(f"{kind}: {answer['payload']}")
    return answer["payload"]


def prepare():
    for _ in range(600):
        try:
            ws = connect(f"ws://127.0.0.1:{port}/", max_size=None)
            break
        except OSError:
            time.sleep(0.1)
    else:
        raise SystemExit("the hub did not listen")
    with ws:
        request(ws, "project_create", path=str(root / "bench"), project_id="bench")
        request(ws, "execute", project_id="bench", prompt="forward")
    while not os.path.exists(agent_socket):
        time.sleep(0.02)
    Path(ready).touch()


if os.fork() == 0:
    prepare()
    os._exit(0)
agent = Path(__file__).resolve().with_name("line_agent.py")
os.environ.update(
    WS_PORT=port,
    DATA_DIR=str(root / "data"),
    PROJECT_ROOTS=str(root),
    CLAUDE_CMD=f"{sys.executable} {agent} {agent_socket}",
    MAX_CONN="20000",
    EXEC_TIMEOUT="10m",
    RATE_LIMIT="100000",
    LOG_LEVEL="warning",
    **json.loads(os.environ.pop("HUB_ENV", "{}")),
)
os.execv(f"{checkout}/bin/claudehub", [f"{checkout}/bin/claudehub", "serve"])
