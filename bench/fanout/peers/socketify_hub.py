"""Upper limit: socketify (uWebSockets, C++), topic publish."""

import json
import sys

from socketify import App, CompressOptions, OpCode

seq = 0
app = App()


def on_message(ws, message, opcode):
    global seq
    m = json.loads(message)
    if m["type"] == "join":
        ws.subscribe("hub")
        ws.send('{"type":"joined"}', OpCode.TEXT)
        return
    seq += 1
    app.publish("hub", json.dumps({"type": "message", "seq": seq, "data": m["data"]}), OpCode.TEXT)


app.ws(
    "/*",
    {
        "compression": CompressOptions.SHARED_COMPRESSOR
        if "deflate" in sys.argv
        else CompressOptions.DISABLED,
        "max_payload_length": 16 * 1024 * 1024,
        "idle_timeout": 960,
        "message": on_message,
    },
)
app.listen(int(sys.argv[1]))
app.run()
