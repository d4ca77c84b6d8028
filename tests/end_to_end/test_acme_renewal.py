"""Renewals and upgrades: no client notices them."""

import json
import signal
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from attrs import Factory, define

from tests.support.acme_site import (
    Visit,
    acme_settings,
    authority,
    until_stored,
    until_visited,
    visit,
)
from tests.support.http_client import HttpClient
from tests.support.pebble import Pebble, needs_pebble
from tests.support.several_sites import SeveralSites
from tests.waiting import until

MakeSites = Callable[..., SeveralSites]

BLOG = "blog.example.com"

pytestmark = needs_pebble


@define
class TlsLoad:
    """Requests on new connections, and on one that stays."""

    pebble: Pebble
    context: ssl.SSLContext
    visits: list[Visit] = Factory(list)
    on_one_connection: int = 0
    connections: int = 0
    failures: list[str] = Factory(list)

    @property
    def serials(self) -> list[int]:
        """Of the certificates that were seen, in their order."""
        return list(dict.fromkeys(seen.serial for seen in self.visits))

    async def visit_again_and_again(self) -> None:
        while True:
            try:
                self.visits.append(await visit(self.pebble.tls_port, BLOG, self.context))
                assert self.visits[-1].status == 200
            except Exception as error:  # noqa: BLE001 - every failure counts, of any kind
                self.failures.append(repr(error))
            await trio.sleep(0.02)

    async def stay(self) -> None:
        client = HttpClient(self.pebble.tls_port, tls=self.context, server_name=BLOG)
        async with client:
            while True:
                try:
                    assert (await client.get("/", Host=BLOG)).status == 200
                    self.on_one_connection += 1
                except Exception as error:  # noqa: BLE001 - every failure counts, of any kind
                    self.failures.append(repr(error))
                self.connections = client.connections
                await trio.sleep(0.02)


@asynccontextmanager
async def loaded(pebble: Pebble, context: ssl.SSLContext) -> AsyncIterator[TlsLoad]:
    """Load on the site until the block ends, of which no request may fail."""
    load = TlsLoad(pebble, context)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(load.visit_again_and_again)
        nursery.start_soon(load.stay)
        await until("the load has begun", lambda: load.visits and load.on_one_connection)
        yield load
        nursery.cancel_scope.cancel()
    assert load.failures == []


async def test_a_renewal_and_a_reload_drop_no_request_and_no_connection(
    make_sites: MakeSites, tmp_path: Path
) -> None:
    with authority(tmp_path, validity=4) as pebble:
        sites = make_sites("blog", proxy=acme_settings(pebble))
        context = pebble.client_context()
        async with sites.running():
            await until_visited(pebble.tls_port, BLOG, context)
            async with loaded(pebble, context) as load:
                await until("it was renewed", lambda: len(load.serials) >= 2)
                assert (await sites.cli("reload")).code == 0
                before = load.on_one_connection
                await until("it goes on", lambda: load.on_one_connection > before)
            assert load.connections == 1


@pytest.fixture
def pebble(tmp_path: Path) -> Iterator[Pebble]:
    with authority(tmp_path) as pebble:
        yield pebble


async def test_an_upgrade_serves_the_same_certificate_at_once(
    make_sites: MakeSites, pebble: Pebble
) -> None:
    sites = make_sites("blog", proxy=acme_settings(pebble))
    context = pebble.client_context()
    async with sites.running():
        await until_visited(pebble.tls_port, BLOG, context)
        await until_stored(sites.state, BLOG)
        pebble.stop()
        async with loaded(pebble, context) as load:
            done = await sites.cli("upgrade", "--json")
            assert done.code == 0, done.err + sites.log()
            assert "version" in json.loads(done.out)
            count = len(load.visits)
            await until("visits after it", lambda: len(load.visits) > count + 10)
        assert len(load.serials) == 1


@pytest.mark.long
async def test_an_order_that_an_upgrade_interrupts_is_begun_again(
    make_sites: MakeSites, pebble: Pebble
) -> None:
    sites = make_sites("blog", proxy=acme_settings(pebble))
    async with sites.running():
        await until_visited(pebble.tls_port, BLOG, pebble.client_context())
        with pebble.hanging():
            sites.add("shop").commit("one")
            assert (await sites.cli("reload")).code == 0
            await sites.until_phase("shop", "serving")
            done = await sites.cli("upgrade")
            assert done.code == 0, done.err + sites.log()
        seen = await until_visited(pebble.tls_port, "shop.example.com", pebble.client_context())
        assert seen.status == 200


@pytest.mark.long
async def test_a_supervisor_that_is_killed_amid_orders_begins_them_again(
    make_sites: MakeSites, pebble: Pebble
) -> None:
    names = [f"site{number}" for number in range(6)]
    sites = make_sites(*names, proxy=acme_settings(pebble))
    context = pebble.client_context()
    for pause in (0.2, 0.4, 0.6, 0.8):
        sites.start()
        await trio.sleep(pause)
        await sites.stop(signal.SIGKILL)
    async with sites.running():
        for name in names:
            seen = await until_visited(pebble.tls_port, f"{name}.example.com", context)
            assert seen.status == 200
    assert not list((sites.state / "certificates").rglob("*.new"))
