"""The environment of the programs that we start."""

import os
from collections.abc import Mapping, Sequence

from blue_green.config.settings import SiteSettings
from blue_green.system import root, supervisor_marker, systemd
from blue_green.system.users import User

MISLEADING = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_CONFIG", "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS", "GIT_DIR", "GIT_GRAFT_FILE", "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE", "GIT_INTERNAL_SUPER_PREFIX", "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_QUARANTINE_PATH", "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE", "GIT_WORK_TREE",
)  # fmt: skip
"""Variables that git sets for its hooks: our git must not work on a hook's repository."""


def environment(settings: SiteSettings, from_files: Mapping[str, str]) -> dict[str, str]:
    """The environment of a program of a site: `[app] env`, over these variables, and our marker."""
    marker = supervisor_marker.variable(settings.state_directory)
    name = {"BLUE_GREEN_NAME": settings.app.name}
    return {**from_files, **settings.app.env, **marker, **name}


def prepare(
    argv: Sequence[str], env: Mapping[str, str], user: User, *, inherits: bool
) -> tuple[Sequence[str], Mapping[str, str]]:
    """The arguments and the environment of a command: ours, with `env` added.

    As root, by the rules in `root`, unless the command is one of the site, which `inherits`. Raises
    `root.Unsafe`.
    """
    if root.is_us() and not inherits:
        return [root.program(argv[0], user), *argv[1:]], root.environment(user, env)
    hidden = {*systemd.OURS, *MISLEADING}
    ours = {name: value for name, value in os.environ.items() if name not in hidden}
    return argv, {**ours, **user.environment, **env}
