"""Upper limit in Python: picows (Cython) on uvloop, one loop."""

import json
import sys

import uvloop
from picows import WSListener, WSMsgType, ws_create_server

subs = set()
seq = 0


class L(WSListener):
    def on_ws_connected(self, transport):
        self.t = transport

    def on_ws_disconnected(self, transport):
        subs.discard(transport)

    def on_ws_frame(self, transport, frame):
        global seq
        if frame.msg_type == WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
            return
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
            return
        m = json.loads(frame.get_payload_as_bytes())
        if m["type"] == "join":
            subs.add(transport)
            transport.send(WSMsgType.TEXT, b'{"type":"joined"}')
            return
        seq += 1
        out = json.dumps({"type": "message", "seq": seq, "data": m["data"]}).encode()
        for t in subs:
            t.send(WSMsgType.TEXT, out)


async def main():
    s = await ws_create_server(lambda r: L(), "127.0.0.1", int(sys.argv[1]), backlog=1024)
    await s.serve_forever()


uvloop.run(main())
