"""Peer: websockets.sync.server (threads), one send() per subscriber from the publisher's thread."""

import json
import sys
import threading

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

subs = set()
lock = threading.Lock()
seq = 0


def handler(ws):
    global seq
    try:
        for text in ws:
            m = json.loads(text)
            if m["type"] == "join":
                with lock:
                    subs.add(ws)
                ws.send('{"type":"joined"}')
                continue
            with lock:
                seq += 1
                out = json.dumps({"type": "message", "seq": seq, "data": m["data"]})
                for c in list(subs):
                    try:
                        c.send(out)
                    except ConnectionClosed:
                        subs.discard(c)
    except ConnectionClosed:
        pass
    finally:
        with lock:
            subs.discard(ws)


with serve(
    handler, "127.0.0.1", int(sys.argv[1]), compression="deflate", backlog=1024, ping_interval=None
) as s:
    s.serve_forever()
