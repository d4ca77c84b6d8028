"""`[git] paths`: whether HEAD has them, and whether the app's directory is among them."""

from collections.abc import Collection
from pathlib import PurePath

from blue_green.config.settings import SiteSettings
from blue_green.preflight.checks.finding import Findings, passed, warned

ABOUT = "[git] paths"


def paths(site: SiteSettings, tracked: Collection[str]) -> Findings:
    """`tracked` are the names of all files and directories in HEAD."""
    named, directory = site.git.paths, site.app.directory
    if not named:
        if directory != ".":
            yield passed(
                ABOUT,
                "not set: every commit is deployed, also one that changes nothing in "
                f'{directory}; with paths = ["{directory}"] such a commit is passed over',
            )
        return
    missing = [path for path in named if path != "." and path not in tracked]
    for path in missing:
        yield warned(
            ABOUT,
            f"HEAD has no {path}, so no commit changes it",
            "write it as `git ls-tree -r --name-only HEAD` does, without patterns; for a path in a "
            "submodule or behind a symbolic link, name the submodule or the link's target",
        )
    if directory != "." and not any(_covers(path, directory) for path in named):
        yield warned(
            ABOUT,
            f"none of them is in or above {directory}, the app's directory: no commit that changes "
            "only the app is deployed",
            f'add "{directory}"',
        )
    elif not missing:
        yield passed(ABOUT, f"only commits that change {', '.join(named)} are deployed")


def _covers(path: str, directory: str) -> bool:
    """Whether some part of the directory is at or below the path."""
    one, other = PurePath(path), PurePath(directory)
    return other.is_relative_to(one) or one.is_relative_to(other)
