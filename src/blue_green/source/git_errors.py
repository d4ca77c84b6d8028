"""Errors of git, and the messages of git and ssh in one line that says what to do.

git and ssh write for a person who has just typed a command. Our messages are read later, in a log
or in `status`, by a person who has to find out what to change on the machine.
"""

from collections.abc import Sequence

ADVICE = {
    "has changed and you have requested strict checking": (
        "if the new key is right: ssh-keygen -R HOST, then ssh-keyscan HOST >>~/.ssh/known_hosts"
    ),
    "Host key verification failed": (
        "as the checkout's owner, verify the remote's key and add it: "
        "ssh-keyscan HOST >>~/.ssh/known_hosts"
    ),
    "Permission denied (": (
        "give the checkout's owner an ssh key without a passphrase, and add it at the remote"
    ),
    "Authentication failed for": (
        "the remote asks for a password: set a credential.helper, or use ssh"
    ),
    "couldn't find remote ref": (
        "it was deleted or renamed there: git branch --set-upstream-to origin/ANOTHER"
    ),
    "index.lock': File exists": (
        "another git runs in the checkout, or was killed there: if none runs, delete that file"
    ),
}
"""What to do about a line with this text. The first match stands for the whole output."""


class GitError(Exception):
    """git failed; str() is its message, or how it ended if it wrote none."""


class NoAnswer(GitError):
    """git ended with a failure status and without a message, which may just mean "no"."""


class BadRevision(GitError):
    """The content of the revision cannot be checked out, now or later."""


def in_one_line(output: Sequence[str]) -> str:
    """The significant line of git's output, with what to do; all of it if none is known."""
    lines = [line.strip() for line in output if line.strip()]
    for known, advice in ADVICE.items():
        for line in lines:
            if known in line:
                return f"{line.rstrip('.')}: {advice}"
    return "; ".join(lines)


def took_too_long(command: str, seconds: float) -> str:
    """Say that a command was killed after so many seconds."""
    hint = ": does the remote answer? ([git] fetch_timeout)" if command == "fetch" else ""
    return f"took more than {seconds:g} s{hint}"
