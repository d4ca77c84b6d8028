"""Fifty sites that sleep behind one supervisor: what they cost, and how they wake under load."""

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from tests.support.several_sites import SeveralSites
from tests.waiting import until

MakeSites = Callable[..., SeveralSites]
pytestmark = pytest.mark.long

MANY = 50
MOST_MEMORY = 2 * 2**20
"""Bytes that a site that is asleep may cost."""
SECONDS = 10.0
"""For which the processor time of the supervisor is measured."""
LOAD_SECONDS = 60.0
PATIENCE = 300.0


def resident(sites: SeveralSites) -> int:
    assert sites.process is not None
    pages = int(Path(f"/proc/{sites.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def processor_seconds(sites: SeveralSites) -> float:
    assert sites.process is not None
    fields = Path(f"/proc/{sites.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def until_all_sleep(sites: SeveralSites) -> None:
    async def look() -> bool:
        status = (await sites.status())["sites"]
        return all((one.get("sleep") or {}).get("since") for one in status.values())

    async def answers() -> bool:
        try:
            return bool(await sites.status())
        except Exception:  # noqa: BLE001 - it has not started yet
            return False

    await until("the supervisor answers", answers)
    await until("all sites are asleep", look, PATIENCE)


async def measured(sites: SeveralSites) -> tuple[int, float]:
    """Start the supervisor and wait until all sites are asleep; its memory, and the seconds."""
    began = trio.current_time()
    sites.start()
    await until_all_sleep(sites)
    took = trio.current_time() - began
    await trio.sleep(2)
    return resident(sites), took


async def test_fifty_sites_that_sleep_cost_little_and_one_wakes_as_fast_as_alone(
    make_sites: MakeSites,
) -> None:
    sites = make_sites("first")
    sites.change("first", idle={"after": "500ms"})
    app = sites["first"].app
    alone, _ = await measured(sites)
    woken_alone = trio.current_time()
    assert (await sites.get("first")).status == 200
    woken_alone = trio.current_time() - woken_alone
    assert await sites.stop() == 0
    for number in range(1, MANY):
        sites.add(f"site{number}", app, idle={"after": "500ms"})
    _, first_start = await measured(sites)
    assert await sites.stop() == 0
    starts = len(app.journal("start"))
    memory, start = await measured(sites)
    try:
        assert len(app.journal("start")) == starts, "none was started"
        each = (memory - alone) / (MANY - 1)
        before = processor_seconds(sites)
        await trio.sleep(SECONDS)
        used = (processor_seconds(sites) - before) / SECONDS
        woken = trio.current_time()
        assert (await sites.get("site7")).status == 200
        woken = trio.current_time() - woken
        assert sum(map(bool, (await sites.pids()).values())) == 1
        print(
            f"\nalone {alone / 2**20:.1f} MiB; {each / 2**10:.0f} KiB for each more; first start "
            f"{first_start:.1f} s, restart {start:.1f} s; {used:.2%} of a processor; woken in "
            f"{woken:.2f} s, alone in {woken_alone:.2f} s"
        )
    finally:
        assert await sites.stop() == 0
    assert each < MOST_MEMORY
    assert woken < woken_alone + 1


async def test_no_request_is_lost_while_sites_sleep_and_wake_again_and_again(
    make_sites: MakeSites,
) -> None:
    sites = make_sites("awake", "blog", "shop")
    for name in ("blog", "shop"):
        sites.change(name, idle={"after": "300ms"})
    sites.start()
    await until("they run", lambda: sites.log().count("promoted") == 3, PATIENCE)
    answers = 0

    async def visit(name: str, until_: float) -> None:
        nonlocal answers
        while trio.current_time() < until_:
            await trio.sleep(random.uniform(0, 0.9))
            for answer in [await sites.get(name, "/visit") for _ in range(random.randint(1, 3))]:
                assert answer.status == 200, answer
                assert answer.json()["text"].startswith(name)
                answers += 1

    try:
        async with sites.loaded("awake") as loads, trio.open_nursery() as nursery:
            for name in ("blog", "blog", "shop"):
                nursery.start_soon(visit, name, trio.current_time() + LOAD_SECONDS)
        status = (await sites.status())["sites"]
        wakes = {name: status[name]["sleep"]["wakes"] for name in ("blog", "shop")}
        slowest = loads["awake"].percentile(0.99)
        print(f"\n{answers} answers, wakes {wakes}, 99 % of the neighbour's in {slowest:.3f} s")
        assert min(wakes.values()) >= 3
        assert all(status[name]["sleep"]["failed_wakes"] == 0 for name in wakes)
    finally:
        assert await sites.stop() == 0, sites.log()
    assert sites.processes() == {}
