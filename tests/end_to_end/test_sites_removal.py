"""A site that is removed finishes its requests, and leaves nothing but its state."""

import shutil
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import h11
import pytest
import trio

from tests.support.http_client import Answer, HttpClient
from tests.support.several_sites import SeveralSites
from tests.waiting import until

MakeSites = Callable[..., SeveralSites]


async def reloaded(sites: SeveralSites) -> None:
    """Reload the settings, which must be free of mistakes."""
    done = await sites.cli("reload")
    assert done.code == 0, done.err + sites.log()


async def remove(sites: SeveralSites, name: str) -> None:
    sites.file_of(name).unlink()
    await reloaded(sites)


async def status_at(sites: SeveralSites, host: str) -> int:
    async with HttpClient(sites.port) as http:
        return (await http.get("/", Host=host)).status


@asynccontextmanager
async def in_flight(sites: SeveralSites, name: str, path: str) -> AsyncIterator[list[int]]:
    """A request to this site while the block lasts; the status that it got, if any."""
    statuses: list[int] = []

    async def request() -> None:
        with suppress(h11.RemoteProtocolError, OSError):
            statuses.append((await sites.get(name, path)).status)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(request)
        await until("it is in flight", sites[name].app.journal)
        yield statuses


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


async def test_a_site_is_removed_while_a_new_release_starts(make_sites: MakeSites) -> None:
    sites = make_sites("blog", "wiki")
    async with sites.running(), sites.loaded("blog"):
        candidate = sites["wiki"].commit("two", start_delay=600)
        await until("it starts", lambda: len(sites["wiki"].app.journal("set up")) == 2)
        await remove(sites, "wiki")
        await until("no process is left", lambda: list(sites.processes()) == ["blog"])
        assert sites["wiki"].remembered()["live"]["revision"] != candidate
        assert sites["wiki"].remembered().get("quarantine", {}) == {}


@pytest.mark.long
async def test_an_upgrade_waits_for_a_site_that_is_being_removed(make_sites: MakeSites) -> None:
    sites = make_sites("blog", "wiki")
    sites["wiki"].commit("one", ignores_sigterm=True)  # It takes `stop_timeout`.
    async with sites.running(), sites.loaded("blog"):
        async with in_flight(sites, "wiki", "/slow=2") as statuses:
            await remove(sites, "wiki")
            assert sites["wiki"].processes() != []
            done = await sites.cli("upgrade")
            assert done.code == 0, done.err
            assert sites["wiki"].processes() == []
        assert statuses == [200]


async def test_a_second_sigterm_does_not_wait_for_a_site_that_is_being_removed(
    make_sites: MakeSites,
) -> None:
    sites = make_sites("blog", "wiki")
    sites.change("wiki", swap={"drain_timeout": "60s"}, app={"stop_timeout": "60s"})
    sites["wiki"].commit("one", ignores_sigterm=True)
    async with sites.running(), in_flight(sites, "wiki", "/slow=600"):
        await remove(sites, "wiki")
        assert sites.process is not None
        sites.process.send_signal(signal.SIGTERM)
        await sites.until_logged("stopping: finishing in-flight requests")
        assert await sites.stop() == 0


@pytest.mark.long
async def test_a_site_is_added_again_while_its_last_requests_finish(make_sites: MakeSites) -> None:
    sites = make_sites("blog", "wiki")
    text = sites.file_of("wiki").read_text()
    async with sites.running(), sites.loaded("blog"):
        async with in_flight(sites, "wiki", "/slow=2") as statuses:
            await remove(sites, "wiki")
            sites.file_of("wiki").write_text(text)
            await reloaded(sites)
            assert await sites.text_of("wiki") == "one"
        assert statuses == [200]
        await sites.until_live("wiki", sites["wiki"].commit("two"))
