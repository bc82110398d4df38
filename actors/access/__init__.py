"""Who is behind a connection, and what they may ask for.

`peer.py` is where a connection comes from, `keyring.py` the file of keys as it is now, `gate.py`
one connection's lock: shut until a key has signed its challenge. What a key may do is decided in
protocol/rights.py.
"""
