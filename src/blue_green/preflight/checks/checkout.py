"""The checkout: its owner and state, its branch, and the remote that it follows."""

import os
from collections.abc import Collection

from blue_green.preflight.checks.context import CheckContext
from blue_green.preflight.checks.finding import Finding, Tell, failed, passed, warned
from blue_green.source.git import GitError
from blue_green.system import users


async def checkout(subject: CheckContext, tell: Tell) -> Collection[str] | None:
    """Look at it; the names of all that HEAD has, or None if it cannot be used."""
    git, about = subject.git, "[git] checkout"
    try:
        places = await git.places()
        head = await git.head()
        tracked = await git.names(head)
        changed = await git.changed()
        is_top = await git.is_top()
    except (GitError, OSError) as error:
        tell(failed(about, f"{git.checkout} cannot be used: {error}"))
        return None
    if not is_top:
        tell(failed(about, f"{git.checkout} is inside of a work tree", "name the top of it"))
        return None
    tell(passed(about, f"{git.checkout} has {head[:7]} checked out, as {git.owner.name} sees it"))
    if changed and not subject.settings.release.in_place:
        tell(
            warned(
                about,
                f"{changed} files are changed and not committed: no release has these changes",
                "git commit, or git stash",
            )
        )
    if not users.may(git.owner, places.common_dir, os.W_OK | os.X_OK):
        tell(
            failed(
                about,
                f"{git.owner.name} cannot write to {places.common_dir}, where git keeps the work "
                "trees of releases",
                "run this as the checkout's owner",
            )
        )
    tell(await _branch(subject))
    return tracked


async def _branch(subject: CheckContext) -> Finding:
    """What is pulled, if anything is; else whether there is a branch for it."""
    git, settings = subject.git, subject.settings.git
    about = "[git] pull_every" if settings.pull_every is not None else "[webhook]"
    if settings.pull_every is None and subject.settings.webhook.secret_file is None:
        return passed("[git] pull_every", "it is not set: what somebody checks out is deployed")
    try:
        upstream = await git.upstream(settings.branch)
    except GitError as error:
        return failed("[git] branch", str(error))
    theirs = f"{upstream.source.removeprefix('refs/heads/')} of {upstream.remote}"
    try:
        await git.reach(upstream)
    except GitError as error:
        return failed(
            about,
            f"{theirs} cannot be reached as {git.owner.name}: {error}",
            "nobody can be asked for a password: use a key or a token of this user, whose "
            "known_hosts has the host",
        )
    return passed(about, f"{upstream.branch} follows {theirs}, which can be reached")
