"""The front end: the only room that knows sockets, and no actor.

`listener.py` accepts and starts a thread for each connection; `handshake.py` decides who comes in;
`connection.py` is that thread: it reads, and only tells. `socket_transport.py` is what an outbox
sends through, `wire.py` is RFC 6455 without a socket, `rate.py` the limit on requests.
"""
