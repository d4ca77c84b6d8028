"""A proxy with many sites, all of which have the same origin: `many_sites PORT ORIGIN COUNT`."""

import gc
import sys
import tempfile
from pathlib import Path

import trio

from blue_green.config.kinds import Endpoint
from blue_green.config.process_settings import ProxySettings
from blue_green.config.site_settings import HoldSettings, ServingSettings
from blue_green.http.errors import ErrorPages
from blue_green.http.sockets import open_socket
from blue_green.proxy.listener import Listener
from blue_green.proxy.pool import Pool
from blue_green.proxy.served_site import ServedSite
from blue_green.routing.gate import Gate
from blue_green.routing.lease import Target
from blue_green.routing.router import Router, routes_of


async def main(port: int, origin: int, count: int) -> None:
    """Serve `site0.example.com` and so on until cancelled."""
    sites = [_site(f"site{number}", origin) for number in range(count)]
    router = Router(
        route for site in sites for route in routes_of(site, [f"{site.name}.example.com"])
    )
    settings = ProxySettings(access_log=False)
    sock = open_socket(Endpoint("127.0.0.1", port))
    listener = Listener(settings, router, [sock], buffer_directory=Path(tempfile.gettempdir()))
    gc.freeze()  # As the supervisor does.
    async with trio.open_nursery() as nursery:
        for site in sites:
            nursery.start_soon(site.pool.run)
            nursery.start_soon(site.gate.queue.keep_ramping)
        nursery.start_soon(listener.run)


def _site(name: str, origin: int) -> ServedSite:
    gate = Gate(HoldSettings())
    gate.switch([Target(Endpoint("127.0.0.1", origin), "blue", "a" * 40)])
    limits = ServingSettings()
    return ServedSite(name, gate, Pool(limits.backend_keepalive), limits, ErrorPages())


if __name__ == "__main__":
    port, origin, count = map(int, sys.argv[1:])
    trio.run(main, port, origin, count)
