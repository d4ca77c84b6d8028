"""Ports for backends where the settings name none: found once, and remembered in the state.

They are below the ephemeral ports, so that no outgoing connection takes one (ip(7)), and are named
by no other site of this machine that can be found. Where the search begins depends on the state
directory, so that two supervisors rarely choose the same ports.
"""

import logging
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from blue_green.config.kinds import Endpoint
from blue_green.site.backend import HOST, bind_error, check_is_free
from blue_green.source.failure import MachineFault

if TYPE_CHECKING:
    from blue_green.site.site import Site

logger = logging.getLogger(__name__)

EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
CANDIDATES = range(10_000, 30_000)
"""Below the default ephemeral ports."""
MAX_ATTEMPTS = 1000


async def of_slot(site: "Site", slot: str, count: int) -> Sequence[int]:
    """So many ports for the backends of a slot in which nothing runs; raise `MachineFault`.

    Those that it had before, unless another program or another site has one of them now.
    """
    assert site.taken_ports is not None
    ports, others = _remembered(site, slot)[:count], site.taken_ports.of_others(site)
    if len(ports) == count and not any(_obstacle(port, others) for port in ports):
        return ports
    named = await site.taken_ports.named_elsewhere()
    # No other site can choose a port from here on, since there is no checkpoint.
    others = site.taken_ports.of_others(site)
    avoid = {*named, *others, *site.ports}
    for index in range(count):
        reason = _obstacle(ports[index], others) if index < len(ports) else ""
        if index < len(ports) and not reason:
            continue
        found = _free_port(bytes(site.settings.state_directory), avoid)
        avoid.add(found)
        if reason:
            logger.warning("%s: using port %d for %s from now on", reason, found, slot)
        ports[index : index + 1] = [found]
    site.state.ports = {**(site.state.ports or {}), slot: ports}
    site.state_file.change()
    return ports


def ephemeral() -> range:
    """The ephemeral ports, which the kernel uses for outgoing connections (ip(7))."""
    with suppress(OSError, ValueError):
        first, last = map(int, EPHEMERAL.read_text().split())
        return range(first, last + 1)
    return range(0)


def _remembered(site: "Site", slot: str) -> list[int]:
    return list((site.state.ports or {}).get(slot, ()))


def _obstacle(port: int, others: Collection[int]) -> str:
    """Why a remembered port cannot be used, in words; "" if it can."""
    if port in others:
        return f"port {port} belongs to another site"
    try:
        check_is_free(Endpoint(HOST, port))
    except MachineFault as taken:
        return str(taken)
    return ""


def _free_port(key: bytes, avoid: Collection[int]) -> int:
    attempts = 0
    for port in candidates(zlib.crc32(key)):
        if port in avoid:
            continue
        if bind_error(Endpoint(HOST, port)) is None:
            return port
        attempts += 1
        if attempts == MAX_ATTEMPTS:
            break
    raise MachineFault("no free port for the app was found: set ports in [app]")


def candidates(start: int) -> Iterator[int]:
    """All candidates, beginning at one that `start` determines; ephemeral ports come last."""
    first = start % len(CANDIDATES)
    ordered = [*CANDIDATES[first:], *CANDIDATES[:first]]
    outgoing = ephemeral()
    yield from (port for port in ordered if port not in outgoing)
    yield from (port for port in ordered if port in outgoing)
