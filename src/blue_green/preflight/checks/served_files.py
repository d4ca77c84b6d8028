"""`[files]`: whether releases have the directories and pages that it names."""

from collections.abc import Collection
from pathlib import PurePath

from blue_green.config.hosts import ANY_PATH
from blue_green.config.settings import SiteSettings
from blue_green.preflight.checks.context import CheckContext
from blue_green.preflight.checks.finding import Finding, Findings, failed, passed, warned

ABOUT = "[files]"
INDEX = "index.html"


def served_files(context: CheckContext, tracked: Collection[str]) -> Findings:
    """Check that each directory and page is in git, or linked, or that there is a build."""
    files = context.site.files
    for prefix, directory in files.directories.items():
        yield _source_of(directory, f'{ABOUT} "{prefix}"', context, tracked)
    for key, page in (("not_found", files.not_found), ("fallback", files.fallback)):
        if page:
            yield _source_of(page, f"{ABOUT} {key}", context, tracked)
    top = files.directories.get(ANY_PATH)
    if context.site.release.build is None and top and not _is_tracked(_index_in(top), tracked):
        yield from index_missing(context.site, top)


def index_missing(settings: SiteSettings, directory: str) -> Findings:
    """Warn of a static site without a first page."""
    if settings.is_static and settings.files.fallback is None:
        yield warned(
            ABOUT,
            f"{directory} has no {INDEX}, so the first page of the site is not found",
            "name the directory that has it, or set fallback",
        )


def _index_in(directory: str) -> str:
    return str(PurePath(directory, INDEX))


def _source_of(name: str, about: str, context: CheckContext, tracked: Collection[str]) -> Finding:
    release = context.site.release
    linked = {PurePath(link) for link in release.link}
    if name == ".":
        return passed(
            about, "all files of the repository are public, but for names with a dot first"
        )
    if _is_tracked(name, tracked):
        return passed(about, f"{name} is in git")
    if not linked.isdisjoint((PurePath(name), *PurePath(name).parents)):
        return passed(about, f"{name} is linked")
    if release.in_place and (context.site.git.checkout / name).exists():
        return passed(about, f"{name} is in the checkout")
    if release.build is not None:
        return passed(about, f"{name} is not in git, so the build must create it")
    return failed(
        about,
        f"no release has {name}: it is neither in git nor in link, and there is no build",
        "set build in [release] to the command that creates it, or correct the name",
    )


def _is_tracked(name: str, tracked: Collection[str]) -> bool:
    return name in tracked or any(file.startswith(f"{name}/") for file in tracked)
