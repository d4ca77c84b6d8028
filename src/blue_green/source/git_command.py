"""Run git safely.

It runs as the owner of the checkout, executes nothing from the repository (no hooks, no fsmonitor,
no `ext` transport), never prompts, and has a time limit after which its process group is killed.
"""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from blue_green.source import git_errors, head
from blue_green.source.git_errors import GitError, NoAnswer
from blue_green.system import command, root, threads
from blue_green.system.cannot_start import CannotStart, MissingDirectory
from blue_green.system.process import ending

if TYPE_CHECKING:
    from blue_green.source.git import Git

SAFE_SETTINGS = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "protocol.ext.allow": "never",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "advice.detachedHead": "false",
    "fetch.recurseSubmodules": "false",
    "submodule.recurse": "false",
}
"""Settings that keep a repository from running programs, now or in the background."""

USE_REMOTE = ("fetch", "ls-remote", "submodule", "reset")
"""Commands that may contact a remote; checking out files does so for git-lfs."""


async def run(
    git: "Git",
    *words: str,
    timeout: float,
    env: Mapping[str, str],
    max_output: int,
) -> command.Finished:
    """Run a git command; raise `GitError` if it fails, but not if its output is too long."""
    safely = [word for pair in SAFE_SETTINGS.items() for word in ("-c", "=".join(pair))]
    argv = ["git", "-c", f"safe.directory={git.checkout}", *safely]
    if git.git_dir is not None:
        argv += ["--git-dir", str(git.git_dir), "--work-tree", str(git.checkout)]
    try:
        await threads.run(_check_repository, git, abandon_on_cancel=True)
    except (head.InvalidHead, root.Unsafe) as error:
        raise GitError(str(error)) from None
    env = {**git.env, **env}
    if words[0] in USE_REMOTE or words[:2] == ("worktree", "add"):
        env |= await _without_prompts(git)
    try:
        done = await command.run(
            [*argv, *words],
            cwd=git.checkout,
            env={**env, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"},
            user=git.owner,
            timeout=timeout,
            max_output=max_output,
        )
    except MissingDirectory:
        raise GitError(f"there is no directory {git.checkout}") from None
    except CannotStart as error:
        raise GitError(str(error)) from None
    _check_result(done, words[0], timeout)
    return done


def _check_result(done: command.Finished, name: str, timeout: float) -> None:
    if done.timed_out:
        raise GitError(f"git {name} {git_errors.took_too_long(name, timeout)}")
    if not done.ok and not done.wrote_too_much:
        if message := git_errors.in_one_line(done.tail):
            raise GitError(f"git {name}: {message}")
        reason = f"git {name} {ending(done.code)} without a message"
        raise NoAnswer(reason) if (done.code or 0) > 0 else GitError(reason)


def _check_repository(git: "Git") -> None:
    """Raise `InvalidHead` or `Unsafe` if git must not run here."""
    head.check(git.git_dir or git.checkout / ".git")
    if root.is_us() and git.owner.uid == 0:
        root.check_repository(git.checkout, git.git_dir)


async def _without_prompts(git: "Git") -> dict[str, str]:
    """Variables with which ssh fails instead of prompting for a password or a host key."""
    # git passes it to a shell, so it must not be quoted: "~" and quotes have a meaning.
    ssh = os.environ.get("GIT_SSH_COMMAND") or await git.config("core.sshCommand") or "ssh"
    return {
        "GIT_SSH_COMMAND": f"{ssh} -o BatchMode=yes",
        "GIT_ASKPASS": "true",
        "SSH_ASKPASS": "true",
    }
