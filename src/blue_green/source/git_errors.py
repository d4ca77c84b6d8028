"""What git and ssh complain of, as one line that says what to do.

They are written for somebody who has just typed a command. We are read much later, in a log or in
`status`, by somebody who has to find out what the machine needs.
"""

from collections.abc import Sequence

NOBODY = "nobody is here to type it in"
ADVICE = {
    "has changed and you have requested strict checking": (
        "if it is meant to be another one: ssh-keygen -R HOST, then ssh-keyscan HOST "
        ">>~/.ssh/known_hosts"
    ),
    "Host key verification failed": (
        "as the checkout's owner, check the remote's key and note it: "
        "ssh-keyscan HOST >>~/.ssh/known_hosts"
    ),
    "Permission denied (": (
        "give the checkout's owner an ssh key without a passphrase, and make it known to the remote"
    ),
    "Authentication failed for": (
        f"the remote asks for a password, and {NOBODY}: set a credential.helper, or use ssh"
    ),
    "couldn't find remote ref": (
        "it was deleted or renamed there: git branch --set-upstream-to origin/ANOTHER"
    ),
}
"""What to do about a line that has this in it. The first that fits stands for the whole output."""


def in_one_line(output: Sequence[str]) -> str:
    """The line that tells, with what to do; of output that we do not know, all of it."""
    lines = [line.strip() for line in output if line.strip()]
    for known, advice in ADVICE.items():
        for line in lines:
            if known in line:
                return f"{line.rstrip('.')}: {advice}"
    return "; ".join(lines)


def took_too_long(command: str, seconds: float) -> str:
    """What to say of a command that was ended after so many seconds."""
    hint = ": does the remote answer? ([git] fetch_timeout)" if command == "fetch" else ""
    return f"took more than {seconds:g} s{hint}"
