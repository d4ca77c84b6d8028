"""Requests that arrive while nothing can serve them wait and are then answered.

With `pytest --timed`, the first of 200 requests is answered within 20 ms of the moment in which
that became possible, and the last within 100 ms, on a small machine that also runs the client and
the backend. Otherwise only delays that no load on the machine explains are failures.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import trio
from attrs import define, field

from tests.support.site import RealSite
from tests.waiting import until

CROWD = 200
APP = Path(__file__).parents[1] / "apps" / "ordered.py"


@define
class Crowd:
    """Many clients that each ask once, in a known order, and when each had its answer."""

    site: RealSite
    statuses: dict[int, int] = field(factory=dict)
    bodies: dict[int, str] = field(factory=dict)
    answered_at: list[float] = field(factory=list)

    async def ask(self) -> None:
        """Ask, each when the one before is held; return when all have been answered."""
        async with trio.open_nursery() as nursery:
            for number in range(CROWD):
                stream = await trio.open_tcp_stream("127.0.0.1", self.site.port)
                await stream.send_all(b"GET /%d HTTP/1.1\r\nHost: t\r\n\r\n" % number)
                nursery.start_soon(self._read, number, stream)
                await until_held(self.site, number + 1)

    async def _read(self, number: int, stream: trio.SocketStream) -> None:
        async with stream:
            data = await stream.receive_some(4096)
            self.answered_at.append(time.monotonic())
            head, _, body = data.partition(b"\r\n\r\n")
            while len(body) < 40:
                body += await stream.receive_some(4096)
            self.statuses[number] = int(head.split(b" ")[1])
            self.bodies[number] = body.decode()


async def until_held(site: RealSite, count: int) -> None:
    async def look() -> bool:
        return bool((await site.status())["held"] == count)

    await until(f"{count} requests are held", look)


def an_ordered_site(make_site: Callable[..., RealSite], **swap: object) -> RealSite:
    app, hold = {"command": [sys.executable, "ordered.py"]}, {"per_client": CROWD}
    site = make_site(app=app, swap=swap, hold=hold)
    (site.checkout / "ordered.py").write_bytes(APP.read_bytes())
    return site


def assert_prompt(crowd: Crowd, able_at: float, is_timed: bool) -> None:
    assert set(crowd.statuses.values()) == {200}
    first, last = min(crowd.answered_at) - able_at, max(crowd.answered_at) - able_at
    print(f"first after {first * 1000:.1f} ms, last after {last * 1000:.1f} ms")
    assert first < (0.020 if is_timed else 5)
    assert last < (0.100 if is_timed else 10)


def assert_in_order(site: RealSite) -> None:
    assert [int(request["path"][1:]) for request in site.journal()] == list(range(CROWD))


async def test_requests_before_the_first_start_are_answered_in_order_once_it_listens(
    make_site: Callable[..., RealSite], is_timed: bool
) -> None:
    site = an_ordered_site(make_site)
    revision = site.commit()
    barrier = site.put_up("start", revision)
    async with site.running(wait_for="starting"):
        crowd = Crowd(site)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(crowd.ask)
            await until_held(site, CROWD)
            barrier.unlink()
        await site.until_live(revision)
    assert_in_order(site)
    assert_prompt(crowd, site.journal("listens")[0]["at"], is_timed)


async def test_requests_during_a_pause_are_answered_in_order_after_it(
    make_site: Callable[..., RealSite], is_timed: bool
) -> None:
    site = an_ordered_site(make_site)
    site.commit()
    async with site.running():
        await site.ask("pause", seconds=20)
        crowd = Crowd(site)
        resumed_at = 0.0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(crowd.ask)
            await until_held(site, CROWD)
            resumed_at = time.monotonic()
            await site.ask("resume")
    assert_in_order(site)
    assert_prompt(crowd, resumed_at, is_timed)


async def test_requests_during_an_exclusive_swap_follow_to_the_new_release_on_its_other_port(
    make_site: Callable[..., RealSite], is_timed: bool
) -> None:
    site = an_ordered_site(make_site, strategy="exclusive")
    site.commit("old")
    async with site.running():
        new = site.draft("new")
        barrier = site.put_up("start", new)
        await site.ask("swap", revision=new, wait=False)
        await until("the old release is stopped", lambda: is_probing(site))
        crowd = Crowd(site)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(crowd.ask)
            await until_held(site, CROWD)
            barrier.unlink()
        status = await site.until_live(new)
    assert status["live"]["ports"] == [site.green]
    assert set(crowd.bodies.values()) == {new}
    assert status["last_swap"]["held"] == CROWD
    assert_in_order(site)
    assert_prompt(crowd, site.journal("listens")[-1]["at"], is_timed)


async def is_probing(site: RealSite) -> bool:
    return bool((await site.status())["step"] == "probe")
