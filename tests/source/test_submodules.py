"""Submodules of a release: complete, at the recorded commits, and without running anything."""

import os
import pwd
import shutil
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from blue_green.config.site_settings import ReleaseSettings
from blue_green.source.failure import StepFailed
from blue_green.source.git_errors import GitError
from blue_green.source.releases import Releases
from blue_green.source.submodules import path_of, resolve
from blue_green.system import users
from tests.support.app_checkout import git
from tests.support.release_commands import release_commands
from tests.support.repository import Repository, git_of
from tests.support.site import RealSite
from tests.support.submodules import FROM_FILES, at


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository `site` with the submodule `lib`; and `outer`, with the submodule `deep/site`.

    And clones of them: `checkout` and `whole`, with all submodules, and `plain`, that has none.
    """
    top = tmp_path_factory.mktemp("template")
    Repository(top / "lib")
    site = Repository(top / "site")
    site.git(*FROM_FILES, "submodule", "--quiet", "add", "../lib", "lib")
    site.commit()
    outer = Repository(top / "outer")
    outer.git(*FROM_FILES, "submodule", "--quiet", "add", "../site", "deep/site")
    outer.commit()
    site.git(
        *FROM_FILES, "clone", "-q", "--recurse-submodules", str(site.path), str(top / "checkout")
    )
    site.git("clone", "-q", str(site.path), str(top / "plain"))
    outer.git(
        *FROM_FILES, "clone", "-q", "--recurse-submodules", str(outer.path), str(top / "whole")
    )
    return top


@pytest.fixture
def top(template: Path, tmp_path: Path) -> Path:
    """The same once more, as if it had been made here."""
    top = tmp_path / "top"
    shutil.copytree(template, top, symlinks=True)
    for config in [*top.rglob(".git/config"), *top.rglob(".git/modules/**/config")]:
        config.write_text(config.read_text().replace(str(template), str(top)))
    (top / "gitconfig").write_text('[protocol "file"]\nallow = always\n')
    return top


@pytest.fixture
def upstream(top: Path) -> Repository:
    return at(top / "site")


@pytest.fixture
def checkout(top: Path) -> Repository:
    return at(top / "checkout")


@pytest.fixture
def plain(top: Path) -> Repository:
    return at(top / "plain")


def releases_of(
    checkout: Repository,
    *,
    in_place: bool = False,
    user: str | None = None,
    from_files: bool = True,
) -> Releases:
    config = attrs.evolve(ReleaseSettings(), in_place=in_place)
    top = checkout.path.parent
    env = {"GIT_CONFIG_GLOBAL": str(top / "gitconfig")} if from_files else {}
    git = git_of(checkout.path, **env)
    runs_as = users.named(user, None, git.owner)
    releases = Releases(config, git, top / "state", release_commands(git.owner, runs_as))
    releases.create_directories()
    return releases


async def make(checkout: Repository) -> Path:
    return (await releases_of(checkout).add(checkout.git("rev-parse", "HEAD"))).path


def texts(release: Path) -> list[str]:
    """Of the site, and of its submodule."""
    return [(place / "text.txt").read_text() for place in (release, release / "lib")]


def bump(upstream: Repository, text: str) -> str:
    """A commit with a newer lib, as a developer pushes it; its revision."""
    lib = at(upstream.path / "lib")
    revision = lib.commit(text=text)
    lib.git("push", "-q", "origin", f"{revision}:refs/heads/topic")
    return upstream.commit()


# --- there ----------------------------------------------------------------------------------


async def test_a_release_has_its_submodules_from_the_checkout_without_any_remote(
    top: Path,
) -> None:
    """Also those that its submodules have."""
    for name in ("outer", "site", "lib"):
        shutil.rmtree(top / name)
    whole = at(top / "whole")
    release = await make(whole)
    assert texts(release / "deep" / "site") == ["first", "first"]
    assert at(release).git("status", "--porcelain") == ""
    assert whole.git("status", "--porcelain") == ""


async def test_a_submodule_missing_in_the_checkout_is_fetched(
    plain: Repository, upstream: Repository
) -> None:
    assert texts(await make(plain)) == ["first", "first"]
    shutil.rmtree(upstream.path.parent / "lib")
    plain.git("submodule", "--quiet", "update", "--init")
    assert (plain.path / "lib" / "text.txt").exists(), "what was fetched serves both"


async def test_each_release_has_the_commits_of_its_own_revision(
    upstream: Repository, checkout: Repository
) -> None:
    """A pull brings the newer commit; that of the submodule is fetched for the release."""
    before, second = checkout.git("rev-parse", "HEAD"), bump(upstream, "second")
    assert await git_of(checkout.path).pull(None) == second
    releases = releases_of(checkout)
    newer, older = [await releases.add(revision) for revision in (second, before)]
    assert texts(newer.path) == ["first", "second"]
    assert texts(older.path) == ["first", "first"]


async def test_a_commit_on_no_branch_is_fetched_by_its_name(
    upstream: Repository, checkout: Repository
) -> None:
    bump(upstream, "second")
    lib = upstream.path.parent / "lib"
    upstream.git("--git-dir", str(lib / ".git"), "update-ref", "-d", "refs/heads/topic")
    checkout.git("pull", "-q", "--no-recurse-submodules")
    assert texts(await make(checkout)) == ["first", "second"]


async def test_a_tag_that_was_moved_in_a_submodule_is_moved_here_too(
    upstream: Repository, checkout: Repository
) -> None:
    lib = at(upstream.path.parent / "lib")
    lib.git("tag", "newest")
    at(checkout.path / "lib").git("fetch", "-q", "--tags")
    revision = lib.git("rev-parse", "main")
    bump(upstream, "second")
    lib.git("tag", "--force", "newest", "topic")
    checkout.git("pull", "-q", "--no-recurse-submodules")
    assert texts(await make(checkout)) == ["first", "second"]
    assert at(checkout.path / "lib").git("rev-parse", "newest") != revision


async def test_a_branch_may_be_renamed_to_a_name_below_its_own(
    upstream: Repository, checkout: Repository
) -> None:
    """git keeps each branch in a file, and so cannot have `main` beside `main/2`."""
    lib = at(upstream.path.parent / "lib")
    lib.git("branch", "-q", "-m", "main", "main/2")
    bump(upstream, "second")
    checkout.git("pull", "-q", "--no-recurse-submodules")
    assert texts(await make(checkout)) == ["first", "second"]


async def test_an_unpushed_commit_is_reported_with_its_submodule(
    upstream: Repository, checkout: Repository
) -> None:
    (upstream.path / "lib" / "text.txt").write_text("only here")
    upstream.git("-C", "lib", "commit", "-q", "-a", "-m", "only here")
    upstream.commit()
    checkout.git("pull", "-q", "--no-recurse-submodules")
    with pytest.raises(StepFailed, match=r"cannot check out .*: submodule lib: .* was it pushed\?"):
        await make(checkout)


@pytest.mark.parametrize(("key", "value"), [("update", "none"), ("active", "false")])
async def test_a_submodule_that_is_inactive_in_the_checkout_is_left_out(
    checkout: Repository, key: str, value: str
) -> None:
    checkout.git("config", f"submodule.lib.{key}", value)
    assert list((await make(checkout)).joinpath("lib").iterdir()) == []


async def test_an_lfs_pointer_in_a_submodule_is_found(
    upstream: Repository, checkout: Repository
) -> None:
    lib = upstream.path / "lib"
    (lib / ".gitattributes").write_text("*.bin filter=lfs\n")
    (lib / "logo.bin").write_text("version https://git-lfs.github.com/spec/v1\noid ...\n")
    bump(upstream, "with a logo")
    checkout.git("pull", "-q", "--no-recurse-submodules")
    with pytest.raises(StepFailed, match=r"/lib/logo\.bin is an LFS pointer"):
        await make(checkout)


async def test_releases_with_submodules_are_removed_like_others(checkout: Repository) -> None:
    releases, modules = releases_of(checkout), checkout.path / ".git" / "modules"
    revision = checkout.git("rev-parse", "HEAD")
    for _ in range(2):
        release = await releases.add(revision)
        await releases.pruning.prune(())
        assert not release.path.exists()
    assert len(list((modules / "lib" / "worktrees").iterdir())) == 1, "the older is forgotten"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
async def test_submodules_belong_to_the_user_the_app_runs_as(checkout: Repository) -> None:
    releases = releases_of(checkout, user="nobody")
    release = await releases.add(checkout.git("rev-parse", "HEAD"))
    file = release.path / "lib" / "text.txt"
    assert file.stat().st_uid == pwd.getpwnam("nobody").pw_uid


# --- in place -------------------------------------------------------------------------------


async def test_in_place_the_checkouts_own_submodules_follow(
    upstream: Repository, plain: Repository
) -> None:
    releases = releases_of(plain, in_place=True)
    await releases.add(plain.git("rev-parse", "HEAD"))
    assert texts(plain.path) == ["first", "first"]
    bump(upstream, "second")
    await releases.add(await git_of(plain.path).pull(None))
    assert texts(plain.path) == ["first", "second"]


# --- what is not run ------------------------------------------------------------------------


@pytest.mark.parametrize("in_place", [False, True])
async def test_a_command_that_should_update_a_submodule_is_not_run(
    checkout: Repository, upstream: Repository, tmp_path: Path, in_place: bool
) -> None:
    trace = tmp_path / "trace"
    checkout.git("config", "submodule.lib.update", f"!touch {trace}; false")
    hook = checkout.path / ".git" / "modules" / "lib" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f'#!/bin/sh\ntouch "{trace}"\n')
    hook.chmod(0o755)
    bump(upstream, "second")
    second = await git_of(checkout.path).pull(None)
    release = await releases_of(checkout, in_place=in_place).add(second)
    assert texts(release.path) == ["first", "second"]
    assert not trace.exists()


async def test_the_checkouts_recursion_does_not_make_a_pull_need_the_submodules(
    upstream: Repository, checkout: Repository
) -> None:
    checkout.git("config", "submodule.recurse", "true")
    second = bump(upstream, "second")
    shutil.rmtree(upstream.path.parent / "lib")
    assert await git_of(checkout.path).pull(None) == second


def other_url(checkout: Repository, url: str) -> None:
    (checkout.path / ".gitmodules").write_text(f'[submodule "x"]\npath = lib\nurl = {url}\n')
    checkout.commit()


async def test_a_path_into_the_checkout_is_not_written_to(plain: Repository) -> None:
    settings = f'[submodule "lib"]\npath = {plain.path}/lib\nurl = ../lib\n'
    (plain.path / ".gitmodules").write_text(settings)
    plain.commit()
    await make(plain)
    assert list((plain.path / "lib").iterdir()) == []


@pytest.mark.parametrize("url", ["../lib", "ext::sh -c touch% {trace}"])
async def test_a_url_that_could_do_harm_is_not_used(
    plain: Repository, tmp_path: Path, url: str
) -> None:
    """Also a directory of this machine: whoever can push could read it through the site."""
    trace = tmp_path / "trace"
    other_url(plain, url.format(trace=trace))
    releases = releases_of(plain, from_files=False)
    with pytest.raises(StepFailed, match=r"submodule lib: .*not allowed"):
        await releases.add(plain.git("rev-parse", "HEAD"))
    assert not trace.exists()


# --- names and urls -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["..", "../../hooks", "a/../../b", "/etc", "", "."])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(GitError, match="is not a name for a submodule"):
        path_of(tmp_path / "modules", name)


def test_a_name_inside_another_submodules_repository_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "HEAD").touch()
    with pytest.raises(GitError, match='inside the repository of the submodule "lib"'):
        path_of(tmp_path, "lib/hooks")
    with pytest.raises(GitError, match="is not a repository"):
        path_of(tmp_path.parent, tmp_path.name)
    assert path_of(tmp_path, "other/lib") == tmp_path / "other" / "lib"


@pytest.mark.parametrize(
    ("url", "base", "resolved"),
    [
        ("https://b.example/lib", "https://a.example/site", "https://b.example/lib"),
        ("../lib.git", "https://a.example/me/site.git", "https://a.example/me/lib.git"),
        ("../../you/lib", "https://a.example/me/site/", "https://a.example/you/lib"),
        ("./lib", "https://a.example/site", "https://a.example/site/lib"),
        ("../lib", "git@a.example:site", "git@a.example:lib"),
        ("../lib", "git@a.example:me/site", "git@a.example:me/lib"),
        ("../lib", "/srv/git/a:b", "/srv/git/lib"),
    ],
)
def test_a_relative_url_follows_that_of_the_superproject(
    url: str, base: str, resolved: str
) -> None:
    assert resolve(url, base) == resolved


def test_a_relative_url_that_leads_nowhere_is_refused() -> None:
    with pytest.raises(GitError, match="leads out of"):
        resolve("../../lib", "host:site")


async def test_a_submodules_path_is_escaped_for_terminals(
    make_site: Callable[..., RealSite],
) -> None:
    """It may hold anything, and whoever can push has chosen it."""
    site = make_site()
    path = "lib\x1b]0;owned\x07"
    site.commit()
    async with site.running():
        settings_of = site.checkout / ".gitmodules"
        git(site.checkout, "config", "-f", str(settings_of), "submodule.lib.path", path)
        git(site.checkout, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},{path}")
        git(site.checkout, "add", ".gitmodules")
        git(site.checkout, "commit", "-q", "-m", "escape")
        done = await site.cli("swap")
        assert done.code == 1
        await site.until_logged(r"submodule lib\x1b]0;owned\x07: .gitmodules has no url for it")
        for text in (done.out, done.err, site.log()):
            assert "\x1b" not in text
