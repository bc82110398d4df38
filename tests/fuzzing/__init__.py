"""Fuzzing of everything that the hub reads from outside: `python -m tests.fuzzing`.

A target takes bytes and raises only what its caller expects. Anything else is a finding, and
becomes a case of `found.py`, which every test run replays.
"""
