"""The submodules of a release: work trees of the checkout's repositories for them.

`git submodule update` would clone each submodule again for each release, over the network, and
obeys settings that may name a command to run. Instead, a submodule gets a work tree, as the release
itself does, from the repository that git keeps for it under `modules` in the checkout's git
directory (gitsubmodules(7)). Only missing commits are fetched.

Names, paths and urls are untrusted: every user who can push chooses them. So a name must stay
inside `modules`, and outside of the other repositories there; a path counts only if the revision
has a commit for it; and a url is used only with safe transports.
"""

import os
from collections import defaultdict
from pathlib import Path, PurePosixPath

from attrs import evolve, frozen

from blue_green.source import worktree
from blue_green.source.git import Git
from blue_green.source.git_errors import BadRevision, GitError, NoAnswer
from blue_green.system import threads

FILE = ".gitmodules"
SETTINGS = r"^submodule\..*\.(path|url|update|active)$"
COMMIT = "160000"
"""The mode of a submodule in a tree (git-fast-import(1))."""


@frozen
class Submodule:
    """A submodule of a revision."""

    name: str
    path: str
    url: str
    revision: str


async def check_out(
    git: Git, path: Path, revision: str, releases: Path | None = None
) -> list[Path]:
    """Check out the submodules of a work tree recursively; raise `GitError`.

    Returns their paths. `releases` is the directory of all releases.
    """
    releases = releases or path.parent
    paths: list[Path] = []
    if not await threads.run(os.path.lexists, path / FILE, abandon_on_cancel=True):
        return paths
    git_dir = git.git_dir or (await git.paths()).git_dir
    for submodule in await _submodules(git, revision):
        target = path / submodule.path
        try:
            repository = await _repository(git, git_dir, submodule)
            await repository.forget_worktrees(releases)
            await worktree.add(repository, target, submodule.revision)
        except GitError as error:
            kind = BadRevision if isinstance(error, BadRevision) else GitError
            raise kind(f"submodule {submodule.path}: {error}") from None
        paths += [target, *await check_out(repository, target, submodule.revision, releases)]
    return paths


async def update_in_place(git: Git) -> None:
    """Update the checkout's own submodules to the commits in HEAD; raise `GitError`."""
    if await threads.run((git.checkout / FILE).exists, abandon_on_cancel=True):
        # `--checkout` overrides the settings, which may name a command.
        await git.check_directories("HEAD")
        words = ("submodule", "--quiet", "update", "--init", "--recursive", "--checkout")
        await git.run(*words, timeout=git.fetch_timeout)


async def _submodules(git: Git, revision: str) -> list[Submodule]:
    """The submodules of a revision, except those that it or the checkout has disabled."""
    found = []
    own = parse(await _settings(git))
    for name, theirs in parse(await _settings(git, "--blob", f"{revision}:{FILE}")).items():
        settings = {**theirs, **own.get(name, {})}
        is_off = settings.get("update") == "none" or settings.get("active") == "false"
        path = theirs.get("path", "").rstrip("/")
        if not is_off and path and (commit := await _recorded(git, revision, path)):
            found.append(Submodule(name, path, settings.get("url", ""), commit))
    return found


async def _recorded(git: Git, revision: str, path: str) -> str:
    """The commit that a revision has at exactly this path; "" if there is none."""
    literally = {"GIT_LITERAL_PATHSPECS": "1"}
    listed = await git.run("ls-tree", "-z", "--full-tree", revision, "--", path, env=literally)
    what, _, where = listed.rstrip("\0").partition("\t")
    mode, _, commit = what.replace(" commit ", " ").partition(" ")
    # git accepts an absolute path for the same entry, but we must not write there.
    return commit if mode == COMMIT and where == path else ""


async def _settings(git: Git, *source: str) -> str:
    try:
        return await git.run("config", "-z", *source, "--get-regexp", SETTINGS)
    except NoAnswer:
        return ""  # There are no settings.


def parse(listing: str) -> dict[str, dict[str, str]]:
    """Parse the output of `git config -z --get-regexp`: submodule -> its settings."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for entry in listing.split("\0"):
        key, _, value = entry.partition("\n")
        name, _, setting = key.removeprefix("submodule.").rpartition(".")
        if name:
            found[name][setting] = value
    return found


async def _repository(git: Git, git_dir: Path, submodule: Submodule) -> Git:
    """The checkout's repository of a submodule, with the needed commit."""
    name = submodule.name
    path = await threads.run(path_of, git_dir / "modules", name, abandon_on_cancel=True)
    exists = await threads.run(path.exists, abandon_on_cancel=True)
    repository = evolve(git, git_dir=path)
    if exists and await repository.has(submodule.revision):
        return repository
    if not submodule.url:
        raise BadRevision(f"{FILE} has no url for it")
    url = resolve(submodule.url, await git.upstream_url())
    if not exists:
        # Not bare, as `git submodule update` creates it, so that it can be used, too.
        await evolve(git, git_dir=None).run("init", "--quiet", "--bare", "--template=", str(path))
        await repository.run("config", "core.bare", "false")
        await repository.run("remote", "add", "--", "origin", url)
    await repository.fetch_commit(submodule.revision, url)
    return repository


def path_of(modules: Path, name: str) -> Path:
    """The path of the repository of a submodule; raise `GitError` if it is not allowed."""
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or name.startswith("/"):
        raise BadRevision(f'"{name}" is not a name for a submodule')
    path = modules.joinpath(*parts)
    for outer in path.relative_to(modules).parents[:-1]:
        if (modules / outer / "HEAD").exists():
            raise BadRevision(
                f'"{name}" would lie inside the repository of the submodule "{outer}"'
            )
    if path.exists() and not (path / "HEAD").exists():
        raise GitError(f"{path} is not a repository: move it away")
    return path


def resolve(url: str, base: str) -> str:
    """Resolve a url that begins with ./ or ../ relative to the superproject's (gitmodules(5))."""
    if not url.startswith(("./", "../")):
        return url
    base, separator = base.rstrip("/"), "/"
    while url.startswith(("./", "../")):
        step, _, url = url.partition("/")
        if step == "..":
            at = base.rfind("/") if "/" in base else base.rfind(":")
            if at < 0:
                raise BadRevision(f"its url leads out of {base}")
            base, separator = base[:at], base[at]
    return f"{base}{separator}{url}"
