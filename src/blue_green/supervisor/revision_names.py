"""The branches and tags of a checkout, for the completion of `swap`."""

from typing import Any

from blue_green.control.server import Refusal, Send
from blue_green.site.site import Site
from blue_green.source.git_errors import GitError
from blue_green.supervisor.no_arguments import NoArguments

MOST = 100
TIMEOUT = 1.0
"""Seconds for git: somebody waits for a completion."""
KINDS = ("refs/heads", "refs/remotes", "refs/tags")


async def revision_names(site: Site, _: NoArguments, __: Send) -> dict[str, Any]:
    """The newest ones first."""
    count, name = f"--count={MOST}", "--format=%(refname:short)"
    try:
        found = await site.git.run(
            "for-each-ref", "--sort=-creatordate", count, name, *KINDS, timeout=TIMEOUT
        )
    except GitError as error:
        raise Refusal(str(error)) from None
    return {"names": found.splitlines()}
