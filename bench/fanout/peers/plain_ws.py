"""Peer: websocket-server 0.6.4 unchanged, send_message_to_all (one thread per connection)."""

import json
import sys
import threading

from websocket_server import WebsocketServer


class Server(WebsocketServer):
    request_queue_size = 1024  # its own 5 drops bursts of connects


def main():
    server = Server(host="127.0.0.1", port=int(sys.argv[1]))
    lock = threading.Lock()
    seq = 0

    def on_message(client, srv, text):
        nonlocal seq
        m = json.loads(text)
        if m["type"] == "join":
            srv.send_message(client, '{"type":"joined"}')
            return
        with lock:
            seq += 1
            srv.send_message_to_all(json.dumps({"type": "message", "seq": seq, "data": m["data"]}))

    server.set_fn_message_received(on_message)
    server.run_forever()


main()
