"""What can be known before the first deploy, each thing with what to do about it.

A check asks the code that does the thing itself when the supervisor runs, so that the two cannot
disagree, and changes nothing: not the state directory, and nothing of a supervisor that runs.
"""
