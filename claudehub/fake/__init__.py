"""The parts of the fake hub in `claudehub.testing`. `core.py` has the projects and the clients,
`requests.py` answers, `project.py` runs the scripts of `script.py`, and `log.py` keeps updates."""
