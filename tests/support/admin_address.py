"""The admin address in the test's own process, of sites that are real but run no app."""

import json
import socket
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio
from attrs import Factory, define

from blue_green.admin.routes import AdminPages
from blue_green.admin.server import Server
from blue_green.site.site import Site
from blue_green.site.sites import Sites
from tests.raw.peer import Peer
from tests.support.repository import Repository
from tests.support.site import free_ports
from tests.support.site_parts import make_several, make_single


@define
class AdminAddress:
    """An admin address, and the sites that it shows."""

    repository: Repository
    sites: Sites
    port: int
    nursery: trio.Nursery
    unrouted: Counter[int] = Factory(Counter)
    """How many requests to no site have ended with each status."""
    serving: trio.CancelScope = Factory(trio.CancelScope)

    @property
    def site(self) -> Site:
        """The only site."""
        assert self.sites.only is not None
        return self.sites.only

    def of(self, name: str) -> Site:
        site = self.sites.get(name)
        assert site is not None
        return site

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def serve(self) -> None:
        """Answer, from now on until `serving` is cancelled."""
        sock = socket.create_server(("127.0.0.1", self.port))
        self.serving = scope = trio.CancelScope()

        async def run() -> None:
            with sock, scope:
                pages = AdminPages(self.sites, self.unrouted)
                await Server([sock], pages.routes, pages.for_browsers, pages.find_hook).run()

        self.nursery.start_soon(run)

    def run(self, site: Site) -> None:
        """Run the tasks of a site that its pages depend on."""
        for task in (site.slots.run, site.rate.run, site.pause.run, site.queue.run):
            self.nursery.start_soon(task)

    @asynccontextmanager
    async def reader(self, query: str = "") -> AsyncIterator["EventReader"]:
        """Somebody who reads the events."""
        peer = Peer(await trio.open_tcp_stream("127.0.0.1", self.port))
        await peer.send(f"GET /events{query} HTTP/1.0\r\n\r\n".encode())
        assert b"text/event-stream" in await peer.until(b"\r\n\r\n")
        try:
            yield EventReader(peer)
        finally:
            await trio.aclose_forcefully(peer.stream)


@define
class EventReader:
    """Reads the events, one after the other."""

    peer: Peer

    async def next(self) -> dict[str, Any]:
        event = (await self.peer.until(b"\n\n")).decode()
        data: dict[str, Any] = json.loads(event.removeprefix("data: "))
        return data


@asynccontextmanager
async def admin_address(
    directory: Path, names: Sequence[str] = (), **sections: Any
) -> AsyncIterator[AdminAddress]:
    """The admin address of several sites with these names, or of a single one."""
    repository = Repository(directory / "checkout")
    if names:
        sites = make_several(directory, repository.path, names, **sections)
    else:
        sites = make_single(directory, repository.path, **sections)
    async with trio.open_nursery() as nursery:
        (port,) = free_ports(1)
        address = AdminAddress(repository, sites, port, nursery)
        for site in sites:
            address.run(site)
        address.serve()
        yield address
        nursery.cancel_scope.cancel()
