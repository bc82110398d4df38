"""Version 0: the flat protocol of the server from which this one's design came, spoken on `/ws`.

`requests.py` reads its requests as ours, `replies.py` makes its answers of ours, `updates.py` makes
its frames of our updates, `shapes.py` has the objects that all of them share, and `dialect.py` is
the dialect. All of it is pure. docs/version-0.md says what its clients can rely on.
"""
