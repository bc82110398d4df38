"""The audit log: `trail.py` takes entries from any thread, `auditor.py` writes them."""
