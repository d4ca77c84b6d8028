"""The documents hold what they say: the settings are those of the code, and commands do run.

`python -m tests.docs` writes `docs/settings.md` anew.
"""
