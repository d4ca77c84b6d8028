"""What else belongs to a release on trial: its files, its processes, and how it was deployed."""

from collections.abc import Callable

import pytest
import trio

from tests.support.http_client import HttpClient
from tests.support.pushing import Developer
from tests.support.several_sites import SeveralSites
from tests.support.site import RealSite
from tests.support.swaps import outcomes, reaches
from tests.support.visitors import PROXIES, Visitors
from tests.waiting import until

MakeSite = Callable[..., RealSite]
MakeSites = Callable[..., SeveralSites]


@pytest.mark.long
async def test_each_group_gets_its_own_files_and_finds_those_of_the_other(
    make_site: MakeSite,
) -> None:
    site = make_site(files={"/static/": "static"}, proxy=PROXIES)
    (site.checkout / "static").mkdir()
    site.commit("one", {"static/both.txt": "one", "static/one.txt": "1"})
    async with site.running():
        (site.checkout / "static" / "one.txt").unlink()
        two = site.draft("two", {"static/both.txt": "two", "static/two.txt": "2"})
        await site.ask("swap", revision=two, canary=50, wait=False)
        await reaches(site, "canary")
        groups: dict[str, str] = {}
        async with HttpClient(site.port) as http:
            for number in range(60):
                answer = await http.get("/", X_Forwarded_For=f"203.0.113.{number}")
                cookie = answer.headers["set-cookie"].partition(";")[0]
                groups[answer.json()["text"]] = cookie
            assert set(groups) == {"one", "two"}
            for text, cookie in groups.items():
                for name, content in (("both", text), ("one", "1"), ("two", "2")):
                    answer = await http.get(f"/static/{name}.txt", Cookie=cookie)
                    assert (answer.status, answer.body.decode()) == (200, content)
                    assert "set-cookie" not in answer.headers
            await site.ask("abort")
            answer = await http.get("/static/two.txt")  # A page of the canary is still open.
            assert (answer.status, answer.body) == (200, b"2")
            assert (await http.get("/static/both.txt")).body == b"one"


@pytest.mark.long
async def test_processes_of_a_release_on_trial_start_with_its_promotion(
    make_site: MakeSite,
) -> None:
    command = ["sh", "-c", "echo $BLUE_GREEN_REVISION >>$JOURNAL.workers; exec sleep 600"]
    site = make_site(processes={"worker": {"command": command}})
    workers = site.journal_file.with_suffix(".workers")
    one = site.commit("one")
    async with site.running():
        await until("the worker runs", workers.exists)
        two = site.draft("two")
        await site.ask("swap", revision=two, canary=50, wait=False)
        await reaches(site, "canary")
        await trio.sleep(0.5)
        assert workers.read_text().split() == [one]
        assert (await site.ask("promote"))["outcome"] == "promoted"
        await until("the new one runs", lambda: workers.read_text().split() == [one, two])


@pytest.mark.long
@pytest.mark.parametrize("end", ["promote", "abort"])
async def test_a_push_is_accepted_if_its_canary_is_promoted(make_site: MakeSite, end: str) -> None:
    site = make_site(swap={"canary": "50%"})
    one = site.commit("one")
    developer = Developer(site)
    assert (await site.run("accept-pushes", str(site.config_file))).code == 0
    async with site.running():
        two = developer.commit("two")
        async with trio.open_nursery() as nursery:

            async def push() -> None:
                pushed = await developer.push()
                assert pushed.is_accepted == (end == "promote"), pushed.output

            nursery.start_soon(push)
            await reaches(site, "canary")
            await site.ask(end)
        await site.until_live(two if end == "promote" else one)
        assert site.head() == (two if end == "promote" else one)


@pytest.mark.long
async def test_a_site_that_is_removed_in_its_canary_leaves_nothing_and_harms_no_other(
    make_sites: MakeSites,
) -> None:
    sites = make_sites("blog", "shop")
    async with sites.running(), sites.load("shop").going_on() as load:
        two = sites["blog"].app.draft("blog two")
        await sites.ask("swap", site="blog", revision=two, canary=50, wait=False)

        async def on_trial() -> bool:
            return bool((await sites.status_of("blog"))["step"] == "canary")

        await until("the canary", on_trial)
        blog = sites["blog"]
        sites.file_of("blog").unlink()
        del sites.sites["blog"]
        assert (await sites.cli("reload")).code == 0
        await until("all of it has ended", lambda: not blog.processes())
        await load.more()
    assert load.failures == []


@pytest.mark.long
async def test_a_pause_holds_both_groups_and_each_goes_on_at_its_release(
    make_site: MakeSite,
) -> None:
    site = make_site(proxy=PROXIES)
    site.commit("one")
    async with site.running(), Visitors(site.port).going_on() as visitors:
        two = site.draft("two")
        await site.ask("swap", revision=two, canary=50, wait=False)
        await reaches(site, "canary")
        await visitors.all_got_more()
        visitors.forget()
        await site.ask("pause", seconds=30)
        await until("all wait", lambda: all_wait(site, visitors.count))
        await site.ask("resume")
        await visitors.all_got_more()
        assert visitors.wavering() == []
        assert visitors.who_got(two)
        await site.ask("abort")
    assert visitors.failures == []
    assert outcomes(site)[-1] == ("aborted", two)


async def all_wait(site: RealSite, count: int) -> bool:
    return bool((await site.status())["held"] == count)
