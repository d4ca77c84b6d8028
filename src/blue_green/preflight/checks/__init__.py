"""Checks before the first deploy, each with advice on how to fix what it finds.

A check calls the code that the supervisor itself runs, so that the two cannot disagree. It changes
nothing: neither the state directory nor anything that belongs to a running supervisor.
"""
