"""Which processes belong to an agent, and who ends them when the server cannot.

This room imports nothing of ours. The guardian is a process beside every server, and must be small
and start quickly: 20 MB and a twentieth of a second, where the executor's rooms need 60 MB and half
a second.
"""
