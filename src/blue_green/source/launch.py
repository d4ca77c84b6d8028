"""How every program of a release is started: its directory, its environment, and its user.

The app itself, `build`, `migrate`, `[processes]` and `blue-green exec` all start this way.
"""

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import trio
from attrs import field, frozen

from blue_green.config.settings import SiteSettings
from blue_green.source.failure import MachineFault, StepFailed
from blue_green.source.release import Release
from blue_green.system import env_files, threads
from blue_green.system.environment import environment
from blue_green.system.users import User

READ_TIMEOUT = 10.0
"""Seconds for the files that a start reads: their file system may hang."""


@frozen
class Launch:
    """What a program of a release is started with."""

    directory: Path
    env: Mapping[str, str] = field(repr=False)
    """To be added to the environment that the user's programs have anyway; it has secrets."""
    user: User


async def prepare(release: Release, settings: SiteSettings, *, owner: User, user: User) -> Launch:
    """Read what a start as `user` needs, anew; raise `StepFailed`.

    `owner` has the repository. If there is no such directory, that is the fault of the revision;
    files of `env_file` that cannot be used are a `MachineFault`.
    """
    read = partial(_read, release, settings, owner, user)
    try:
        with trio.fail_after(READ_TIMEOUT):
            return await threads.run(read, abandon_on_cancel=True)
    except trio.TooSlowError:
        raise MachineFault(
            "cannot start: the file system of the release or of [app] env_file does not answer"
        ) from None


def from_files(settings: SiteSettings, user: User) -> dict[str, str]:
    """The variables in the files of `env_file`; raise `BadEnvFile`. Waits for the disk."""
    may_own = {user.uid}
    with suppress(OSError):
        may_own.add(settings.file.stat().st_uid)
    return env_files.read(settings.app.env_file, may_own)


def _read(release: Release, settings: SiteSettings, owner: User, user: User) -> Launch:
    directory = _directory(release, settings.app.directory)
    try:
        named = from_files(settings, user)
    except env_files.BadEnvFile as error:
        raise MachineFault(f"[app] env_file: {error}") from None
    env = environment(settings, named)
    if owner.uid != user.uid:
        env |= _trusting(release.path, env)
    return Launch(directory, {**env, "BLUE_GREEN_REVISION": release.revision}, user)


def _directory(release: Release, name: str) -> Path:
    """The directory in which the programs of the release run; raise `StepFailed`."""
    if name == ".":
        return release.path
    directory = release.path / name
    if not directory.is_dir():
        raise StepFailed(f"[app] directory: {release.revision[:7]} has no directory {name}")
    # We enter it before we become the user, who perhaps may not.
    if not directory.resolve().is_relative_to(release.path.resolve()):
        raise StepFailed(f"[app] directory: {name} leads out of the release")
    return directory


def _trusting(work_tree: Path, env: Mapping[str, str]) -> dict[str, str]:
    """Variables with which git trusts a work tree whose repository belongs to another user.

    git refuses that as "dubious ownership" unless `safe.directory` names the work tree, and obeys
    that setting only where no repository can write it, such as in the environment (git-config(1),
    GIT_CONFIG_COUNT). Settings that `env` already passes this way stay. The `/*` is for submodules
    inside of it, from git 2.46 on.
    """
    given = env.get("GIT_CONFIG_COUNT", "")
    first = int(given) if given.isdecimal() else 0
    variables = {"GIT_CONFIG_COUNT": str(first + 2)}
    for number, trusted in enumerate((str(work_tree), f"{work_tree}/*"), first):
        variables[f"GIT_CONFIG_KEY_{number}"] = "safe.directory"
        variables[f"GIT_CONFIG_VALUE_{number}"] = trusted
    return variables
