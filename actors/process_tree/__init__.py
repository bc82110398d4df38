"""Which processes belong to an agent, and who ends them when the server cannot.

A room of its own, and one that imports nothing of ours: the guardian is a process beside every
server, and is to be small and quick to start (20 MB and a twentieth of a second, where the
executor's rooms are 60 and half a second).
"""
