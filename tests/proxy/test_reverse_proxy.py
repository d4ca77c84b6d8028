"""Requests find their site by host and path, and have its limits, pages and counters."""

from pathlib import Path

import pytest

from blue_green.config.kinds import Count, Period, Size
from blue_green.config.site_settings import HoldSettings, ServingSettings
from blue_green.proxy.access_log import GONE
from tests.raw.backend import in_turn, says, silence
from tests.raw.messages import OK
from tests.raw.proxy import SHORT
from tests.raw.sites import Plan, running_sites
from tests.raw.tunnels import ASK, SWITCH
from tests.waiting import until

BLOG = Plan(hosts=("blog.x.org",))
API = Plan(hosts=("blog.x.org",), paths=("/api",))
ANY = Plan(hosts=("*",))


@pytest.mark.parametrize(
    ("head", "site"),
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: blog.x.org\r\n", b"blog", id="by host"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: BLOG.X.org.:81\r\n", b"blog", id="host with a port"),
        pytest.param(b"GET /api/x HTTP/1.1\r\nHost: blog.x.org\r\n", b"api", id="by path"),
        pytest.param(b"GET /apiary HTTP/1.1\r\nHost: blog.x.org\r\n", b"blog", id="other segment"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: else\r\n", b"any", id="the default site"),
        pytest.param(b"GET / HTTP/1.0\r\n", b"any", id="HTTP/1.0 without Host"),
        pytest.param(
            b"GET http://blog.x.org/api HTTP/1.1\r\nHost: else\r\n", b"api", id="absolute-form"
        ),
        pytest.param(b"OPTIONS * HTTP/1.1\r\nHost: blog.x.org\r\n", b"blog", id="asterisk-form"),
        pytest.param(
            b"OPTIONS http://blog.x.org HTTP/1.1\r\nHost: else\r\n", b"blog", id="both forms"
        ),
    ],
)
async def test_a_request_goes_to_the_site_of_its_host_and_path(head: bytes, site: bytes) -> None:
    async with running_sites({"blog": BLOG, "api": API, "any": ANY}) as sites:
        client = await sites.proxy.ask(head + b"\r\n")
        assert (await client.answer()).body == site


async def test_the_requests_of_one_connection_may_go_to_different_sites() -> None:
    async with running_sites({"blog": BLOG, "api": API}) as sites:
        client = await sites.proxy.connect()
        for path, site in ((b"/", b"blog"), (b"/api", b"api"), (b"/", b"blog"), (b"/api/", b"api")):
            await client.send(b"GET %b HTTP/1.1\r\nHost: blog.x.org\r\n\r\n" % path)
            assert (await client.answer()).body == site


async def test_an_upgrade_goes_to_the_site_of_its_host_and_path() -> None:
    plans = {"blog": BLOG, "api": Plan(("blog.x.org",), ("/api",), script=says(SWITCH))}
    async with running_sites(plans) as sites:
        head = ASK.replace(b"/chat", b"/api/chat").replace(b"Host: h", b"Host: blog.x.org")
        client = await sites.proxy.ask(head)
        assert (await client.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        assert not sites["blog"].backend.heads


# --- requests to no site ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "why"),
    [
        (b"GET / HTTP/1.1\r\nHost: else.org\r\n", b"no site with this host name"),
        (b"GET / HTTP/1.1\r\nHost: 9.9.9.9\r\n", b"no site with this host name"),
        (b"GET / HTTP/1.0\r\n", b"no site with this host name"),
        (b"GET /x HTTP/1.1\r\nHost: blog.x.org\r\n", b"no site with this path"),
        (b"OPTIONS * HTTP/1.1\r\nHost: blog.x.org\r\n", b"no site with this path"),
    ],
)
async def test_a_request_to_no_site_gets_404_and_its_connection_goes_on(
    head: bytes, why: bytes
) -> None:
    async with running_sites({"api": API}) as sites:
        client = await sites.proxy.ask(head + b"Connection: keep-alive\r\n\r\n")
        answer = await client.answer()
        assert answer.status == 404
        assert why in answer.body
        await client.send(b"GET /api HTTP/1.1\r\nHost: blog.x.org\r\n\r\n")
        assert (await client.answer()).body == b"api"
        assert len(sites["api"].backend.heads) == 1


async def test_the_page_of_an_unknown_host_does_not_repeat_the_host() -> None:
    async with running_sites({"blog": BLOG}) as sites:
        answer = await sites.get("evil'onload=x/", "Accept: text/html")
        assert answer.status == 404
        assert b"evil" not in answer.raw


async def test_requests_count_for_their_site_and_others_for_the_listener() -> None:
    async with running_sites({"blog": BLOG, "api": API}) as sites:
        for url in ("blog.x.org/", "blog.x.org/api", "blog.x.org/api/x", "else.org/"):
            await sites.get(url)
        bad = await sites.proxy.ask(b"nonsense\r\n\r\n")
        assert (await bad.answer()).status == 400
        counted = sites.proxy.listener.by_status
        await until("all are counted", lambda: counted.total() == 2)
        assert dict(sites["blog"].served.gate.by_status) == {200: 1}
        assert dict(sites["api"].served.gate.by_status) == {200: 2}
        assert dict(counted) == {404: 1, 400: 1}


# --- what belongs to a site ------------------------------------------------------------------


async def test_each_site_has_limits_of_its_own() -> None:
    small = ServingSettings(max_body=Size(3))
    hasty = ServingSettings(response_timeout=Period(SHORT))
    plans = {
        "small": Plan(("small.org",), limits=small),
        "hasty": Plan(("hasty.org",), limits=hasty, script=silence),
        "large": Plan(("large.org",)),
    }
    async with running_sites(plans) as sites:
        for host, status in ((b"small.org", 413), (b"hasty.org", 504), (b"large.org", 200)):
            head = b"POST / HTTP/1.1\r\nHost: %b\r\nContent-Length: 5\r\n\r\nhello" % host
            client = await sites.proxy.ask(head)
            assert (await client.answer()).status == status


async def test_errors_have_the_page_of_their_site_and_others_that_of_the_process(
    tmp_path: Path,
) -> None:
    for name in ("process", "blog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "error.txt").write_text(name)
    blog = ServingSettings(error_pages=tmp_path / "blog", response_timeout=Period(SHORT))
    plans = {
        "blog": Plan(("blog.org",), limits=blog, script=silence),
        "shop": Plan(("shop.org",), limits=ServingSettings(max_body=Size(1))),
    }
    async with running_sites(plans, error_pages=tmp_path / "process") as sites:
        assert (await sites.get("blog.org/")).body == b"blog"  # From the deadline.
        sites["blog"].served.gate.close("The end.")
        assert (await sites.get("blog.org/", "Connection: close")).body == b"blog"
        assert (await sites.get("else.org/")).body == b"process"
        bad = await sites.proxy.ask(b"nonsense\r\n\r\n")
        assert (await bad.answer()).body == b"process"
        assert (await sites.get("shop.org/")).body == b"shop"
        too_large = b"POST / HTTP/1.1\r\nHost: shop.org\r\nContent-Length: 5\r\n\r\nhello"
        refused = await (await sites.proxy.ask(too_large)).answer()
        assert b"over 1 bytes" in refused.body  # The built-in page: it has none of its own.


async def test_a_site_that_holds_requests_does_not_hold_those_of_another() -> None:
    held = HoldSettings(limit=Count(2))
    plans = {"blog": Plan(("blog.org",), hold=held), "shop": Plan(("shop.org",), hold=held)}
    async with running_sites(plans) as sites:
        gate = sites["blog"].served.gate
        gate.hold("test")
        head = b"GET / HTTP/1.1\r\nHost: blog.org\r\n\r\n"
        waiting = [await sites.proxy.ask(head) for _ in range(2)]
        await until("both wait", lambda: gate.held == 2)
        assert (await sites.get("blog.org/")).status == 503
        for _ in range(3):
            assert (await sites.get("shop.org/")).body == b"shop"
        gate.resume("test")
        assert [(await client.answer()).body for client in waiting] == [b"blog"] * 2


# --- a reload --------------------------------------------------------------------------------


async def test_a_reload_moves_new_requests_and_leaves_those_that_have_begun() -> None:
    limits = ServingSettings(response_timeout=Period(600))
    old = Plan(("x.org",), limits=limits, script=in_turn(silence, says(OK)))
    async with running_sites({"old": old, "new": Plan(("y.org",))}) as sites:
        client = await sites.proxy.ask(b"GET / HTTP/1.1\r\nHost: x.org\r\n\r\n")
        await until("it has begun", lambda: len(sites["old"].backend.heads) == 1)
        gate = sites["old"].served.gate
        gate.hold("test")
        held = await sites.proxy.ask(b"GET / HTTP/1.1\r\nHost: x.org\r\n\r\n")
        await until("one waits", lambda: gate.held == 1)
        sites.route(new=Plan(("x.org",)))
        assert (await sites.get("x.org/")).body == b"new"
        assert (await sites.get("y.org/")).status == 404
        gate.resume("test")
        assert (await held.answer()).body == b"ok"
        await client.close()
        await until("it has ended", lambda: gate.by_status[GONE] == 1)
        assert sites["old"].served.gate.requests == 0


async def test_the_same_head_on_the_same_connection_follows_a_reload() -> None:
    """No cache of parsed heads outlives the routing table."""
    async with running_sites({"one": ANY, "two": Plan()}) as sites:
        client = await sites.proxy.connect()
        for name in ("one", "two", "one", "two"):
            sites.route(**{name: ANY})
            await client.send(b"GET / HTTP/1.1\r\nHost: x.org\r\n\r\n")
            assert (await client.answer()).body == name.encode()


async def test_a_single_site_without_hosts_gets_everything_and_counts_everything() -> None:
    async with running_sites({"only": Plan()}) as sites:
        for url in ("a.org/", "b.org/x"):
            assert (await sites.get(url)).body == b"only"
        bad = await sites.proxy.ask(b"nonsense\r\n\r\n")
        assert (await bad.answer()).status == 400
        counted = sites["only"].served.gate.by_status
        await until("all are counted", lambda: counted.total() == 3)
        assert dict(counted) == {200: 2, 400: 1}
