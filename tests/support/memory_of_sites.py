"""Print the memory of a process with many sites: `memory_of_sites DIRECTORY COUNT`, in bytes.

Each site has its gate, its routes, its tasks, a full buffer of output, and has had a request. Its
app does not run: that is another process.
"""

import gc
import os
import sys
from pathlib import Path

import trio

from blue_green.config import parsing
from blue_green.config.kinds import Endpoint
from blue_green.http.sockets import open_socket
from blue_green.proxy.listener import Listener
from blue_green.site.site import Site
from blue_green.site.sites import Sites
from blue_green.supervisor.site_runner import OUTPUT_LINES, OUTPUT_ROOM
from blue_green.system.output import Output
from blue_green.system.users import owner_of

LINES_AT_ONCE = 100


async def main(directory: Path, count: int) -> None:
    names = [f"site{number}" for number in range(count)]
    app = {"command": ["serve"]}
    document = {
        "proxy": {"access_log": False},
        "sites": {name: {"hosts": [f"{name}.localhost"], "app": app} for name in names},
    }
    sites = Sites(parsing.parse(document, directory / "supervisor.toml"))
    async with trio.open_nursery() as nursery:
        for settings in sites.settings.sites:
            us, output = owner_of(directory), Output(room=OUTPUT_ROOM, lines=OUTPUT_LINES)
            served = sites.served(settings)
            site = Site(settings, owner=us, user=us, output=output, served=served)
            sites.add(site)
            nursery.start_soon(site.serve)
        socket = open_socket(Endpoint("127.0.0.1", 0))
        port = socket.getsockname()[1]
        nursery.start_soon(
            Listener(
                sites.settings.proxy,
                sites.router(),
                [socket],
                buffer_directory=sites.settings.state.directory,
            ).run
        )
        for site in sites:
            await _use(site, port)
        gc.collect()
        resident = int(Path("/proc/self/statm").read_text().split()[1])
        print(resident * os.sysconf("SC_PAGE_SIZE"))
        nursery.cancel_scope.cancel()


async def _use(site: Site, port: int) -> None:
    """Fill its buffers, and send it a request, which it refuses."""
    line = "x" * (OUTPUT_ROOM // OUTPUT_LINES - 1)
    for _ in range(OUTPUT_LINES // LINES_AT_ONCE + 1):
        site.output.take("blue", "a" * 40, [line] * LINES_AT_ONCE, is_error=False)
    site.gate.refuse("It does not run.")
    client = await trio.open_tcp_stream("127.0.0.1", port)
    async with client:
        await client.send_all(b"GET / HTTP/1.0\r\nHost: %b.localhost\r\n\r\n" % site.name.encode())
        answer = b"".join([part async for part in client])
    assert answer.startswith(b"HTTP/1.1 503 "), answer


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]), int(sys.argv[2]))
