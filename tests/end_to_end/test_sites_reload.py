"""`reload` adds, removes and changes sites while the others serve."""

import json
import shutil
from collections.abc import Callable

import trio

from tests.support.http_client import Answer, HttpClient
from tests.support.several_sites import SeveralSites
from tests.waiting import until

MakeSites = Callable[..., SeveralSites]


async def reloaded(sites: SeveralSites) -> None:
    """Reload the settings, which must be free of mistakes."""
    done = await sites.cli("reload")
    assert done.code == 0, done.err + sites.log()


async def test_a_new_site_is_served_after_a_reload(make_sites: MakeSites) -> None:
    sites = make_sites("blog", "shop")
    async with sites.running(), sites.loaded("blog", "shop"):
        assert (await status_at(sites, "wiki.example.com")) == 404
        sites.add("wiki").commit("one")
        await reloaded(sites)
        await sites.until_phase("wiki", "serving")
        assert await sites.text_of("wiki") == "one"
        await sites.until_live("wiki", sites["wiki"].commit("two"))
        assert await sites.text_of("wiki") == "two"


async def test_a_site_in_the_main_file_is_served_beside_those_of_other_files(
    make_sites: MakeSites,
) -> None:
    sites = make_sites("blog", "shop")
    sites.configure(sites={"shop": sites["shop"].settings})
    sites.file_of("shop").unlink()
    async with sites.running():
        assert await sites.text_of("blog") == "one"
        assert await sites.text_of("shop") == "one"


async def test_requests_to_a_new_site_are_held_until_its_first_release(
    make_sites: MakeSites,
) -> None:
    sites = make_sites("blog")
    async with sites.running():
        sites.add("wiki").commit("one", start_delay=1)
        await reloaded(sites)
        assert await sites.text_of("wiki") == "one"


async def test_a_changed_site_is_served_under_its_new_hosts_and_paths(
    make_sites: MakeSites,
) -> None:
    sites = make_sites("blog", "shop", "wiki")
    async with sites.running(), sites.loaded("shop", "wiki"):
        sites.change("blog", hosts=["new.example.com"], paths=["/blog"])
        await reloaded(sites)
        assert await status_at(sites, "blog.example.com") == 404
        assert await status_at(sites, "new.example.com") == 404
        assert await status_at(sites, "new.example.com", "/blog/a") == 200
        assert len(sites["blog"].processes()) == 1


async def test_a_mistake_in_one_file_changes_nothing(make_sites: MakeSites) -> None:
    sites = make_sites("blog", "shop")
    async with sites.running(), sites.loaded("blog", "shop"):
        pids = sites.processes()
        sites.change("blog", hosts=["new.example.com"])
        sites.change("shop", hold={"limit": "many"})
        sites.add("wiki").commit("one")
        done = await sites.cli("reload")
        assert done.code == 2, done
        assert str(sites.file_of("shop")) in done.err and "limit" in done.err
        assert await status_at(sites, "new.example.com") == 404
        assert await status_at(sites, "blog.example.com") == 200
        assert await status_at(sites, "wiki.example.com") == 404
        assert list((await sites.status())["sites"]) == ["blog", "shop"]
        assert sites.processes() == pids


async def test_a_removed_site_finishes_its_requests_and_leaves_no_process(
    make_sites: MakeSites,
) -> None:
    sites = make_sites("blog", "shop", "wiki")
    answers: list[Answer] = []

    async def finishes_during_the_reload() -> None:
        answers.append(await sites.get("wiki", "/slow=1"))

    async with sites.running(), sites.loaded("blog", "shop"), trio.open_nursery() as nursery:
        nursery.start_soon(finishes_during_the_reload)
        await until("it is in flight", sites["wiki"].app.journal)
        wiki = sites["wiki"]
        sites.file_of("wiki").unlink()
        await reloaded(sites)
        assert await status_at(sites, "wiki.example.com") == 404
        await until("its request is answered", lambda: answers)
        assert answers[0].status == 200
        await until("its processes have ended", lambda: not wiki.processes())
        assert list((await sites.status())["sites"]) == ["blog", "shop"]


async def test_held_requests_of_a_removed_site_get_503(make_sites: MakeSites) -> None:
    sites = make_sites("blog", "wiki")
    statuses: list[int] = []

    async def is_held() -> None:
        statuses.append((await sites.get("wiki")).status)

    async with sites.running(), trio.open_nursery() as nursery:
        await sites.ask("pause", site="wiki", seconds=60)
        nursery.start_soon(is_held)

        async def waits() -> bool:
            return bool((await sites.status_of("wiki"))["held"] == 1)

        await until("it is held", waits)
        sites.file_of("wiki").unlink()
        await reloaded(sites)
        await until("it is answered", lambda: statuses)
        assert statuses == [503]
        await until("no process is left", lambda: list(sites.processes()) == ["blog"])


async def test_a_site_that_is_added_again_serves_its_last_release(make_sites: MakeSites) -> None:
    """Even though its checkout is gone meanwhile: that needs neither git nor a build."""
    sites = make_sites("blog", "wiki")
    file = sites.file_of("wiki")
    async with sites.running(), sites.loaded("blog"):
        text = file.read_text()
        file.unlink()
        await reloaded(sites)
        await until("no process is left", lambda: list(sites.processes()) == ["blog"])
        shutil.move(sites["wiki"].checkout, sites.directory / "away")
        file.write_text(text)
        await reloaded(sites)
        await sites.until_phase("wiki", "serving")
        assert await sites.text_of("wiki") == "one"
        assert len(sites["wiki"].releases()) == 1
        shutil.move(sites.directory / "away", sites["wiki"].checkout)
        await sites.until_live("wiki", sites["wiki"].commit("two"))


async def test_a_reload_during_a_swap_of_each_site_drops_nothing(make_sites: MakeSites) -> None:
    sites = make_sites("blog", "shop")
    async with sites.running(), sites.loaded("blog", "shop") as loads:
        for number in range(3):
            revisions = {name: sites[name].commit(f"{number}") for name in ("blog", "shop")}
            if number % 2 == 0:
                sites.add(f"wiki{number}").commit("one")
            await reloaded(sites)
            for name, revision in revisions.items():
                await sites.until_live(name, revision)
                await loads[name].until_text(f"{name} {number}")


async def test_reload_names_the_site_of_each_change(make_sites: MakeSites) -> None:
    sites = make_sites("blog", "shop")
    async with sites.running():
        sites.change("blog", hold={"limit": 7})
        done = await sites.cli("reload", "--json")
        assert done.code == 0, done.err
        (change,) = json.loads(done.out)["changes"]
        assert (change["site"], change["key"]) == ("blog", "limit")


async def status_at(sites: SeveralSites, host: str, path: str = "/") -> int:
    async with HttpClient(sites.port) as http:
        return (await http.get(path, Host=host)).status
