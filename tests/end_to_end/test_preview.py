"""A preview: only who opens the secret link sees the new release."""

from collections.abc import Callable

import pytest
import trio

from tests.support.app_checkout import git
from tests.support.http_client import HttpClient
from tests.support.site import RealSite
from tests.support.static_site import StaticSite, script_of
from tests.support.swaps import outcomes

MakeSite = Callable[..., RealSite]
MakeStatic = Callable[..., StaticSite]


async def opened(site: RealSite, link: str) -> str:
    """Open the link; the cookie that it sets."""
    path = link.removeprefix(f"http://127.0.0.1:{site.port}")
    assert path.startswith("/preview-access/")
    answer = await site.get(path)
    assert (answer.status, answer.headers["location"]) == (303, "../")
    return answer.headers["set-cookie"].partition(";")[0]


async def seen(site: RealSite, cookie: str = "") -> str:
    headers = {"Cookie": cookie} if cookie else {}
    async with HttpClient(site.port) as http:
        text: str = (await http.get("/", **headers)).json()["text"]
    return text


async def test_a_preview_is_only_for_those_with_the_link_until_it_is_promoted(
    make_site: MakeSite,
) -> None:
    site = make_site()
    one = site.commit("one")
    async with site.running(), site.steady_load() as texts:
        two = site.draft("two")
        done = await site.cli("swap", two, "--preview")
        assert done.code == 0, done.err
        *_, link, _ = done.out.splitlines()
        assert f"preview of {two[:7]} for 4 h: whoever opens this link" in done.out
        cookie = await opened(site, link.strip())
        assert (await seen(site), await seen(site, cookie)) == ("one", "two")
        again = await site.ask("swap", revision=two, preview=True)
        assert again["links"] == [link.strip()]
        status = await site.status()
        assert (status["live"]["revision"], status["trial"]["kind"]) == (one, "preview")
        assert "preview-access" not in str(status)
        assert "two" not in texts
        assert (await site.cli("promote")).code == 0
        assert await seen(site) == "two"
    assert outcomes(site)[-1] == ("promoted", two)


@pytest.mark.long
async def test_a_preview_that_nobody_promotes_ends(make_site: MakeSite) -> None:
    site = make_site()
    one = site.commit("one")
    async with site.running():
        two = site.draft("two")
        done = await site.cli("swap", two, "--preview", "--for", "1s")
        cookie = await opened(site, done.out.splitlines()[-2].strip())
        await site.until_live(one)
        assert await seen(site, cookie) == "one"
    assert outcomes(site)[-1] == ("aborted", two)


@pytest.mark.long
async def test_a_commit_ends_a_preview_and_is_deployed(make_site: MakeSite) -> None:
    site = make_site()
    site.commit("one")
    async with site.running():
        two = site.draft("two")
        assert (await site.cli("swap", two, "--preview")).code == 0
        three = site.commit("three")
        await site.until_live(three)
    assert outcomes(site)[-2:] == [("superseded", two), ("promoted", three)]


@pytest.mark.long
async def test_head_that_moves_to_the_revision_of_a_preview_is_deployed(
    make_site: MakeSite,
) -> None:
    site = make_site()
    site.commit("one")
    async with site.running():
        two = site.draft("two")
        assert (await site.cli("swap", two, "--preview")).code == 0
        await trio.to_thread.run_sync(move_head, site, two)
        await site.until_live(two)
    assert outcomes(site)[-2:] == [("superseded", two), ("promoted", two)]


def move_head(site: RealSite, revision: str) -> None:
    git(site.checkout, "reset", "-q", "--hard", revision)


@pytest.mark.long
async def test_a_candidate_that_dies_in_its_preview_has_failed(make_site: MakeSite) -> None:
    site = make_site()
    one = site.commit("one")
    async with site.running():
        two = site.draft("two", healthy_for=3)
        await site.ask("swap", revision=two, preview=True)
        status = await site.until_live(one)
        assert list(status["quarantined"]) == [two]
    assert outcomes(site)[-1] == ("failed", two)


@pytest.mark.long
async def test_a_static_site_is_previewed_and_others_have_none_of_its_files(
    make_static: MakeStatic,
) -> None:
    static = make_static()
    site, one = static.real, static.publish("one")

    async def page(path: str, cookie: str = "") -> str:
        headers = {"Cookie": cookie} if cookie else {}
        async with HttpClient(site.port) as http:
            return (await http.get(path, **headers)).body.decode()

    async with site.running():
        await site.until_live(one)
        git(site.checkout, "checkout", "-q", "-b", "next")
        two = static.publish("two", launch="a secret")
        git(site.checkout, "checkout", "-q", "-")
        for after in ("abort", "promote"):
            done = await site.cli("swap", two, "--preview")
            assert done.code == 0, done
            cookie = await opened(site, done.out.splitlines()[-2].strip())
            assert "<title>two" in await page("/", cookie)
            assert "a secret" in await page("/launch", cookie)
            assert "runs" in await page(script_of("one"), cookie)
            assert "<title>one" in await page("/")
            assert "a secret" not in await page("/launch")
            assert (await site.get(script_of("two"))).status == 404
            assert (await site.cli(after)).code == 0
            assert ("<title>two" in await page("/")) is (after == "promote")
            assert ("a secret" in await page("/launch", cookie)) is (after == "promote")
        done = await site.cli("swap", one, "--canary", "5%")
        assert "no canary is possible: a static site has no app that could fail" in done.err
    assert outcomes(site)[-2:] == [("aborted", two), ("promoted", two)]


@pytest.mark.long
async def test_it_is_refused_where_there_is_nothing_to_show_it_beside(make_site: MakeSite) -> None:
    site = make_site(swap={"strategy": "exclusive"})
    site.commit("one")
    async with site.running():
        for option in ("--preview", "--canary=5%"):
            two = site.draft("two")
            done = await site.cli("swap", two, option)
            kind = "preview" if option == "--preview" else "canary"
            assert (done.code, done.err) == (
                1,
                f"blue-green: no {kind} is possible: it needs two releases at once, which "
                'strategy = "exclusive" in [swap] rules out\n',
            )
        assert [start["revision"] for start in site.journal("start")] == [site.head()]
        done = await site.cli("promote")
        assert (done.code, done.err) == (
            1,
            "blue-green: there is no canary and no preview\n",
        )
