"""Files that change: a project's folder (`project_files.py`), and files that are read again
(`reloader.py`, `stamps.py`)."""
