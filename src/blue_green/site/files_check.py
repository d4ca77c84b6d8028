"""A check before a swap: does the release have what `[files]` serves of it?

If `build` forgets a command, such as collectstatic, the swap must fail, and not the requests after
it.
"""

import os
import stat
from functools import partial
from pathlib import Path

import trio

from blue_green.config.settings import SiteSettings
from blue_green.source.failure import MachineFault, StepFailed
from blue_green.system import threads, users
from blue_green.system.users import User

ANSWER_TIMEOUT = 10.0
"""Seconds for a look at what is served, which may be linked to another machine."""


async def check(release: Path, settings: SiteSettings, user: User) -> None:
    """Raise `StepFailed` if the release there lacks a directory or a page that `[files]` names."""
    look = partial(first_problem, release, settings, user)
    try:
        with trio.fail_after(ANSWER_TIMEOUT):
            problem = await threads.run(look, abandon_on_cancel=True)
    except trio.TooSlowError:
        raise MachineFault("[files] the file system of the files does not respond") from None
    if problem:
        raise StepFailed(f"[files] {problem}")


def first_problem(release: Path, settings: SiteSettings, user: User) -> str:
    """What cannot be served of this release, and what to do about it; empty if nothing."""
    files = settings.files
    for prefix, directory in files.directories.items():
        if why := _problem(release, directory, settings, user, what="directory"):
            return f'"{prefix}": {why}'
    for key, page in (("not_found", files.not_found), ("fallback", files.fallback)):
        if page and (why := _problem(release, page, settings, user, what="file")):
            return f"{key}: {why}"
    return ""


def _problem(release: Path, name: str, settings: SiteSettings, user: User, *, what: str) -> str:
    path = release / name
    try:
        is_directory = stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return f"the release has no {what} {name}: {_advice(settings)}"
    except OSError as error:
        return f"{path}: {error.strerror}"
    if what == "file" and is_directory:
        return f"{name} is a directory"
    if not _is_inside(path, release, settings):
        return (
            f"{name} is a symbolic link out of the release; only a path in link of [release] may "
            "lead out of it"
        )
    if not users.may(user, path, os.R_OK | (os.X_OK if is_directory else 0)):
        return f"{user.name} may not read {path}: only what the app's user may read is served"
    return ""


def _is_inside(path: Path, release: Path, settings: SiteSettings) -> bool:
    linked = [(settings.git.checkout / link).resolve() for link in settings.release.link]
    real = path.resolve()
    return any(real.is_relative_to(place) for place in (release.resolve(), *linked))


def _advice(settings: SiteSettings) -> str:
    if settings.release.build is None:
        return "it is not in git, and there is no build in [release] that could make it"
    return "does build in [release] run the command that makes it, such as collectstatic?"
