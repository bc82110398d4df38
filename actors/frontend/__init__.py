"""The front end: the only room that knows sockets, and no actor.

`listener.py` accepts and starts a thread for each connection, `places.py` says how many there may
be; `connection.py` is that thread: it reads, and only tells. `handshake.py` decides who comes in,
`conversation.py` is what is said then, `heartbeat.py` who is still there. `socket_transport.py` and
`tls_transport.py` are what an outbox sends through, `certificates.py` the server's own; `wire.py`
is RFC 6455 without a socket, `rate.py` limits on requests.
"""
