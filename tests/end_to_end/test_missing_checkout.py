"""A missing checkout is reported, and the site goes on."""

import os
import pwd
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from blue_green.config.kinds import Argv, Port, Ports
from blue_green.config.settings import SiteSettings
from blue_green.config.site_settings import AppSettings, GitSettings
from blue_green.source.git_errors import GitError
from blue_green.supervisor import startup
from tests.support.repository import Repository, git_of
from tests.support.site import RealSite

MakeSite = Callable[..., RealSite]

NOBODY = pwd.getpwnam("nobody")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


async def test_a_restart_serves_the_last_good_release_and_follows_what_comes_back(
    make_site: MakeSite,
) -> None:
    site = make_site()
    one = site.commit("one")
    problem = f"cannot follow {site.checkout}: there is no directory {site.checkout}"
    async with site.running():
        await site.until_live(two := site.commit("two"))
    away = site.checkout.rename(site.directory / "away")
    async with site.running():
        assert (await site.get("/")).json()["revision"] == two
        await site.until_logged(problem)
        assert (await site.status())["problem"] == problem
        assert (await site.cli("swap")).code == 2
    shutil.rmtree(site.state / "releases" / two[:12])
    async with site.running():
        assert (await site.get("/")).json()["revision"] == one, "the last that is left"
        away.rename(site.checkout)
        await site.until_live(two)
        await site.until_live(site.commit("three"))
        assert (await site.status())["problem"] == ""
    assert site.log().count(problem) <= 2, "once for each restart"
    assert "cannot remove old releases" not in site.log()


async def test_a_first_start_without_a_checkout_is_an_error(make_site: MakeSite) -> None:
    site = make_site()
    (site.checkout / ".git").rename(site.directory / "away")
    site.start()
    assert site.process is not None
    assert site.process.wait(20) == 2
    await site.until_logged(f"[git] checkout: {site.checkout} cannot be used")


@needs_root
def test_without_a_checkout_the_owner_of_the_releases_is_used(tmp_path: Path) -> None:
    (tmp_path / "releases").mkdir()
    os.chown(tmp_path / "releases", NOBODY.pw_uid, NOBODY.pw_gid)
    app = AppSettings(Argv(("serve",)), Ports(((Port(1),), (Port(2),))))
    git = GitSettings(tmp_path / "gone")
    given = SiteSettings("test", tmp_path / "supervisor.toml", tmp_path, app, git=git)
    owner, user = startup.users_to_run_as(given)
    assert (owner.uid, user.uid) == (NOBODY.pw_uid, NOBODY.pw_uid)


@needs_root
@pytest.mark.parametrize("part", [".", ".git"])
async def test_a_checkout_that_comes_back_with_another_owner_is_not_trusted(
    tmp_path: Path, part: str
) -> None:
    repository = Repository(tmp_path / "checkout")
    git = git_of(repository.path)
    os.chown(repository.path / part, NOBODY.pw_uid, NOBODY.pw_gid)
    with pytest.raises(GitError, match=f"could run anything as {git.owner.name}: chown "):
        await git.paths()
