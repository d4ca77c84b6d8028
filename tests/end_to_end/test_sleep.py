"""A site that nobody uses is stopped, and the next request starts it again."""

from collections.abc import Callable

import pytest
import trio

from blue_green.site.sleep import FIRST_BACKOFF
from tests.support.admin import Admin
from tests.support.site import RealSite
from tests.support.sleeping import (
    SOON,
    events,
    held_requests,
    is_asleep,
    notify,
    sleeping,
    until_asleep,
    until_held,
)
from tests.waiting import until

MakeSite = Callable[..., RealSite]

TWO_LOOKS = 1.0
"""Seconds in which a site with `SOON` would fall asleep, if nothing kept it awake."""


async def test_a_site_falls_asleep_and_the_next_requests_wake_it(make_site: MakeSite) -> None:
    site = make_site(idle=SOON, proxy={"max_body": 1000}, hold={"ramp": 1})
    admin = Admin(site)
    async with sleeping(site) as one:
        status = await site.status()
        assert site.processes() == []
        assert (status["live"]["pids"], status["down"]) == ([], "")
        assert await admin.ready() == (200, "ready")
        # What needs no backend does not wake it.
        assert (await site.post("/", b"x" * 2000)).status == 413
        assert await is_asleep(site)

        site.put_up("start", one)
        async with held_requests(site, "/0", "/1", "/2") as answers:
            assert (await site.status())["phase"] == "waking"
            site.take_down_barriers()
        assert [answer.status for answer in answers] == [200] * 3
        assert [line["path"] for line in site.journal()] == ["/0", "/1", "/2"]
        assert len(site.journal("start")) == 2

        status = await until_asleep(site)
        assert (status["sleep"]["wakes"], status["sleep"]["failed_wakes"]) == (1, 0)
        assert status["sleep"]["last_wake_seconds"] > 0
        metrics = await admin.metrics()
        found = {key[0]: value for key, value in metrics.items() if "wake" in key[0]}
        assert found["blue_green_wake_seconds_count"] == 1
        assert found["blue_green_failed_wakes_total"] == 0


async def test_a_request_in_the_moment_of_the_stop_waits_and_is_answered(
    make_site: MakeSite,
) -> None:
    site = make_site(idle=SOON, app={"stop_timeout": "30s"})
    one = site.commit("one")
    stop = site.put_up("stop", one)
    async with site.running(wait_for="asleep"):
        await until("the app is stopping", stop.with_name(f"{stop.name}.reached").exists)
        async with held_requests(site, "/one", "/two") as answers:
            assert (await site.status())["sleep"]["state"] == "falling asleep"
            site.take_down_barriers()
        assert [answer.status for answer in answers] == [200, 200]
        assert (await site.status())["sleep"]["wakes"] == 1


@pytest.mark.long
async def test_streams_requests_and_commands_keep_a_site_awake(make_site: MakeSite) -> None:
    site = make_site(idle=SOON)
    async with sleeping(site):
        async with await trio.open_tcp_stream("127.0.0.1", site.port) as stream:
            await stream.send_all(b"GET /events HTTP/1.1\r\nHost: test.example\r\n\r\n")
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 200 ")
            await trio.sleep(TWO_LOOKS)
            assert not await is_asleep(site)
        await until_asleep(site)
        released = site.directory / "released"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(site.get, f"/until={released}")
            await until("it is there", site.journal)
            await trio.sleep(TWO_LOOKS)
            assert not await is_asleep(site)
            released.touch()
        began, ended = site.directory / "began", site.directory / "ended"
        await until_asleep(site)
        async with trio.open_nursery() as nursery:
            script = f"touch {began}; while ! test -e {ended}; do sleep 0.05; done"
            nursery.start_soon(
                site.run, "exec", "--config", str(site.config_file), "sh", "-c", script
            )
            await until("it runs", began.exists)
            assert await is_asleep(site), "it does not need the app, and does not wake it"
            assert (await site.get("/")).status == 200
            await trio.sleep(TWO_LOOKS)
            assert not await is_asleep(site)
            ended.touch()
        await until_asleep(site)


async def test_a_failed_start_is_reported_and_tried_again_after_a_while(
    make_site: MakeSite,
) -> None:
    site = make_site(idle=SOON)
    notify(site)
    admin = Admin(site)
    broken = site.directory / "broken"
    async with sleeping(site, raises_while_there_is=str(broken)):
        broken.touch()
        answer = await site.get("/")
        failed_at, starts = trio.current_time(), len(site.journal("start"))
        assert (answer.status, b"failed to start" in answer.body) == (503, True)
        again, status, ready = await site.get("/"), await site.status(), await admin.ready()
        starts_now = len(site.journal("start"))
        if trio.current_time() < failed_at + FIRST_BACKOFF:
            assert (again.status, starts_now) == (503, starts), "it is not started for each"
            assert (status["phase"], ready[0]) == ("failing", 503)
        assert status["sleep"]["failed_wakes"] >= 1
        await until("it is reported", lambda: events(site)[1:])
        assert events(site)[-1]["event"] == "crash"
        assert "the database is away" in "".join(events(site)[-1]["output"])
        broken.unlink()
        await site.until_phase("asleep")
        assert await admin.ready() == (200, "ready")
        assert (await site.get("/")).status == 200
        assert (await site.status())["live"]["crash"] == ""


@pytest.mark.long
async def test_a_pause_holds_requests_of_a_site_that_is_asleep_and_wakes_it(
    make_site: MakeSite,
) -> None:
    site = make_site(idle=SOON)
    async with sleeping(site):
        await site.cli("pause", "--for", "60s")
        async with held_requests(site, "/") as answers:
            await until("it runs", lambda: len(site.journal("listens")) == 2)
            await until_held(site, 1)
            await site.cli("resume")
        assert answers[0].status == 200
