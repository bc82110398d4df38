"""The front end: the only room that knows sockets. It knows one actor, the Client of a connection.

`listener.py` accepts, and starts a thread for each connection; `connection.py` is that thread: it
reads, and only tells. `handshake.py` decides who may connect, `conversation.py` turns messages into
requests, `heartbeat.py` notices a peer that is gone. `socket_transport.py` and `tls_transport.py`
send for an outbox, `certificates.py` loads the server's certificate, and `wire.py` is RFC 6455
without a socket.
"""
