"""The feed: one project's stream of updates, its log, and the maintenance of logs.

`feed.py` gathers, writes, acknowledges and broadcasts; `batches.py` holds what waits;
`project_log.py` keeps the log and the metadata in step; `open_records.py` knows what has begun and
has no durable end. `maintenance.py` does for one log what `rotator.py` (with `compression.py`) asks
of all of them.
"""
