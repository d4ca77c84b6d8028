"""The real proxy before several sites, each with a gate and a backend of its own."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import trio
from attrs import Factory, define, frozen

from blue_green.config.kinds import Endpoint
from blue_green.config.site_settings import HoldSettings, ServingSettings
from blue_green.http.errors import ErrorPages
from blue_green.proxy.pool import Pool
from blue_green.proxy.served_site import ServedSite
from blue_green.routing.gate import Gate
from blue_green.routing.lease import Target
from blue_green.routing.router import Router, routes_of
from tests.raw.backend import Script, ScriptedBackend, says
from tests.raw.peer import ParsedMessage
from tests.raw.proxy import RunningProxy, port_of, running


@frozen
class Plan:
    """How a site is served."""

    hosts: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    strip_path: bool = False
    redirect_hosts: tuple[str, ...] = ()
    limits: ServingSettings = Factory(ServingSettings)
    hold: HoldSettings = Factory(HoldSettings)
    script: Script | None = None
    """Without one, the backend answers with the name of its site."""


@define
class RunningSite:
    """A site and what is behind it."""

    plan: Plan
    served: ServedSite
    backend: ScriptedBackend
    target: Target


@define
class RunningSites:
    """A running proxy and its sites, by name."""

    proxy: RunningProxy
    sites: dict[str, RunningSite] = Factory(dict)

    def __getitem__(self, name: str) -> RunningSite:
        return self.sites[name]

    def route(self, **plans: Plan) -> None:
        """Replace the routing table, as a reload does. These are sites that run already."""
        listener, settings = self.proxy.listener, self.proxy.settings
        routes = [
            route
            for name, plan in plans.items()
            for route in routes_of(
                self.sites[name].served,
                plan.hosts,
                plan.paths,
                strip_path=plan.strip_path,
                redirect_hosts=plan.redirect_hosts,
            )
        ]
        listener.use(settings, ErrorPages(settings.error_pages), Router(routes))

    async def get(self, url: str, *lines: str) -> ParsedMessage:
        """The answer to a GET of `HOST/PATH` on a connection of its own."""
        host, slash, path = url.partition("/")
        fields = "".join(f"{line}\r\n" for line in (f"Host: {host}", *lines))
        client = await self.proxy.ask(f"GET {slash}{path} HTTP/1.1\r\n{fields}\r\n".encode())
        return await client.answer()


@asynccontextmanager
async def running_sites(plans: Mapping[str, Plan], **settings: Any) -> AsyncIterator[RunningSites]:
    """The proxy before such sites; in the end, none of them has a request."""
    async with running(**settings) as proxy:
        sites = RunningSites(proxy)
        for name, plan in plans.items():
            sites.sites[name] = await _run(name, plan, proxy.nursery)
        sites.route(**plans)
        yield sites
        for client in proxy.clients:
            await trio.aclose_forcefully(client.stream)
        for site in sites.sites.values():
            while site.target.leases:
                await site.target.lease_ended()


async def _run(name: str, plan: Plan, nursery: trio.Nursery) -> RunningSite:
    body = name.encode()
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    backend = ScriptedBackend(plan.script or says(answer))
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    address = Endpoint("127.0.0.1", port_of(listeners[0].socket))
    target = Target(address, "blue", "a" * 40)
    gate = Gate(plan.hold)
    gate.switch([target])
    pool = Pool(1.0)
    nursery.start_soon(trio.serve_listeners, backend.serve, listeners)
    nursery.start_soon(gate.queue.keep_ramping)
    nursery.start_soon(pool.run)
    served = ServedSite(name, gate, pool, plan.limits, ErrorPages(plan.limits.error_pages))
    return RunningSite(plan, served, backend, target)
