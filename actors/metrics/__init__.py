"""What the hub counts, for Prometheus: the metrics, who counts them, and their text.

`catalogue.py` names all metrics. `meter.py` counts: each actor in a Tally of its own, without a
lock. `client_counts.py` and `project_counts.py` say what a connection and a project count.
`exposition.py` makes the text, and alone imports prometheus_client: only a hub with METRICS_PORT
loads it. The page itself is served by actors/frontend/status_listener.py.
"""
