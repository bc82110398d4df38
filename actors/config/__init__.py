"""The configuration: `settings.py` its fields, `values.py` how they are written, `precedence.py`
which source wins, `sources.py` how it is read and what is wrong with it."""
