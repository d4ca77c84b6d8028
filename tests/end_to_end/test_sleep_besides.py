"""What else happens to a site that is asleep: taken ports, canaries, maintenance, files, kills."""

import signal
import socket
from collections.abc import Callable

import pytest
import trio

from tests.support.http_client import HttpClient
from tests.support.several_sites import SeveralSites
from tests.support.site import RealSite, free_ports
from tests.support.sleeping import SOON, held_requests, is_asleep, sleeping, until_asleep
from tests.support.swaps import reaches
from tests.support.visitors import PROXIES
from tests.waiting import until

MakeSite = Callable[..., RealSite]
MakeSites = Callable[..., SeveralSites]
pytestmark = pytest.mark.long


async def test_a_port_that_was_found_and_taken_meanwhile_is_replaced(make_site: MakeSite) -> None:
    site = make_site(idle=SOON, app={"ports": None})
    async with sleeping(site) as one:
        status = await site.status()
        [port] = status["live"]["ports"]
        with socket.create_server(("127.0.0.1", port)):
            assert (await site.get("/")).json()["revision"] == one
            [other] = (await site.status())["live"]["ports"]
            assert other != port


async def test_a_port_of_the_settings_that_is_taken_meanwhile_is_reported(
    make_site: MakeSite,
) -> None:
    site = make_site(idle=SOON)
    async with sleeping(site) as one:
        with socket.create_server(("127.0.0.1", site.blue)):
            assert (await site.get("/")).status == 503
            status = await site.status()
            assert f"{site.blue} is taken" in status["live"]["crash"]
            assert status["quarantined"] == {}
        await site.until_phase("asleep")
        assert (await site.get("/")).json()["revision"] == one


async def test_several_backends_sleep_and_wake_together(make_site: MakeSite) -> None:
    others = free_ports(2)
    site = make_site(idle=SOON)
    site.configure(app={"ports": [[site.blue, others[0]], [site.green, others[1]]]})
    async with sleeping(site):
        assert (await site.get("/")).status == 200
        assert len((await site.status())["live"]["pids"]) == 2
        assert len(site.journal("listens")) == 4


async def test_a_crash_after_a_wake_is_mended_as_always(make_site: MakeSite) -> None:
    site = make_site(idle=SOON)
    async with sleeping(site):
        assert (await site.post("/die", b"")).status == 502
        assert (await site.get("/")).status == 200
        assert (await site.status())["sleep"]["failed_wakes"] == 0


async def test_a_supervisor_that_is_killed_while_a_site_falls_asleep_starts_it_again(
    make_site: MakeSite,
) -> None:
    site = make_site(idle=SOON)
    one = site.commit("one")
    stop = site.put_up("stop", one)
    site.start()
    await until("the app is stopping", stop.with_name(f"{stop.name}.reached").exists)
    assert await site.stop(signal.SIGKILL) == -signal.SIGKILL
    site.take_down_barriers()
    async with site.running(wait_for="asleep"):
        await until_asleep(site)
        assert site.processes() == []
        assert (await site.get("/")).json()["revision"] == one


async def test_files_and_maintenance_do_not_wake_a_site(make_site: MakeSite) -> None:
    site = make_site(idle=SOON, files={"/static/": "."})
    async with sleeping(site):
        assert (await site.get("/static/text.txt")).body == b"one"
        assert (await site.cli("maintenance", "on")).code == 0
        assert (await site.get("/")).status == 503
        assert (await site.cli("maintenance", "off")).code == 0
        assert await is_asleep(site)
        assert (await site.get("/static/none.txt")).status == 200, "the app gets this one"
        assert not await is_asleep(site)


async def test_a_canary_of_a_site_that_is_asleep_wakes_the_live_release_for_the_others(
    make_site: MakeSite,
) -> None:
    site = make_site(idle=SOON, proxy=PROXIES)
    async with sleeping(site) as one:
        two = site.draft("two")
        assert (await site.cli("swap", two, "--canary", "50%", "--no-wait")).code == 0
        await reaches(site, "canary")
        seen = set()
        for number in range(20):
            async with HttpClient(site.port) as http:
                answer = await http.get("/", X_Forwarded_For=f"192.0.2.{number}")
                seen.add(answer.json()["revision"])
        assert seen == {one, two}
        await trio.sleep(1)
        status = await site.status()
        assert (status["step"], bool(status["live"]["pids"])) == ("canary", True)
        assert (await site.cli("abort")).code == 0
        await until_asleep(site)
        assert site.processes() == []
        assert (await site.get("/")).json()["revision"] == one


async def test_reloads_add_and_remove_sites_that_are_asleep(make_sites: MakeSites) -> None:
    sites = make_sites("awake", "shop")
    sites.change("shop", idle=SOON)
    sites.start()

    async def shop_sleeps() -> bool:
        shop = (await sites.status())["sites"].get("shop", {})
        return bool((shop.get("sleep") or {}).get("since"))

    try:
        await until("both have started", lambda: sites.log().count("promoted") == 2)
        await until("the shop sleeps", shop_sleeps)
        file = sites.file_of("shop")
        text = file.read_text()
        file.unlink()
        async with sites.loaded("awake"):
            assert (await sites.cli("reload")).code == 0
            assert (await sites.get("shop")).status == 404
            await sites.until_logged("shop: stopped")
            file.write_text(text)
            assert (await sites.cli("reload")).code == 0
            await until("the shop sleeps on", shop_sleeps)
            assert len(sites["shop"].app.journal("start")) == 1
            assert (await sites.get("shop")).status == 200
    finally:
        assert await sites.stop() == 0
    assert sites.processes() == {}


async def test_a_slow_download_is_whole_though_its_backend_has_stopped_meanwhile(
    make_site: MakeSite,
) -> None:
    site = make_site(idle=SOON)
    async with sleeping(site) as one:
        async with await trio.open_tcp_stream("127.0.0.1", site.port) as stream:
            request = b"GET /pieces=50 HTTP/1.1\r\nHost: test.example\r\nConnection: close\r\n\r\n"
            await stream.send_all(request)
            received = await stream.receive_some(100)
            await until_asleep(site)
            assert site.processes() == []
            received += b"".join([part async for part in stream])
        assert received.startswith(b"HTTP/1.1 200 ")
        assert len(received.partition(b"\r\n\r\n")[2]) == 50 * 2000 * len(one)


async def test_a_slow_upload_wakes_a_site_only_when_it_is_whole(make_site: MakeSite) -> None:
    site = make_site(idle=SOON)
    async with sleeping(site):
        async with await trio.open_tcp_stream("127.0.0.1", site.port) as stream:
            head = b"POST / HTTP/1.1\r\nHost: test.example\r\nContent-Length: 6\r\n\r\n"
            await stream.send_all(head + b"abc")
            await trio.sleep(0.5)
            assert await is_asleep(site)
            await stream.send_all(b"def")
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 200 ")
        assert [line["body"] for line in site.journal()] == ["abcdef"]


async def test_a_full_queue_refuses_requests_of_a_site_that_wakes(make_site: MakeSite) -> None:
    site = make_site(idle=SOON, hold={"limit": 2})
    async with sleeping(site) as one:
        site.put_up("start", one)
        async with held_requests(site, "/a", "/b") as answers:
            assert (await site.get("/c")).status == 503
            site.take_down_barriers()
        assert [answer.status for answer in answers] == [200, 200]


async def test_a_visitor_whom_a_slow_start_keeps_waiting_too_long_learns_why(
    make_site: MakeSite,
) -> None:
    site = make_site(idle=SOON, hold={"timeout": "500ms"})
    async with sleeping(site) as one:
        site.put_up("start", one)
        answer = await site.get("/")
        assert (answer.status, b"was asleep, and has not started" in answer.body) == (503, True)
        site.take_down_barriers()
        await site.until_phase("serving")
        assert (await site.get("/")).status == 200
