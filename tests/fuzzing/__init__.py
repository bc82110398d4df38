"""Everything that is read from outside, given what nobody would write: `python -m tests.fuzzing`.

A target takes bytes and raises nothing but what its caller expects; whatever else it raises is a
finding, and becomes a case of `found.py`, which every run of the tests replays.
"""
