"""`swap --rebuild`: the live revision is built again beside itself and switched to."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.site import RealSite
from tests.waiting import until

MakeSite = Callable[..., RealSite]


@pytest.fixture
def make_built(make_site: MakeSite) -> Callable[..., tuple[RealSite, Path]]:
    """Makes a site, and the file from which its build takes the text of the release."""

    def make(**sections: object) -> tuple[RealSite, Path]:
        site = make_site(**sections)
        given = site.directory / "given"
        given.write_text("first")
        build = f"[ ! -e {given}-fails ] && cp {given} text.txt && cp {given} built.txt"
        site.configure(release={"build": ["sh", "-c", build]})
        return site, given

    return make


async def text(site: RealSite) -> str:
    answer: str = (await site.get("/")).json()["text"]
    return answer


@pytest.mark.parametrize("strategy", ["overlap", pytest.param("exclusive", marks=pytest.mark.long)])
async def test_a_rebuild_of_the_live_revision_is_built_beside_it(
    make_built: Callable[..., tuple[RealSite, Path]], strategy: str
) -> None:
    site, given = make_built(swap={"strategy": strategy})
    one = site.commit("one")
    async with site.running():
        given.write_text("second")
        async with site.steady_load() as texts:
            assert await text(site) == "first"
            done = await site.cli("swap", "--rebuild")
            assert done.code == 0, done
            assert [line.split()[0] for line in done.out.splitlines()[1:3]] == ["checkout", "build"]
            assert await text(site) == "second"
        assert set(texts) == {"first", "second"}
        assert (await site.status())["previous"] is None
        assert site.releases() == [one[:12], f"{one[:12]}-2"]
        status = await site.until_live(site.commit("two"))
        assert (await site.cli("rollback")).code == 0
        assert await text(site) == "second", "the newer build is the one that counts"
        await until("the older build is removed", lambda: one[:12] not in site.releases())
        assert status["unremovable"] == []


async def test_a_rebuilt_release_serves_again_after_a_restart_of_the_supervisor(
    make_built: Callable[..., tuple[RealSite, Path]],
) -> None:
    site, given = make_built()
    one = site.commit("one")
    async with site.running():
        given.write_text("second")
        assert (await site.cli("swap", "--rebuild")).code == 0
    async with site.running():
        assert await text(site) == "second"
        await until("the older one is gone", lambda: site.releases() == [f"{one[:12]}-2"])
        assert (await site.cli("swap", "--rebuild")).code == 0
        assert await text(site) == "second"


@pytest.mark.parametrize("fails", ["in the build", "at the start"])
async def test_a_rebuild_that_fails_leaves_the_build_that_is_live(
    make_built: Callable[..., tuple[RealSite, Path]], fails: str
) -> None:
    site, given = make_built()
    broken = site.directory / "broken"
    one = site.commit("one", raises_while_there_is=str(broken))
    async with site.running():
        given.write_text("second")
        (broken if fails == "at the start" else Path(f"{given}-fails")).touch()
        done = await site.cli("swap", "--rebuild")
        assert done.code == 1
        assert await text(site) == "first"
        assert (await site.status())["quarantined"] == {}
        broken.unlink(missing_ok=True)
        await until("it is remembered", lambda: len(site.remembered()["history"]) == 2)
        await site.stop(signal.SIGKILL)
        site.start()
        await site.until_phase("serving")
        assert await text(site) == "first"
        await until("the failed build is gone", lambda: site.releases() == [one[:12]])


async def test_an_added_link_takes_effect_with_a_rebuild(
    make_site: MakeSite,
) -> None:
    site = make_site()
    one = site.commit("one")
    (site.checkout / ".git/info/exclude").write_text("uploads\n")
    (site.checkout / "uploads").mkdir()
    async with site.running():
        site.configure(release={"link": ["uploads/"]})
        done = await site.cli("reload")
        assert "swap --rebuild" in done.out
        assert (await site.cli("restart")).code == 0
        releases = site.state / "releases"
        assert not (releases / one[:12] / "uploads").exists()
        assert (await site.cli("swap", "--rebuild")).code == 0
        assert (releases / f"{one[:12]}-2" / "uploads").is_symlink()


async def test_a_rebuild_without_a_revision_builds_the_live_one_even_if_head_differs(
    make_built: Callable[..., tuple[RealSite, Path]],
) -> None:
    site, given = make_built()
    one = site.commit("one")
    async with site.running():
        two = site.commit("two", raises="it is broken")
        await site.until_logged(f"swap {two[:7]}: failed")
        given.write_text("second")
        done = await site.cli("swap", "--rebuild")
        assert (done.code, done.out.splitlines()[-2]) == (0, f"promoted {one[:7]}")
        assert await text(site) == "second"
        status = await site.status()
        assert (status["live"]["revision"], status["head"]) == (one, two)
        assert list(status["quarantined"]) == [two]
        done = await site.cli("swap", two, "--rebuild")
        assert (done.code, two[:7] in done.out) == (1, True), "named, any other is"


async def test_a_rebuild_of_the_live_revision_cancels_no_other_swap(
    make_built: Callable[..., tuple[RealSite, Path]],
) -> None:
    site, _ = make_built()
    site.commit("one")
    async with site.running():
        two = site.draft("two", start_delay=600)
        await site.ask("swap", revision=two, wait=False)
        await until("it starts", lambda: len(site.journal("set up")) == 2)
        done = await site.cli("swap", "--rebuild")
        assert (done.code, "a swap is in progress" in done.err) == (1, True)
        assert (await site.status())["swap"]["revision"] == two
