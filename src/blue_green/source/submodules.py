"""The submodules of a release: work trees of the repositories that the checkout has of them.

`git submodule update` is not what does it: that would clone each submodule anew for each release,
over the network, and obeys settings that may name a command to run. Instead a submodule gets a
work tree as the release itself has, from the repository that git keeps for it under `modules` in
the checkout's git directory (gitsubmodules(7)). Only what is missing there is fetched.

Names, paths and urls come from whoever can push. So a name must stay inside `modules`, and out of
the other repositories there; a path counts only where the revision has a commit for it; and a url
is used only with transports that cannot be made to do harm.
"""

import os
from collections import defaultdict
from pathlib import Path, PurePosixPath

from attrs import evolve, frozen

from blue_green.source import worktree
from blue_green.source.git import BadRevision, Git, GitError, NoAnswer

FILE = ".gitmodules"
SETTINGS = r"^submodule\..*\.(path|url|update|active)$"
COMMIT = "160000"
"""The mode of a submodule in a tree (git-fast-import(1))."""


@frozen
class Submodule:
    """One that a revision has."""

    name: str
    path: str
    url: str
    revision: str


async def check_out(
    git: Git, path: Path, revision: str, releases: Path | None = None
) -> list[Path]:
    """Check out the submodules of the work tree there, and theirs; raise `GitError`.

    Gives the places where they are. `releases` is the directory of all releases.
    """
    releases = releases or path.parent
    places: list[Path] = []
    if not os.path.lexists(path / FILE):
        return places
    git_dir = git.git_dir or (await git.places()).git_dir
    for submodule in await _submodules(git, revision):
        place = path / submodule.path
        try:
            repository = await _repository(git, git_dir, submodule)
            await repository.forget_worktrees(releases)
            await worktree.add(repository, place, submodule.revision)
        except GitError as error:
            kind = BadRevision if isinstance(error, BadRevision) else GitError
            raise kind(f"submodule {submodule.path}: {error}") from None
        places += [place, *await check_out(repository, place, submodule.revision, releases)]
    return places


async def update_in_place(git: Git) -> None:
    """Bring the checkout's own submodules to what its HEAD has; raise `GitError`."""
    if (git.checkout / FILE).exists():
        # `--checkout` stands above the settings, which may name a command.
        await git.check_directories("HEAD")
        words = ("submodule", "--quiet", "update", "--init", "--recursive", "--checkout")
        await git.run(*words, timeout=git.fetch_timeout)


async def _submodules(git: Git, revision: str) -> list[Submodule]:
    """Those of this revision, without those that it, or the checkout, has switched off."""
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
    """The commit that a revision has at exactly this path; nothing if there is none."""
    literally = {"GIT_LITERAL_PATHSPECS": "1"}
    listed = await git.run("ls-tree", "-z", "--full-tree", revision, "--", path, env=literally)
    what, _, where = listed.rstrip("\0").partition("\t")
    mode, _, commit = what.replace(" commit ", " ").partition(" ")
    # git also takes an absolute path for the same: as a place to write to, it is not.
    return commit if mode == COMMIT and where == path else ""


async def _settings(git: Git, *source: str) -> str:
    try:
        return await git.run("config", "-z", *source, "--get-regexp", SETTINGS)
    except NoAnswer:
        return ""  # There are none.


def parse(listing: str) -> dict[str, dict[str, str]]:
    """For each name its settings, from what `git config -z --get-regexp` writes."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for entry in listing.split("\0"):
        key, _, value = entry.partition("\n")
        name, _, setting = key.removeprefix("submodule.").rpartition(".")
        if name:
            found[name][setting] = value
    return found


async def _repository(git: Git, git_dir: Path, submodule: Submodule) -> Git:
    """The checkout's repository of a submodule, with the commit that is needed."""
    place = place_of(git_dir / "modules", submodule.name)
    repository = evolve(git, git_dir=place)
    if place.exists() and await repository.has(submodule.revision):
        return repository
    if not submodule.url:
        raise BadRevision(f"{FILE} gives no url for it")
    url = resolve(submodule.url, await git.upstream_url())
    if not place.exists():
        # With a work tree elsewhere, as `git submodule update` would make it: then both can use it.
        await evolve(git, git_dir=None).run("init", "--quiet", "--bare", "--template=", str(place))
        await repository.run("config", "core.bare", "false")
        await repository.run("remote", "add", "--", "origin", url)
    await repository.fetch_commit(submodule.revision, url)
    return repository


def place_of(modules: Path, name: str) -> Path:
    """Where the repository of this submodule is; raise `GitError` if it must not be there."""
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or name.startswith("/"):
        raise BadRevision(f'"{name}" is not a name for a submodule')
    place = modules.joinpath(*parts)
    for outer in place.relative_to(modules).parents[:-1]:
        if (modules / outer / "HEAD").exists():
            raise BadRevision(
                f'"{name}" would lie inside the repository of the submodule "{outer}"'
            )
    if place.exists() and not (place / "HEAD").exists():
        raise GitError(f"{place} is no repository: move it away")
    return place


def resolve(url: str, base: str) -> str:
    """One that begins with ./ or ../ is relative to that of the superproject (git-submodule(1))."""
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
