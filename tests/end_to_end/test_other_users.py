"""Run by root for an app of another user: nothing runs as root that need not."""

import os
import stat
from pathlib import Path

import pytest

from blue_green.source.git_errors import GitError
from tests.support.app_checkout import git
from tests.support.other_users import NOBODY, PYTHON, a_site, as_root, uid_of
from tests.support.repository import Repository, git_of
from tests.waiting import until

pytestmark = as_root


async def test_the_app_and_git_run_as_the_owner_of_the_checkout(directory: Path) -> None:
    told = directory / "told"
    told.touch()
    told.chmod(0o666)
    notify = {"command": ["sh", "-c", "id -un >>told; cat >>told"]}
    site = a_site(directory, owner=NOBODY.pw_uid, notify=notify)
    async with site.running():
        status = await site.status()
        [pid] = status["live"]["pids"]
        assert uid_of(pid) == NOBODY.pw_uid
        release = site.state / "releases" / site.releases()[0]
        assert (release / "app.py").stat().st_uid == NOBODY.pw_uid
        assert (site.checkout / ".git" / "worktrees").stat().st_uid == NOBODY.pw_uid
        await until("it is remembered", site.remembered)
        assert stat.S_IMODE((site.state / "state.toml").stat().st_mode) == 0o600
        await until("the notification", lambda: told.read_text().endswith("}\n"))
    assert told.read_text().startswith('nobody\n{"event": "swap"')


async def test_a_release_of_roots_checkout_is_built_and_run_as_the_user(directory: Path) -> None:
    build = {"build": ["sh", "-c", "id -un > built-by"]}
    site = a_site(directory, owner=0, app={"user": "nobody"}, release=build)
    async with site.running():
        [pid] = (await site.status())["live"]["pids"]
        assert uid_of(pid) == NOBODY.pw_uid
        release = site.state / "releases" / site.releases()[0]
        assert (release / "built-by").read_text() == "nobody\n"
        assert (site.checkout / "app.py").stat().st_uid == 0
        second = site.commit("second")
        await site.until_live(second)


async def test_no_program_that_the_app_brings_along_is_run_as_root(directory: Path) -> None:
    """The PATH of its settings leads to them."""
    names = ("chown", "chmod", "git", "ln", "mkdir", "rm", "sh")
    told = directory / "told"
    told.touch()
    told.chmod(0o666)
    site = a_site(directory, owner=0, app={"user": "nobody", "env": {"PATH": f"{directory}/bin"}})
    site.configure(release={"build": [PYTHON, "-c", "pass"], "link": ["linked"], "keep": 1})
    (site.checkout / "linked").mkdir()
    (directory / "bin").mkdir()
    for name in names:
        program = directory / "bin" / name
        program.write_text(f'#!/bin/sh\n/usr/bin/id -un >>{told}\nexec /bin/{name} "$@"\n')
        program.chmod(0o755)
    async with site.running():
        for text in ("second", "third"):
            await site.until_live(site.commit(text))
    assert "root" not in told.read_text().split()


@pytest.mark.parametrize(
    ("place", "mode"),
    [
        (".git", 0o2775),
        (".git/config", 0o664),
        (".git/info", 0o777),
        (".git/info/attributes", 0o666),
        (".git/HEAD", 0o664),
        (".", 0o2775),
    ],
)
async def test_git_is_not_run_as_root_where_others_can_write(
    directory: Path, place: str, mode: int
) -> None:
    """They need only name a program there, such as a filter."""
    site = a_site(directory / "site", owner=0, app={"user": "nobody"})
    traces = directory / "traces"
    filter_ = f"id -un >>{traces}; cat"
    git(site.checkout, "config", "filter.theirs.smudge", filter_)
    (site.checkout / ".git" / "info" / "attributes").write_text("* filter=theirs\n")
    (site.checkout / place).chmod(mode)
    site.start()
    assert site.process is not None
    assert site.process.wait(20) == 2
    assert f"users other than root can write {(site.checkout / place).resolve()}" in site.log()
    assert "chmod go-w" in site.log()
    assert not traces.exists()


async def test_a_shared_checkout_that_belongs_to_a_user_is_run_as_that_user(
    directory: Path,
) -> None:
    """What its group can do is what its owner has chosen, and nothing runs as root."""
    traces = directory / "traces"
    traces.touch()
    traces.chmod(0o666)
    site = a_site(directory, owner=NOBODY.pw_uid)
    config = site.checkout / ".git" / "config"
    git(directory, "config", "-f", str(config), "filter.theirs.smudge", f"id -un >>{traces}; cat")
    (site.checkout / ".git" / "info" / "attributes").write_text("* filter=theirs\n")
    os.chown(config, NOBODY.pw_uid, NOBODY.pw_gid)
    for path in (site.checkout / ".git", config):
        path.chmod(path.stat().st_mode | 0o020)
    async with site.running():
        assert set(traces.read_text().split()) == {"nobody"}


async def test_nothing_is_pulled_as_root_into_directories_that_others_can_write(
    directory: Path,
) -> None:
    upstream = Repository(directory / "upstream")
    (upstream.path / "static").mkdir()
    (upstream.path / "static" / "page").write_text("one")
    first = upstream.commit(text="one")
    checkout = upstream.clone(directory / "checkout")
    (checkout.path / "static").chmod(0o777)
    second = upstream.commit(text="two")
    with pytest.raises(GitError, match=f"other than root can write {checkout.path / 'static'}"):
        await git_of(checkout.path).pull(None)
    (checkout.path / "static").chmod(0o755)
    assert await git_of(checkout.path).pull(None) == second != first


@pytest.mark.parametrize("owner", ["root", "the app's user"])
async def test_a_linked_directory_is_created_by_the_owner_of_its_parent(
    directory: Path, owner: str
) -> None:
    """In the app's own directory root makes nothing and gives nothing away: a name there may lead
    anywhere."""
    site = a_site(directory, owner=0, app={"user": "nobody"}, release={"link": ["data/in/cache/"]})
    data = site.checkout / "data"
    data.mkdir()
    if owner != "root":
        os.chown(data, NOBODY.pw_uid, NOBODY.pw_gid)
    async with site.running():
        made = [(data / name).stat().st_uid for name in ("in", "in/cache")]
        assert made == ([0, NOBODY.pw_uid] if owner == "root" else [NOBODY.pw_uid] * 2)


ASK_GIT = """
import os, subprocess, sys
who = ["git", "config", "site.given"], ["git", "rev-parse", "HEAD"], ["git", "status", "-s"]
answers = [subprocess.run(words, capture_output=True, text=True) for words in who]
print(*(a.stdout + a.stderr for a in answers), sep="", file=open(f"git-of-{sys.argv[1]}", "w"))
if sys.argv[2:]:
    os.execvp(sys.argv[2], sys.argv[2:])
"""


async def test_git_works_in_a_release_of_somebody_elses_checkout(directory: Path) -> None:
    """For the build and for the app, which both belong to another user than the repository."""
    given = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "site.given", "GIT_CONFIG_VALUE_0": "yes"}
    ask = [PYTHON, "-c", ASK_GIT]
    site = a_site(directory, owner=0, app={"user": "nobody", "env": given})
    site.configure(
        app={"command": [*ask, "app", PYTHON, "app.py"]}, release={"build": [*ask, "build"]}
    )
    site.commit("one", {".gitignore": "git-of-*"})
    async with site.running():
        live = (await site.status())["live"]["revision"]
        release = site.state / "releases" / site.releases()[0]
        for asker in ("build", "app"):
            assert (release / f"git-of-{asker}").read_text() == f"yes\n{live}\n\n"


async def test_a_trial_start_builds_as_the_user(directory: Path) -> None:
    build = {"build": ["sh", "-c", "touch built; id -un; exit 1"]}
    site = a_site(directory, owner=0, app={"user": "nobody"}, release=build)
    done = await site.run("check", "--start", str(site.config_file))
    assert done.code == 1, done.out
    assert "last lines of output:\n            nobody\n" in done.out


@pytest.mark.parametrize("unsafe", ["the file", "its directory", "the state directory"])
async def test_root_refuses_files_that_others_can_write(directory: Path, unsafe: str) -> None:
    site = a_site(directory, owner=NOBODY.pw_uid)
    site.state.mkdir()
    place = {
        "the file": site.config_file,
        "its directory": directory,
        "the state directory": site.state,
    }[unsafe]
    os.chown(place, NOBODY.pw_uid, NOBODY.pw_gid)
    site.start()
    assert site.process is not None
    assert site.process.wait(20) == 2
    assert f"users other than root can write {place}" in site.log()


async def test_settings_that_others_can_write_are_not_reloaded(directory: Path) -> None:
    site = a_site(directory, owner=NOBODY.pw_uid)
    async with site.running():
        site.configure(hold={"limit": 1})
        site.config_file.chmod(0o666)
        answer = await site.ask("reload")
        assert f"users other than root can write {site.config_file}" in answer["error"]
        site.config_file.chmod(0o644)
        assert [change["key"] for change in (await site.ask("reload"))["changes"]] == ["limit"]


async def test_a_git_directory_with_another_owner_is_refused(directory: Path) -> None:
    site = a_site(directory, owner=0, app={"user": "nobody"})
    os.chown(site.checkout / ".git", NOBODY.pw_uid, NOBODY.pw_gid)
    site.start()
    assert site.process is not None
    assert site.process.wait(20) == 2
    assert "run anything as root" in site.log()
    assert git(site.checkout, "-c", f"safe.directory={site.checkout}", "rev-parse", "HEAD")
