"""Whether two revisions differ at or below some paths."""

from collections.abc import Sequence

from blue_green.source.git import Git
from blue_green.source.git_errors import NoAnswer

LITERAL = {"GIT_LITERAL_PATHSPECS": "1"}
"""Variables with which git takes `*`, `?`, `[` and a leading `:` in paths as they are."""
TIMEOUT = 30.0
"""Seconds. Only trees are read, and only those that differ."""


async def differ(git: Git, before: str, after: str, paths: Sequence[str]) -> bool:
    """Whether something at or below these paths differs; raise `GitError` if git cannot say.

    Content, modes, and the commits of submodules count, also of those that a setting lets git
    ignore.
    """
    words = ("diff-tree", "-r", "--quiet", "--no-ext-diff", "--no-renames")
    trees = ("--ignore-submodules=none", before, after, "--")
    try:
        await git.run(*words, *trees, *paths, timeout=TIMEOUT, env=LITERAL)
    except NoAnswer:
        return True
    return False
