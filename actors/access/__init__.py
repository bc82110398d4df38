"""Who is behind a connection, and what they may ask for.

`keyring.py` holds the keys of the file as it is now, `gate.py` is one connection's lock: it is shut
until a key has signed its challenge. `protocol/rights.py` decides what a key may do.
"""
