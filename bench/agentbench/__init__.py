"""The rows of bench/agent.py: `turns.py` and `lines.py`; `clients.py` what drives a hub."""
