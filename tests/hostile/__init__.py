"""Attacks on a real site, while polite clients use it: do the others notice?

Each kind of attack gets a site of its own and three processes: the supervisor with its app, the
polite clients, whose answers are timed, and the attacker, at a lower priority, so that what slows
the polite ones down is the supervisor and not the load of the machine.

    python -m tests.hostile [--only TEXT] [--seconds N]

prints for each kind the median and the 99th percentile of the polite clients' waits, quiet and
under attack, and the memory of the supervisor before, during and after. It exits with 1 if a bound
is missed, or if a polite client got anything but its answer. It needs a machine that does little
else. Everything happens on loopback, and ends after the given seconds.

A new kind is a function in `attacks/` and a line in `table.py`.
"""
