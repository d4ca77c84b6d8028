"""The proxy: knows the gate and addresses, nothing of git, swaps or processes.

One request: `server` reads a head, `heads` judges it and writes it anew for the other side,
`gate.acquire()` gives a lease, `upstream` dials or reuses a connection, `relay` moves the bodies,
and the lease ends.

What goes on, in either direction, is framed by us: a head that we wrote from judged fields, and
a body whose end we know. So the two sides can never disagree about where a message ends.
"""
