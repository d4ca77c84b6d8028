"""A number that all descendants of a command inherit, whatever they do to hide.

A daemon leaves its process group and its session, and the variables of its environment are gone
after `env -i`, or overwritten by a program that shows a title there, such as nginx. Its resource
limits stay: fork(2) and execve(2) pass them on, also to another user. The limit RLIMIT_LOCKS has
had no effect since Linux 2.4.25 (getrlimit(2)), so its soft limit is free to carry a number, which
/proc/PID/limits shows to everybody.

It tells more than the other means do. Orphans come to a child subreaper without saying of which
command they are, and are lost to it when it is killed. A control group needs to be delegated.

A tag is 63 bits: a leading one, 32 bits that stand for the supervisor, 30 for the command.
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
    """A tag for another command of this owner, which is named by its state directory."""
    return prefix(owner) << COMMAND_BITS | secrets.randbits(COMMAND_BITS)


def prefix(owner: str) -> int:
    """What the tags of all of an owner's commands begin with."""
    digest = hashlib.sha256(owner.encode(errors="surrogateescape")).digest()
    return 1 << OWNER_BITS | int.from_bytes(digest[: OWNER_BITS // 8])


def prefix_of(tag: int) -> int:
    """The owner's part of a tag."""
    return tag >> COMMAND_BITS


def parse(value: str) -> int:
    """The tag that is written here in hexadecimal; -1, which nothing has, if this is no tag.

    What an older program handed over to us was not tagged.
    """
    with suppress(ValueError):
        number = int(value, 16)
        return number if LEADING <= number < 2 * LEADING else -1
    return -1


@contextmanager
def inherited(tag: int) -> Iterator[None]:
    """Processes that are started in the block have this tag, if the hard limit allows it.

    It is set before they exist, so that not even one that forks at once escapes. So we have it as
    well for that moment: whoever looks from another process must know us.
    """
    before = resource.getrlimit(RLIMIT_LOCKS)
    with suppress(ValueError, OSError):
        resource.setrlimit(RLIMIT_LOCKS, (tag, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(RLIMIT_LOCKS, before)


def obstacle() -> str:
    """Why processes cannot be tagged here, and what to do; nothing if they can."""
    _, most = resource.getrlimit(RLIMIT_LOCKS)
    if most == resource.RLIM_INFINITY or most >= 2 * LEADING - 1:
        return ""
    return (
        f"the hard limit RLIMIT_LOCKS is {most} here: a process of the app that leaves its process "
        "group and clears its environment will not be found when its slot ends; set "
        "LimitLOCKS=infinity in the unit, or ulimit -H -x unlimited"
    )
