"""The rows of bench/agent.py in `turns.py` and `lines.py`, and in `clients.py` what drives a
hub."""
