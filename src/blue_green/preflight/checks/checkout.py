"""The checkout: its owner, its state, its branch and its remote."""

import os
from collections.abc import Collection

from blue_green.preflight.checks.context import CheckContext
from blue_green.preflight.checks.finding import Finding, Report, failed, passed, warned
from blue_green.source.git_errors import GitError
from blue_green.system import users
from blue_green.system.printable import counted


async def checkout(context: CheckContext, report: Report) -> Collection[str] | None:
    """Check it; return the names of all files in HEAD, or None if it cannot be used."""
    git, about = context.git, "[git] checkout"
    try:
        places = await git.paths()
        head = await git.head()
        tracked = await git.names(head)
        changed = await git.changed()
        is_top = await git.is_top()
    except (GitError, OSError) as error:
        report(failed(about, f"{git.checkout} cannot be used: {error}"))
        return None
    if not is_top:
        report(
            failed(
                about, f"{git.checkout} is a subdirectory of a work tree", "name its top directory"
            )
        )
        return None
    report(passed(about, f"{git.checkout} is at {head[:7]}, and {git.owner.name} can read it"))
    if changed and not context.site.release.in_place:
        report(
            warned(
                about,
                f"uncommitted changes in {counted(changed, 'file')}: releases do not have them",
                "git commit, or git stash",
            )
        )
    if not users.may(git.owner, places.common_dir, os.W_OK | os.X_OK):
        report(
            failed(
                about,
                f"{git.owner.name} cannot write to {places.common_dir}, where git registers the "
                "work trees of releases",
                "run this check as the owner of the checkout",
            )
        )
    report(await _branch(context))
    return tracked


async def _branch(context: CheckContext) -> Finding:
    """Check the upstream branch and that its remote can be reached, if commits are pulled."""
    git, settings = context.git, context.site.git
    about = "[git] pull_every" if settings.pull_every is not None else "[webhook]"
    if settings.pull_every is None and context.site.webhook.secret_file is None:
        return passed(
            "[git] pull_every", "not set: only commits checked out by others are deployed"
        )
    try:
        upstream = await git.upstream(settings.branch)
    except GitError as error:
        return failed("[git] branch", str(error))
    remote_branch = f"{upstream.source.removeprefix('refs/heads/')} of {upstream.remote}"
    try:
        await git.reach(upstream)
    except GitError as error:
        return failed(
            about,
            f"{git.owner.name} cannot reach {remote_branch}: {error}",
            "git cannot ask for a password here: give this user a key or a token, and add the "
            "host to their known_hosts",
        )
    return passed(about, f"{upstream.branch} follows {remote_branch}, which can be reached")
