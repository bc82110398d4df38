"""`claudehub doctor`: is everything here that a hub needs? `examination.py` runs the checks. The
other modules hold them, by what they look at. They change nothing but a file that times a sync."""
