"""Maintenance of one of several sites under load, while whatever else goes on."""

import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
from attrs import define, field

from tests.support.http_client import HttpClient
from tests.support.several_sites import SeveralSites
from tests.support.site_load import SiteLoad
from tests.waiting import until

MakeSites = Callable[..., SeveralSites]

ALLOWED = "192.0.2.7"
VISITOR = "198.51.100.1"


@define
class TurnedAway:
    """Clients that must be sent the page, and nothing else, until the block ends."""

    port: int
    host: str
    headers: dict[str, str] = field(factory=dict)
    pages: int = 0
    failures: list[str] = field(factory=list)
    running: bool = True

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator["TurnedAway"]:
        async with trio.open_nursery() as nursery:
            for method in ("GET", "POST", "GET"):
                nursery.start_soon(self._visit, method)
            await self.more()
            yield self
            self.running = False

    async def _visit(self, method: str) -> None:
        async with HttpClient(self.port) as http:
            while self.running:
                try:
                    headers = {"Host": self.host, "X_Forwarded_For": VISITOR, **self.headers}
                    answer = await http.request(method, "/load", b"", **headers)
                    assert answer.status == 503, answer
                    assert b"Moving house." in answer.body, answer
                    assert "retry-after" in answer.headers
                    self.pages += 1
                except Exception as error:  # noqa: BLE001 - every failure counts, of any kind
                    self.failures.append(repr(error))
                    await http.aclose()
                await trio.sleep(0.03)

    async def more(self, count: int = 10) -> None:
        before = self.pages
        await until("pages", lambda: self.failures or self.pages >= before + count)


@define
class Loads:
    """All clients of a site in maintenance, and of another one."""

    visitors: TurnedAway
    allowed: SiteLoad
    holder: SiteLoad
    other: SiteLoad

    async def more(self) -> None:
        await self.visitors.more()
        for load in (self.allowed, self.holder, self.other):
            await load.more(10)

    @property
    def failures(self) -> list[str]:
        loads = attrs.asdict(self, recurse=False)
        return [f"{who}: {text}" for who, load in loads.items() for text in load.failures]


def behind_a_proxy(make_sites: MakeSites) -> SeveralSites:
    """Several sites behind a proxy that names the clients."""
    return make_sites("blog", "shop", proxy={"trusted_proxies": ["127.0.0.1"]})


async def begin(sites: SeveralSites) -> str:
    """Put the blog in maintenance; the Cookie of somebody who has opened the secret link."""
    done = await sites.cli(
        "maintenance", "on", "--site", "blog", "--message", "Moving house.",
        "--allow", f"{ALLOWED}/32", "--secret", "--json",
    )  # fmt: skip
    assert done.code == 0, done
    [link] = json.loads(done.out)["links"]
    host, slash, path = link.removeprefix("https://").partition("/")
    assert host == "blog.example.com"
    async with HttpClient(sites.port) as http:
        answer = await http.get(slash + path, Host=host)
    assert answer.status == 303, answer
    assert answer.headers["location"] == "../"
    return answer.headers["set-cookie"].partition(";")[0]


@asynccontextmanager
async def loaded(sites: SeveralSites, cookie: str, **headers: str) -> AsyncIterator[Loads]:
    """Load on the blog, by everybody, and on the shop; none of it may fail."""
    by_address = {"X_Forwarded_For": ALLOWED, **headers}
    by_cookie = {"X_Forwarded_For": VISITOR, "Cookie": cookie, **headers}
    loads = Loads(
        TurnedAway(sites.port, sites["blog"].host, headers),
        sites.load("blog", headers=by_address, clients=2),
        sites.load("blog", headers=by_cookie, clients=2),
        sites.load("shop", headers=headers, clients=2),
    )
    async with AsyncExitStack() as stack:
        for load in (loads.visitors, loads.allowed, loads.holder, loads.other):
            await stack.enter_async_context(load.going_on())
        yield loads
    assert loads.failures == [], sites.log()


async def deploy(sites: SeveralSites, loads: Loads, text: str) -> None:
    await sites.until_live("blog", sites["blog"].commit(text))
    await loads.allowed.until_text(f"blog {text}")
    await loads.holder.until_text(f"blog {text}")


@pytest.mark.long
async def test_swaps_reloads_and_upgrades_go_on_in_maintenance(make_sites: MakeSites) -> None:
    sites = behind_a_proxy(make_sites)
    async with sites.running():
        cookie = await begin(sites)
        async with loaded(sites, cookie) as loads:
            await deploy(sites, loads, "two")
            sites.change("blog", hold={"limit": 500})
            assert (await sites.cli("reload")).code == 0
            await loads.more()
            done = await sites.cli("upgrade")
            assert done.code == 0, done
            await loads.more()
            await deploy(sites, loads, "three")
        shown = await sites.status_of("blog")
        assert shown["maintenance"]["allow"] == [ALLOWED]
        assert (await sites.status_of("shop"))["maintenance"] is None
        assert (await sites.ask("maintenance", site="blog", do="off"))["was_on"]
        assert await sites.text_of("blog") == "three"


@pytest.mark.long
async def test_a_restart_with_a_socket_from_systemd_loses_no_admitted_request(
    make_sites: MakeSites,
) -> None:
    sites = behind_a_proxy(make_sites)
    with socket.create_server(("127.0.0.1", sites.port), backlog=128) as held:
        sites.start(held=held)
        try:
            for name in sites.sites:
                await sites.until_phase(name, "serving")
            cookie = await begin(sites)
            # A request on a connection that is just being closed may get no answer.
            async with loaded(sites, cookie, Connection="close") as loads:
                for _ in range(3):
                    assert await sites.stop() == 0
                    sites.start(held=held)
                    await sites.until_phase("blog", "serving")
                    await loads.more()
        finally:
            with trio.CancelScope(shield=True):
                await sites.stop()


@pytest.mark.long
async def test_maintenance_begins_under_load_and_all_requests_end_with_an_answer(
    make_sites: MakeSites,
) -> None:
    """Also those that wait at the gate, again and again, since the site is paused, too."""
    sites = behind_a_proxy(make_sites)
    statuses: list[int] = []

    async def ask() -> None:
        async with HttpClient(sites.port) as http:
            while running:
                headers = {"Host": sites["blog"].host, "X_Forwarded_For": VISITOR}
                statuses.append((await http.get("/", **headers)).status)

    async def shown(key: str) -> Any:
        return (await sites.status_of("blog"))[key]

    running = True
    async with sites.running(), sites.loaded("shop"), trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(ask)
        for _ in range(10):
            await until("some are served", lambda: 200 in statuses)
            await sites.ask("pause", site="blog", seconds=60)

            async def all_wait() -> bool:
                return bool(await shown("held") == 5)

            await until("all wait", all_wait)
            before = len(statuses)
            await sites.ask("maintenance", site="blog", do="on")
            await until("all are answered", lambda before=before: len(statuses) >= before + 5)
            assert set(statuses[before:]) == {503}
            assert await shown("held") == 0
            await sites.ask("resume", site="blog")
            statuses.clear()
            await sites.ask("maintenance", site="blog", do="off")
        running = False
    assert set(statuses) <= {200, 503}


@pytest.mark.long
async def test_all_sites_are_put_in_maintenance_whether_they_are_live_or_not(
    make_sites: MakeSites,
) -> None:
    sites = make_sites("blog", "shop")
    sites["shop"].commit("two", raises="broken")
    sites.start()
    try:
        await sites.until_phase("blog", "serving")
        await sites.until_phase("shop", "failing")
        done = await sites.cli("maintenance", "on", "--all", "--message", "Moving house.")
        assert [line.partition(": ")[::2] for line in done.out.splitlines()[::2]] == [
            (name, "in maintenance until further notice: new requests get 503")
            for name in ("blog", "shop")
        ]
        for name in sites.sites:
            assert b"Moving house." in (await sites.get(name)).body
        await sites.until_live("shop", sites["shop"].commit("three"))
        assert b"Moving house." in (await sites.get("shop")).body
        sites.change("shop", health={"interval": "150ms"})
        settings = sites.file_of("shop").read_text()
        sites.file_of("shop").unlink()
        assert (await sites.cli("reload")).code == 0
        assert (await sites.get("shop")).status == 404
        sites.file_of("shop").write_text(settings)
        assert (await sites.cli("reload")).code == 0
        await sites.until_phase("shop", "serving")
        assert b"Moving house." in (await sites.get("shop")).body
        done = await sites.cli("maintenance", "off", "--all")
        assert done.out == "blog: maintenance has ended\nshop: maintenance has ended\n"
        assert await sites.text_of("shop") == "three"
    finally:
        with trio.CancelScope(shield=True):
            await sites.stop()


@pytest.mark.long
async def test_a_site_that_cannot_run_after_a_restart_stays_in_maintenance_until_off(
    make_sites: MakeSites,
) -> None:
    sites = behind_a_proxy(make_sites)
    allowed, host = {"X_Forwarded_For": ALLOWED}, {"Host": sites["blog"].host}
    async with sites.running():
        await begin(sites)
    pages = sites.directory / "pages"
    pages.mkdir()
    (pages / "404.html").write_bytes(b"\xff")
    sites.change("blog", error_pages=str(pages))
    sites.start()
    try:
        await sites.until_phase("blog", "broken")
        await sites.until_phase("shop", "serving")
        async with HttpClient(sites.port) as http:
            for headers in (host, {**host, **allowed}):
                answer = await http.get("/", **headers)
                assert answer.status == 503
                assert b"Moving house." in answer.body
        shown = await sites.cli("status", "--site", "blog")
        assert "blog is broken, in maintenance" in shown.out
        assert "message: Moving house." in shown.out
        done = await sites.cli("maintenance", "off", "--all")
        assert done.out == "shop: not in maintenance\nblog: maintenance has ended\n"
        assert b"This site is not available." in (await sites.get("blog")).body
        (pages / "404.html").unlink()
        assert (await sites.cli("reload")).code == 0
        await sites.until_phase("blog", "serving", timeout=30)
        assert await sites.text_of("blog") == "one"
    finally:
        with trio.CancelScope(shield=True):
            await sites.stop()
