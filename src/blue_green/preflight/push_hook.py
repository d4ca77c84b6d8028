"""Let a checkout accept pushes: its update hook deploys a revision before git accepts it.

A push to the branch that is checked out needs `receive.denyCurrentBranch = updateInstead`, with
which git updates the files, too (git-config(1)). The hook only runs this program, so that it
changes with it.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from blue_green.config.settings import SiteSettings
from blue_green.system import files, users
from blue_green.system.environment import MISLEADING

MARK = "# Written by `blue-green accept-pushes`"
HOOK = f"""#!/bin/sh
{MARK}, which may replace it.
# git runs it for each branch or tag that is pushed (githooks(5)).
exec {{command}} "$@"
"""
PROGRAM = "blue-green"
LARGEST = 64 * 1024
"""Bytes of a hook of ours, which is far smaller."""


class CannotAccept(Exception):
    """The checkout cannot accept pushes; str() says why and what to do."""


def install(file: Path, site: SiteSettings) -> Path:
    """Configure git and write the hook; its path. Raises `CannotAccept`."""
    checkout = site.git.checkout
    try:
        owner = users.owner_of(checkout)
        if os.geteuid() == 0 and owner.uid != 0:
            raise CannotAccept(
                f"{checkout} belongs to {owner.name}: run this as {owner.name}, who also has to "
                "push"
            )
        hook = _place_of_hook(checkout)
        _check_existing(hook, command := _command(file, checkout))
        hook.parent.mkdir(exist_ok=True)
        files.replace(hook, HOOK.format(command=command).encode())
        hook.chmod(0o755)
        _git(checkout, "config", "receive.denyCurrentBranch", "updateInstead")
        # Otherwise git could refuse a branch, because of another one, when it is live already.
        _git(checkout, "config", "receive.advertiseAtomic", "false")
    except OSError as error:
        raise CannotAccept(f"{error.filename or checkout}: {error.strerror or error}") from None
    return hook


def _place_of_hook(checkout: Path) -> Path:
    hook = checkout / _git(checkout, "rev-parse", "--git-path", "hooks/update")
    common = checkout / _git(checkout, "rev-parse", "--git-common-dir")
    if not hook.resolve().is_relative_to(common.resolve()):
        raise CannotAccept(
            f"core.hooksPath is {hook.parent}, which other repositories may share: for this one, "
            f"git -C {shlex.quote(str(checkout))} config core.hooksPath {common.resolve()}/hooks"
        )
    return hook


def _check_existing(hook: Path, command: str) -> None:
    """Raise `CannotAccept` if the user has a hook of that name."""
    try:
        text = files.read_start(hook, LARGEST)
    except FileNotFoundError:
        return
    if MARK.encode() not in text:
        raise CannotAccept(
            f"there is a hook already: {hook}. To deploy with it, let it run this line, and refuse "
            f'the push if it fails: {command} "$@"'
        )


def _command(file: Path, checkout: Path) -> str:
    """The hook's command, without the arguments of git."""
    started_as = Path(sys.argv[0]).absolute()
    is_program = started_as.name == PROGRAM and os.access(started_as, os.X_OK)
    program = [str(started_as)] if is_program else [sys.executable, "-m", "blue_green"]
    return shlex.join([*program, "receive", "--config", str(file.absolute()), str(checkout)])


def _git(checkout: Path, *words: str) -> str:
    """Run git as ourselves; raise `CannotAccept`."""
    env = {name: value for name, value in os.environ.items() if name not in MISLEADING}
    argv: Sequence[str] = ("git", *words)
    done = subprocess.run(
        argv, cwd=checkout, env=env, capture_output=True, text=True, check=False,
        errors="surrogateescape",
    )  # fmt: skip
    if done.returncode:
        raise CannotAccept(f"{checkout}: git {words[0]}: {done.stderr.strip()}")
    return done.stdout.rstrip("\n")
