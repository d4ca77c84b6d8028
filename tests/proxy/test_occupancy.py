"""One site cannot take the connections that the others need."""

import pytest
import trio

from blue_green.config.kinds import Count
from blue_green.config.site_settings import HoldSettings
from blue_green.proxy.occupancy import COUNTED_AGAIN
from tests.raw.backend import silence
from tests.raw.peer import Peer
from tests.raw.sites import Plan, RunningSites, running_sites
from tests.waiting import until

MOST = 9
SLOW = Plan(("slow.org",), script=silence)
PAUSED = Plan(("paused.org",), hold=HoldSettings(limit=Count(1000), per_client=Count(1000)))
FAST = Plan(("fast.org",))


async def occupy(sites: RunningSites, name: str, count: int) -> list[Peer]:
    """Begin so many requests that do not end, and those that were refused instead."""
    head = b"GET / HTTP/1.1\r\nHost: %b.org\r\n\r\n" % name.encode()
    clients = [await sites.proxy.ask(head) for _ in range(count)]
    site = sites[name]
    await until(
        "each has begun or was refused",
        lambda: site.served.gate.requests + site.served.gate.by_status[503] == count,
    )
    return clients


@pytest.mark.parametrize("name", ["slow", "paused"])
async def test_a_site_gets_no_more_connections_than_it_leaves_free(name: str) -> None:
    plans = {"slow": SLOW, "paused": PAUSED, "fast": FAST}
    async with running_sites(plans, max_connections=MOST) as sites:
        sites["paused"].served.gate.hold("test")
        clients = await occupy(sites, name, 7)
        assert sites[name].served.gate.requests == 5
        assert (await sites.get("fast.org/")).body == b"fast"
        for client in clients[5:]:
            answer = await client.answer()
            assert (answer.status, answer.field(b"retry-after")) == (503, [b"1"])
            assert b"Too many requests of this site" in answer.body
        await clients[0].close()
        await until("it has ended", lambda: sites[name].served.gate.requests == 4)
        sites["paused"].served.gate.resume("test")


async def test_a_second_such_site_still_leaves_some() -> None:
    plans = {"slow": SLOW, "paused": PAUSED, "fast": FAST}
    async with running_sites(plans, max_connections=MOST) as sites:
        sites["paused"].served.gate.hold("test")
        await occupy(sites, "slow", 9)
        await trio.sleep(2 * COUNTED_AGAIN)
        await occupy(sites, "paused", 9)
        assert sites["slow"].served.gate.requests == 5
        assert sites["paused"].served.gate.requests == 2
        assert (await sites.get("fast.org/")).body == b"fast"
        sites["paused"].served.gate.resume("test")


async def test_the_only_site_may_have_all_connections() -> None:
    async with running_sites({"slow": SLOW}, max_connections=MOST) as sites:
        await occupy(sites, "slow", MOST)
        assert sites["slow"].served.gate.requests == MOST
