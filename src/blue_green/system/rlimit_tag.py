"""A tag in a resource limit, which all descendants of a command inherit.

A daemon leaves its process group and its session. Its environment is lost with `env -i`, or when a
program such as nginx overwrites it with its title. Its resource limits stay: fork(2) and execve(2)
pass them on, even to another user. The limit RLIMIT_LOCKS has had no effect since Linux 2.4.25
(getrlimit(2)), so its soft limit can carry a number, which /proc/PID/limits shows to all users.

Other means are weaker. A child subreaper gets orphans, but not the command that they belong to, and
loses them when it is killed. A control group has to be delegated.

A tag has 63 bits: a leading one, 32 bits for the supervisor, and 30 for the command.
"""

import hashlib
import resource
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress

RLIMIT_LOCKS = 10
"""Python has no name for it (asm-generic/resource.h)."""
COMMAND_BITS = 30
OWNER_BITS = 32
LEADING = 1 << (OWNER_BITS + COMMAND_BITS)


def new(owner: str) -> int:
    """A new tag for a command of this owner: a supervisor, by its state directory."""
    return prefix(owner) << COMMAND_BITS | secrets.randbits(COMMAND_BITS)


def prefix(owner: str) -> int:
    """The leading bits of all tags of an owner."""
    digest = hashlib.sha256(owner.encode(errors="surrogateescape")).digest()
    return 1 << OWNER_BITS | int.from_bytes(digest[: OWNER_BITS // 8])


def prefix_of(tag: int) -> int:
    """The owner's bits of a tag."""
    return tag >> COMMAND_BITS


def parse(value: str) -> int:
    """Parse a tag in hexadecimal; -1, which no process has, if it is not a tag.

    Processes that an older version handed over have no tag.
    """
    with suppress(ValueError):
        number = int(value, 16)
        return number if LEADING <= number < 2 * LEADING else -1
    return -1


@contextmanager
def inherited(tag: int) -> Iterator[None]:
    """Processes that are started in the block have this tag, if the hard limit allows it.

    It is set before they exist, so that even one that forks at once has it. For that moment we have
    it ourselves, so other processes that search for the tag must leave us out.
    """
    before = resource.getrlimit(RLIMIT_LOCKS)
    with suppress(ValueError, OSError):
        resource.setrlimit(RLIMIT_LOCKS, (tag, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(RLIMIT_LOCKS, before)


def obstacle() -> str:
    """Why processes cannot be tagged here, and what to do; "" if they can."""
    _, most = resource.getrlimit(RLIMIT_LOCKS)
    if most == resource.RLIM_INFINITY or most >= 2 * LEADING - 1:
        return ""
    return (
        f"the hard limit RLIMIT_LOCKS is {most}: a process of the app that leaves its process "
        "group and clears its environment will not be found when its slot ends; set "
        "LimitLOCKS=infinity in the unit, or ulimit -H -x unlimited"
    )
