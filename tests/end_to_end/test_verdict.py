"""The verdict by traffic: a release whose probe is fine and whose pages fail is taken back."""

import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from attrs import define, field

from tests.support.http_client import HttpClient
from tests.support.several_sites import SeveralSites
from tests.support.site import RealSite
from tests.support.swaps import outcomes, reaches
from tests.support.upgrade import upgraded
from tests.waiting import until

MakeSite = Callable[..., RealSite]
MakeSites = Callable[..., SeveralSites]

REASON = r"(\d+) of \1 requests failed after the switch \(100%\), and 0 of \d+ before \(0%\)\n"
SOAK = "5s"
"""The default, which the tests' sites do not have."""


@define
class PageLoad:
    """Clients that send requests all the time, and what they got."""

    port: int
    host: str = "127.0.0.1"
    pause: float = 0.02
    answers: Counter[tuple[int, str]] = field(factory=Counter)
    """Of each status and text of a release."""
    lost: list[str] = field(factory=list)
    """Requests without a response of the app."""

    @asynccontextmanager
    async def coming(self) -> AsyncIterator["PageLoad"]:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(self._come)
            await self.more(30, status=None)
            yield self
            nursery.cancel_scope.cancel()

    async def _come(self) -> None:
        async with HttpClient(self.port) as http:
            while True:
                try:
                    answer = await http.get("/page", Host=self.host)
                    self.answers[answer.status, answer.json()["text"]] += 1
                except Exception as error:  # noqa: BLE001 - every loss counts, of any kind
                    self.lost.append(repr(error))
                    await http.aclose()
                await trio.sleep(self.pause)

    async def more(self, count: int, status: int | None = 200) -> None:
        """Wait until so many more responses with this status, or with any, have come."""

        def seen() -> int:
            numbers = self.answers.items()
            return sum(number for (code, _), number in numbers if status in (code, None))

        before = seen()
        await until(f"{count} more with {status}", lambda: seen() >= before + count)


async def test_a_release_whose_pages_fail_is_reverted_within_its_soak(
    make_site: MakeSite, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    notify = {"command": ["sh", "-c", f"cat >>{told}"]}
    site = make_site(swap={"soak": SOAK}, notify=notify)
    one = site.commit("one")
    async with site.running(), PageLoad(site.port).coming() as visitors:
        bad = site.draft("bad", fails=1.0)
        done = await site.cli("swap", bad, "--json")
        await visitors.more(20)
        status = await site.status()
        again = await site.cli("swap", bad)
    receipt = json.loads(done.out)
    event = json.loads(told.read_text().splitlines()[-1])
    assert (event["event"], event["outcome"], event["revision"]) == ("swap", "reverted", bad)
    assert (event["reason"], event["receipt"]["results"]) == (receipt["reason"], receipt["results"])
    assert (done.code, receipt["outcome"]) == (1, "reverted"), done.out
    assert receipt["seconds"].get("soak", 0) < 4
    results, before = receipt["results"], receipt["previous_results"]
    assert results["failed"] == results["requests"] >= 20
    assert (before["failed"], before["requests"] >= 30) == (0, True)
    assert re.match(REASON, receipt["reason"])
    assert "Traceback: a bug" in receipt["output"]
    assert (status["live"]["revision"], status["live"]["results"]["failed"]) == (one, 0)
    assert (status["quarantined"].keys(), again.code) == ({bad}, 1)
    assert visitors.lost == []
    assert visitors.answers.keys() == {(200, "one"), (500, "bad")}


@pytest.mark.long
async def test_a_release_that_fails_as_much_as_the_old_one_stays(make_site: MakeSite) -> None:
    site = make_site(swap={"soak": "1s"})
    site.commit("one", fails=0.5)
    async with site.running(), PageLoad(site.port).coming() as visitors:
        done = await site.cli("swap", site.draft("two", fails=0.5), "--json")
    receipt = json.loads(done.out)
    assert (done.code, receipt["outcome"]) == (0, "promoted"), done.out
    assert receipt["results"]["failed"] > 5
    assert visitors.lost == []


@pytest.mark.long
async def test_a_release_that_fails_a_fifth_of_its_requests_is_reverted(
    make_site: MakeSite,
) -> None:
    site = make_site(swap={"soak": SOAK})
    site.commit("one")
    async with site.running(), PageLoad(site.port).coming() as visitors:
        await visitors.more(300)
        done = await site.cli("swap", site.draft("bad", fails=0.2), "--json")
    receipt = json.loads(done.out)
    assert receipt["outcome"] == "reverted"
    assert receipt["results"]["requests"] < 200
    assert visitors.lost == []


@pytest.mark.long
@pytest.mark.parametrize(
    "swap",
    [
        pytest.param({"verdict": False}, id="turned off"),
        pytest.param({"verdict_requests": 100_000}, id="too little traffic"),
        pytest.param({"verdict_margin": "100%"}, id="whatever the difference"),
        pytest.param({"strategy": "exclusive"}, id="exclusive"),
    ],
)
async def test_without_a_verdict_the_release_stays(
    make_site: MakeSite, swap: dict[str, object]
) -> None:
    site = make_site(swap={"soak": "2s", **swap})
    site.commit("one")
    async with site.running(), PageLoad(site.port).coming() as visitors:
        done = await site.cli("swap", site.draft("bad", fails=1.0), "--json")
    receipt = json.loads(done.out)
    assert (done.code, receipt["outcome"]) == (0, "promoted")
    assert receipt["results"]["failed"] > 20
    assert visitors.lost == []


@pytest.mark.long
async def test_a_fix_that_does_not_work_yet_replaces_a_broken_release(make_site: MakeSite) -> None:
    site = make_site(swap={"soak": "2s"})
    site.commit("one", fails=1.0)
    async with site.running(), PageLoad(site.port).coming() as visitors:
        await visitors.more(30, status=500)
        done = await site.cli("swap", site.draft("fix", fails=0.5), "--json")
        assert json.loads(done.out)["outcome"] == "promoted"
    assert visitors.lost == []


@pytest.mark.long
async def test_a_rollback_gets_no_verdict(make_site: MakeSite) -> None:
    """Only a person knows why the release that fails less is worse."""
    site = make_site(swap={"soak": "2s", "verdict": False})
    site.commit("one", fails=0.5)
    async with site.running(), PageLoad(site.port).coming() as visitors:
        two = site.commit("two")
        await site.until_live(two)
        site.configure(swap={"verdict": True})
        assert (await site.cli("reload")).code == 0
        await visitors.more(100)
        done = await site.cli("rollback", "--json")
        assert json.loads(done.out)["outcome"] == "promoted", done.out
    assert visitors.lost == []


@pytest.mark.long
async def test_a_restart_that_breaks_the_pages_is_taken_back_and_quarantines_nothing(
    make_site: MakeSite,
) -> None:
    site = make_site(swap={"soak": SOAK})
    one = site.commit("one")
    async with site.running(), PageLoad(site.port).coming() as visitors:
        site.configure(app={"env": {"FAILS": "1.0"}})
        assert (await site.cli("reload")).code == 0
        done = await site.cli("restart", "--json")
        await visitors.more(20)
        status = await site.status()
    assert json.loads(done.out)["outcome"] == "reverted"
    assert (status["live"]["revision"], status["quarantined"]) == (one, {})
    assert visitors.lost == []


@pytest.mark.long
async def test_one_site_is_reverted_and_no_other_one_notices(make_sites: MakeSites) -> None:
    sites = make_sites("blog", "shop", "wiki")
    for name in ("blog", "shop", "wiki"):
        sites.change(name, swap={"soak": SOAK})
    async with sites.running(), trio.open_nursery():
        blog, shop, wiki = (PageLoad(sites.port, sites[name].host) for name in sites.sites)
        async with blog.coming(), shop.coming(), wiki.coming():
            before = {
                name: (await sites.status_of(name))["live"]["revision"] for name in sites.sites
            }
            bad, good = sites["blog"].commit("bad", fails=1.0), sites["shop"].commit("good")

            async def is_over() -> bool:
                both = [await sites.status_of(name) for name in ("blog", "shop")]
                return all(one["last_swap"]["revision"] in (bad, good) for one in both)

            await until("both swaps are over", is_over)
            for visitors in (blog, shop, wiki):
                await visitors.more(20)
            after = {name: await sites.status_of(name) for name in sites.sites}
    assert after["blog"]["live"]["revision"] == before["blog"]
    assert after["blog"]["last_swap"]["outcome"] == "reverted"
    assert after["shop"]["live"]["revision"] == good
    assert after["wiki"]["live"]["revision"] == before["wiki"]
    assert [visitors.lost for visitors in (blog, shop, wiki)] == [[], [], []]
    assert {status for status, _ in [*shop.answers, *wiki.answers]} == {200}


@pytest.mark.long
async def test_a_restart_in_the_soak_serves_the_old_release_and_deploys_the_new_one_again(
    make_site: MakeSite,
) -> None:
    """The numbers begin anew: without those of the old release, there is no verdict."""
    site = make_site(swap={"soak": SOAK})
    one = site.commit("one")
    async with site.running():
        bad = site.commit("bad", fails=1.0)
        await reaches(site, "soak")
        await site.stop()
        site.start()
        async with PageLoad(site.port).coming() as visitors:
            assert (200, "one") in visitors.answers
            await until("the swap is over", lambda: len(outcomes(site)) > 1)
            await visitors.more(20)
            assert outcomes(site)[-1] == ("reverted", bad)
            assert (await site.status())["live"]["revision"] == one


@pytest.mark.long
async def test_the_results_of_the_old_release_survive_an_upgrade(make_site: MakeSite) -> None:
    """So the first swap of the new program has a verdict, too."""
    site = make_site(swap={"soak": SOAK})
    site.commit("one")
    async with site.running(), PageLoad(site.port).coming() as load:
        await load.more(100)
        before = (await site.status())["live"]["results"]
        after = (await upgraded(site))["live"]["results"]
        assert after["requests"] >= before["requests"] >= 100
        done = await site.cli("swap", site.draft("bad", fails=1.0), "--json")
    assert json.loads(done.out)["outcome"] == "reverted"
    assert load.lost == []


@pytest.mark.long
async def test_an_upgrade_waits_for_the_end_of_a_soak(make_site: MakeSite) -> None:
    site = make_site(swap={"soak": "3s"})
    site.commit("one")
    async with site.running(), PageLoad(site.port).coming() as load:
        two = site.commit("two")
        await reaches(site, "soak")
        done = await site.cli("upgrade")
        assert done.code == 0, done.err
        assert outcomes(site)[-1] == ("promoted", two)
    assert load.lost == []
