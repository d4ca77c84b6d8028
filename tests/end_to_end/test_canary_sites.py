"""A canary of one of several sites: shares, and that nobody else notices."""

import os
import signal
from collections.abc import Callable

import pytest
import trio

from tests.support.http2_user_agent import http2_client
from tests.support.http_client import HttpClient
from tests.support.several_sites import SeveralSites
from tests.support.site import RealSite
from tests.support.swaps import outcomes, reaches
from tests.support.tls_site import with_tls
from tests.support.visitors import PROXIES, Visitors
from tests.waiting import until

MakeSite = Callable[..., RealSite]
MakeSites = Callable[..., SeveralSites]


@pytest.mark.long
@pytest.mark.parametrize("keep_cookies", [True, False])
async def test_each_site_has_its_own_canary_with_its_own_share(
    make_sites: MakeSites, keep_cookies: bool
) -> None:
    sites = make_sites("blog", "shop", "wiki", proxy=PROXIES)
    shares = {"blog": 20, "shop": 60, "wiki": 0}
    crowds = {
        name: Visitors(
            sites.port, sites[name].host, count=120, keep_cookies=keep_cookies, pause=0.5
        )
        for name in shares
    }
    async with sites.running(), trio.open_nursery() as nursery:
        revisions = {name: sites[name].app.draft(f"{name} two") for name in shares}
        finished = trio.Event()
        ready = dict.fromkeys(shares, False)

        async def visit(name: str) -> None:
            async with crowds[name].going_on():
                ready[name] = True
                await finished.wait()

        for name in shares:
            nursery.start_soon(visit, name)
        while not all(ready.values()):
            await trio.sleep(0.05)
        for name, share in shares.items():
            if share:
                await sites.ask(
                    "swap", site=name, revision=revisions[name], canary=share, wait=False
                )
        for name, share in shares.items():
            while share and (await sites.status_of(name))["step"] != "canary":
                await trio.sleep(0.05)
        for crowd in crowds.values():
            await crowd.all_got_more(1)
            crowd.forget()
        for crowd in crowds.values():
            await crowd.all_got_more(3)
        for name, share in shares.items():
            crowd, inside = crowds[name], len(crowds[name].who_got(revisions[name]))
            sigma = (share * (100 - share)) ** 0.5 / 100 * crowd.count**0.5
            assert abs(inside - crowd.count * share / 100) <= 4 * sigma, (name, inside)
            assert crowd.wavering() == []
        await sites.ask("promote", site="blog")
        await sites.ask("abort", site="shop")
        for crowd in crowds.values():
            await crowd.all_got_more(1)
        assert len(crowds["blog"].who_got(revisions["blog"])) == 120
        assert crowds["shop"].who_got(revisions["shop"]) == set()
        finished.set()
    assert [crowd.failures for crowd in crowds.values()] == [[], [], []]


@pytest.mark.long
@pytest.mark.parametrize("end", ["promote", "abort", "swap"])
async def test_requests_that_may_not_be_repeated_survive_every_end(
    make_site: MakeSite, end: str
) -> None:
    site = make_site(proxy=PROXIES)
    site.commit("one")
    visitors = Visitors(site.port, path="/?slow=0.4", posts=True, pause=0.01)
    async with site.running(), visitors.going_on():
        two = site.draft("two")
        await site.ask("swap", revision=two, canary=50, wait=False)
        await reaches(site, "canary")
        await visitors.all_got_more(2)
        assert visitors.who_got(two)
        if end == "swap":
            await site.ask("swap", revision=site.draft("three"))
        else:
            await site.ask(end)
        await visitors.all_got_more(2)
    assert visitors.failures == []
    assert site.remembered()["history"][-1]["cut"] == 0


@pytest.mark.long
@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_head_gets_another_canary_after_a_restart_if_the_settings_have_one(
    make_site: MakeSite, how: str
) -> None:
    site = make_site(swap={"canary": "50%", "canary_for": "1h"})
    one = site.commit("one")
    site.start()
    await site.until_phase("serving")
    two = site.commit("two")
    await reaches(site, "canary")
    if how == "kill":
        assert site.process is not None
        site.process.kill()
        site.process.wait()
    else:
        await site.stop()
    async with site.running(wait_for="swapping"):
        await reaches(site, "canary")
        status = await site.status()
        assert (status["live"]["revision"], status["trial"]["revision"]) == (one, two)
        assert outcomes(site)[-1] == ("aborted", two)
        await site.ask("abort")


@pytest.mark.long
async def test_head_does_not_go_live_after_a_restart_without_the_canary_that_was_asked_for(
    make_site: MakeSite,
) -> None:
    site = make_site()
    one = site.commit("one")
    async with site.running():
        two = site.commit("two", start_delay=2)
        await reaches(site, "probe")
        await site.ask("swap", revision=two, canary=50, wait=False)
        await reaches(site, "canary")
    async with site.running():
        await trio.sleep(1)
        status = await site.until_live(one)
        assert status["wanted"] == one
        assert status["why"] == (
            f"its swap was aborted (to deploy it: blue-green swap {two[:7]}): "
            "the site was stopped during its canary"
        )
        assert site.remembered()["history"][-1]["subject"] == "two"


@pytest.mark.long
async def test_a_canary_that_failed_just_before_the_supervisor_was_killed_is_not_forgotten(
    make_site: MakeSite,
) -> None:
    site = make_site()
    one = site.commit("one")
    site.start()
    await site.until_phase("serving")
    # What the app has started keeps its output open, for which the report of the failure waits.
    two = site.commit("two", start_delay=2, grandchildren=True)
    await reaches(site, "probe")
    await site.ask("swap", revision=two, canary=50, wait=False)
    await reaches(site, "canary")
    (pid,) = (await site.status())["candidate"]["pids"]
    os.kill(pid, signal.SIGKILL)
    await site.until_logged(f"swap {two[:7]}: canary ")
    assert await site.stop(signal.SIGKILL) == -signal.SIGKILL
    assert outcomes(site)[-1] == ("promoted", one), "it was killed too late"
    async with site.running():
        await trio.sleep(1)
        status = await site.until_live(one)
        assert status["wanted"] == one
    assert outcomes(site)[-1] == ("aborted", two)


@pytest.mark.long
async def test_a_live_release_that_hangs_ends_the_canary_and_is_replaced(
    make_site: MakeSite,
) -> None:
    site = make_site(proxy={"response_timeout": "1s"}, health={"timeout": "200ms"})
    one = site.commit("one")
    async with site.running():
        two = site.draft("two")
        await site.ask("swap", revision=two, canary=0.01, wait=False)
        await reaches(site, "canary")
        before = (await site.status())["live"]["pids"]
        await site.get("/hang")
        await until("it is replaced", lambda: replaced(site, before))
        await site.until_live(one)
    assert outcomes(site)[-2:] == [("superseded", two), ("promoted", one)]


async def replaced(site: RealSite, pids: list[int]) -> bool:
    live = (await site.status())["live"]
    return bool(live["pids"] != pids)


@pytest.mark.long
async def test_the_cookie_of_a_canary_is_set_over_http2(make_site: MakeSite) -> None:
    site = with_tls(make_site())
    site.commit("one")
    async with site.running(), http2_client(site.port) as client:
        await site.ask("swap", revision=site.draft("two"), canary=100, wait=False)
        await reaches(site, "canary")
        answer = await client.get("/")
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("blue-green-canary=")
        assert cookie.endswith("; Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure")
        assert answer.json()["text"] == "two"
        answer = await client.get("/", cookie=cookie.partition(";")[0])
        assert "set-cookie" not in answer.headers
        await site.ask("abort")


@pytest.mark.long
async def test_a_stop_finishes_the_requests_of_both_releases_and_ends_the_canary(
    make_site: MakeSite,
) -> None:
    site = make_site(proxy=PROXIES)
    one = site.commit("one")
    answers: list[str] = []

    async def ask(address: str) -> None:
        async with HttpClient(site.port) as http:
            answer = await http.get("/?slow=1.5", Host="h", X_Forwarded_For=address)
            answers.append(answer.json()["revision"])

    async with site.running(), trio.open_nursery() as nursery:
        two = site.draft("two")
        await site.ask("swap", revision=two, canary=50, wait=False)
        await reaches(site, "canary")
        for number in range(12):
            nursery.start_soon(ask, f"203.0.113.{number}")
        await until("all are in flight", lambda: len(site.journal("request")) >= 12)
        assert await site.stop() == 0
        await until("all are answered", lambda: len(answers) == 12)
        site.start()
        await site.until_phase("serving")
        await site.until_live(one)
    assert set(answers) == {one, two}
    assert outcomes(site)[-1] == ("aborted", two)


@pytest.mark.long
async def test_a_site_that_is_removed_in_its_canary_finishes_and_reports_it_when_it_is_back(
    make_sites: MakeSites,
) -> None:
    sites = make_sites("blog", "shop", proxy=PROXIES)
    blog, answers = sites["blog"], list[str]()
    settings = sites.file_of("blog").read_text()
    headers = {"Host": blog.host}

    async def ask(address: str) -> None:
        async with HttpClient(sites.port) as http:
            answer = await http.get("/?slow=1.5", **headers, X_Forwarded_For=address)
            answers.append(answer.json()["revision"])

    async with sites.running(), sites.loaded("shop"), trio.open_nursery() as nursery:
        one, two = blog.app.head(), blog.app.draft("blog two")
        await sites.ask("swap", site="blog", revision=two, canary=50, wait=False)

        async def is_on_trial() -> bool:
            return bool((await sites.status_of("blog"))["step"] == "canary")

        await until("the canary", is_on_trial)
        for number in range(12):
            nursery.start_soon(ask, f"203.0.113.{number}")
        await until("all are in flight", lambda: len(blog.app.journal("request")) >= 12)
        sites.file_of("blog").unlink()
        assert (await sites.cli("reload")).code == 0
        await until("all are answered", lambda: len(answers) == 12)
        await until("nothing runs", lambda: not blog.processes())
        sites.file_of("blog").write_text(settings)
        assert (await sites.cli("reload")).code == 0
        status = await sites.until_live("blog", one)
        assert set(answers) == {one, two}
        last = status["last_swap"]
        assert (last["outcome"], last["revision"]) == ("aborted", two)
        assert last["reason"] == "the site was stopped during its canary"
