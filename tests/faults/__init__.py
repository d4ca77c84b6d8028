"""What goes wrong, one thing at a time and in pairs, while a steady load passes.

Each case brings a swap to a phase where it stands still, lets one or two faults happen, takes
away what held it up, and waits until the site has settled. Then one assertion holds for all:

- No request is lost, doubled or mixed up. Each has an id of its own, and the app writes down what
  it gets: what was answered 2xx is there exactly once, with its own echo; a POST is never there
  twice; a GET only if the backend that had it first died.
- Each answer that is not 2xx is one that the design names for these faults.
- No process, work tree, release, descriptor or file is left, the memory is what it was, and what
  is remembered is what is live.

    python -m tests.faults [--pairs] [--only TEXT] [--seed N]
    pytest tests/faults                 # each fault once, in the default run
    pytest -m long tests/faults         # all phases, and the pairs
"""
