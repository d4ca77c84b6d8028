"""`git push` straight to the checkout: what is pushed is live when the push ends, or refused."""

import subprocess
from collections.abc import Callable

import pytest

from tests.support.app_checkout import git
from tests.support.pushing import Developer, accepting, until_head
from tests.support.site import RealSite
from tests.support.swaps import outcomes
from tests.waiting import until

MakeSite = Callable[..., RealSite]


async def test_a_push_is_live_when_it_ends_and_one_that_fails_is_refused(
    make_site: MakeSite,
) -> None:
    site = make_site(release={"build": ["sh", "-c", "cat build.txt >&2; test ! -e broken.txt"]})
    first = site.commit("one", {"build.txt": "building one\n"})
    async with site.running():
        await accepting(site)
        developer = Developer(site)
        second = developer.commit("two", build_txt="building two\nhard\n")
        pushed = await developer.push()
        assert pushed.is_accepted, pushed.output
        assert (await site.get("/")).json()["text"] == "two"
        assert (site.head(), (site.checkout / "text.txt").read_text()) == (second, "two")
        assert git(site.checkout, "status", "--porcelain") == ""
        shown = "\n".join(pushed.remote)
        assert f"swap to {second[:7]}\n" in shown
        assert "    building two\n    hard\n  build " in shown
        assert f"promoted {second[:7]}\n" in shown
        assert pushed.remote[-1] == f"live on 127.0.0.1:{site.port}"

        broken = developer.commit("three", broken_txt="x", build_txt="cannot build three\n")
        pushed = await developer.push()
        assert not pushed.is_accepted
        assert f"failed {broken[:7]}: build ended with exit status 1" in pushed.remote
        assert "    cannot build three" in pushed.remote
        assert "! [remote rejected] main -> main (hook declined)" in pushed.output
        assert (site.head(), (site.checkout / "text.txt").read_text()) == (second, "two")
        assert (await site.get("/")).json()["text"] == "two"

        # The same commit again is tried again, although it is in quarantine.
        pushed = await developer.push()
        assert f"failed {broken[:7]}: build ended with exit status 1" in pushed.remote
        git(developer.path, "rm", "-q", "broken.txt")
        fixed = developer.commit("four")
        assert (await developer.push()).is_accepted
        await until_head(site, fixed)
        assert outcomes(site) == [
            ("promoted", first),
            ("promoted", second),
            ("failed", broken),
            ("failed", broken),
            ("promoted", fixed),
        ]
        assert site.log().count("triggered by a new commit") == 1, "only the first start"


@pytest.mark.long
async def test_a_push_that_fails_by_a_fault_of_the_machine_is_not_retried(
    make_site: MakeSite,
) -> None:
    full = "test ! -e ../../../full || { echo No space left on device; exit 1; }"
    site = make_site(release={"build": ["sh", "-c", full]})
    first = site.commit("one")
    async with site.running():
        await accepting(site)
        developer = Developer(site)
        (site.directory / "full").touch()
        second = developer.commit("two")
        pushed = await developer.push()
        assert not pushed.is_accepted
        assert f"failed {second[:7]}: a disk is full: build ended with" in pushed.output
        assert "next attempt" not in pushed.output
        status = await site.status()
        assert (status["wanted"], status["why"], status["head"]) == (first, "", first)
        (site.directory / "full").unlink()
        assert (await developer.push()).is_accepted
        await until_head(site, second)


@pytest.mark.long
async def test_only_the_branch_that_is_checked_out_is_deployed(make_site: MakeSite) -> None:
    site = make_site()
    first = site.commit("one")
    async with site.running():
        await accepting(site)
        developer = Developer(site)
        developer.commit("two")
        git(developer.path, "tag", "v2")
        pushed = await developer.push("origin", "main:feature", "v2")
        assert pushed.is_accepted
        note = "nothing is deployed: main is checked out on the server, not feature"
        assert pushed.remote == [note]
        assert (await developer.push("origin", ":feature")).is_accepted
        assert (await site.status())["live"]["revision"] == first
        pushed = await developer.push("origin", "main", "main:other")
        assert pushed.is_accepted
        assert (await site.get("/")).json()["text"] == "two"
        git(site.checkout, "checkout", "-q", "--detach")
        developer.commit("three")
        pushed = await developer.push()
        assert pushed.remote == [f"HEAD of {site.checkout} is detached: nothing is deployed"]
        assert len(outcomes(site)) == 2


@pytest.mark.long
async def test_a_push_that_git_could_not_finish_is_refused_before_its_swap(
    make_site: MakeSite,
) -> None:
    site = make_site()
    first = site.commit("one", {"tracked.txt": "one"})
    async with site.running():
        await accepting(site)
        developer = Developer(site)
        developer.commit("two", data_db="theirs")
        (site.checkout / "tracked.txt").write_text("changed there")
        pushed = await developer.push()
        assert not pushed.is_accepted
        changed = "the checkout on the server has uncommitted changes: tracked.txt"
        assert pushed.remote == [
            f"blue-green: {changed}",
            "error: hook declined to update refs/heads/main",
        ]
        git(site.checkout, "checkout", "-q", "tracked.txt")
        (site.checkout / ".git" / "info" / "exclude").write_text("data.db")
        (site.checkout / "data.db").write_text("ours")
        pushed = await developer.push()
        assert "untracked files that would be overwritten: data.db. Move them" in pushed.output
        assert (site.checkout / "data.db").read_text() == "ours"
        assert (site.head(), len(outcomes(site))) == (first, 1)
        (site.checkout / "data.db").unlink()
        for name in ("index.lock", "refs/heads/main.lock"):
            lock = site.checkout / ".git" / name
            lock.touch()
            assert f"if none runs, delete {lock}" in (await developer.push()).output
            lock.unlink()
        assert (site.head(), len(outcomes(site))) == (first, 1)
        assert (await developer.push()).is_accepted
        # Nobody can push over what is on the server.
        other = Developer(site, "other")
        theirs = developer.commit("three")
        assert (await developer.push()).is_accepted
        other.commit("four")
        pushed = await other.push()
        assert "fetch first" in pushed.output
        assert (await other.push("--force", "origin", "main")).is_accepted
        assert theirs in git(site.checkout, "rev-list", "--reflog")


@pytest.mark.long
async def test_a_push_that_changes_nothing_in_paths_is_accepted_without_a_swap(
    make_site: MakeSite,
) -> None:
    site = make_site(git={"paths": ["app.py", "text.txt"]})
    first = site.commit("one")
    async with site.running():
        await accepting(site)
        developer = Developer(site)
        docs = developer.commit("one", docs_md="more")
        pushed = await developer.push()
        assert pushed.is_accepted
        nothing = f"it changes nothing in app.py, text.txt since {first[:7]}"
        assert pushed.remote == [f"nothing is deployed: {nothing}"]
        assert (site.checkout / "docs.md").read_text() == "more"
        await until("it is passed over", lambda: f"HEAD is {docs[:7]} now" in site.log())
        assert len(outcomes(site)) == 1


@pytest.mark.long
async def test_a_push_is_accepted_while_no_supervisor_runs_and_deployed_at_its_start(
    make_site: MakeSite,
) -> None:
    site = make_site()
    site.commit("one")
    async with site.running():
        await accepting(site)
        developer = Developer(site)
    pushed_text = developer.commit("two")
    pushed = await developer.push()
    assert pushed.is_accepted
    assert "no supervisor listens on" in pushed.output
    assert pushed.remote[-1].startswith("the push is accepted: the supervisor deploys it when")
    async with site.running():
        await site.until_live(pushed_text)


@pytest.mark.long
async def test_the_hook_works_after_an_upgrade_in_place(make_site: MakeSite) -> None:
    site = make_site()
    site.commit("one")
    async with site.running():
        await accepting(site)
        developer = Developer(site)
        last = developer.commit("two")
        assert (await developer.push()).is_accepted
        assert (await site.cli("upgrade")).code == 0
        await until_head(site, last)
        last = developer.commit("three")
        pushed = await developer.push()
        assert pushed.is_accepted
        assert f"promoted {last[:7]}" in pushed.remote
        await until_head(site, last)
        assert (await site.cli("rollback")).code == 0
        assert (await site.get("/")).json()["text"] == "two"
        again = developer.commit("four")
        assert (await developer.push()).is_accepted
        await until_head(site, again)


@pytest.mark.long
async def test_the_first_push_to_an_empty_checkout_is_deployed(make_site: MakeSite) -> None:
    site = make_site()
    site.commit("one")
    source = site.checkout.rename(site.directory / "source")
    git(site.directory, "init", "-q", "-b", "main", str(site.checkout))
    await accepting(site)
    pushed = subprocess.run(
        ["git", "push", str(site.checkout), "main"], cwd=source, capture_output=True, check=False
    )
    assert pushed.returncode == 0, pushed.stderr
    assert (site.checkout / "text.txt").read_text() == "one"
    async with site.running():
        await site.until_live(site.head())
