"""Starting and stopping: `main.py` is the list of what starts and, mirrored, what stops;
`wiring.py` turns the configuration into the settings of each room."""
