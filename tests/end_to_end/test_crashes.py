"""A live release crashes, hangs, or never starts."""

import resource
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import trio

from blue_green.site.crash import TOO_MANY_DEATHS
from tests.support.http_client import Answer
from tests.support.site import RealSite
from tests.support.swaps import lasting
from tests.waiting import until

MakeSite = Callable[..., RealSite]


async def phase(site: RealSite) -> str:
    name: str = (await site.status())["phase"]
    return name


async def test_a_crashed_release_is_restarted_while_requests_wait(make_site: MakeSite) -> None:
    site = make_site()
    one = site.commit("one", start_delay=0.3)
    async with site.running():
        before = (await site.status())["live"]
        async with site.steady_load(), trio.open_nursery() as nursery:
            deadly = await site.post("/die", b"last words")
            assert deadly.status == 502
            # Until then, a POST may still reach the socket of the app that is dying.
            await site.until_logged("is down")
            answers: list[Answer] = []

            async def ask(method: str) -> None:
                held = site.get("/held") if method == "GET" else site.post("/held", b"all of it")
                answers.append(await held)

            for method in ("GET", "POST", "GET"):
                nursery.start_soon(ask, method)
            await until("they are answered", lambda: len(answers) == 3)
        assert [answer.status for answer in answers] == [200] * 3
        assert answers[1].json()["revision"] == one
        after = (await site.until_live(one))["live"]
        assert after["pids"] != before["pids"]
        assert after["ports"] == before["ports"]
        seen = [request["path"] for request in site.journal() if request["method"] == "POST"]
        assert sorted(seen) == ["/die", "/held"], "what is not safe is sent once only"


async def test_requests_are_refused_quickly_during_a_crash_loop(make_site: MakeSite) -> None:
    site = make_site()
    away = site.directory / "database-is-away"
    one = site.commit("one", raises_while_there_is=str(away))
    async with site.running():
        away.touch()
        await site.post("/die", b"")

        async def fails() -> bool:
            return await phase(site) == "failing"

        await until("it fails", fails)
        answer = await site.get("/")
        assert answer.status == 503
        assert int(answer.headers["retry-after"]) >= 1
        status = await site.status()
        assert status["held"] == 0
        assert status["live"]["crash"].startswith("the app ended with exit status 1")
        shown = (await site.cli("status")).out
        assert "restarting it: the app ended with exit status 1" in shown
        assert status["output"][one][-1] in shown, "the last line says why"
        away.unlink()
        # The next start may be some seconds away; a swap need not wait for it.
        done = await site.cli("swap", one)
        assert done.code == 0, done
        assert (await site.get("/")).json()["revision"] == one
        assert (await site.status())["live"]["crash"] == ""


async def test_a_request_that_keeps_killing_the_app_only_delays_others_by_its_start(
    make_site: MakeSite,
) -> None:
    site = make_site()
    site.commit("one")
    async with site.running():
        for _ in range(TOO_MANY_DEATHS + 2):
            assert (await site.get("/")).status == 200
            assert (await site.post("/die", b"")).status == 502
        assert (await site.get("/")).status == 200
    assert "restarting it in" not in site.log(), "not even once after a delay"


async def test_requests_are_refused_when_each_one_kills_an_app_that_passes_its_probes(
    make_site: MakeSite,
) -> None:
    site = make_site()
    site.commit("one", dies_of_requests=True)
    async with site.running():

        async def refused() -> bool:
            return (await site.post("/", b"")).status == 503

        await until("it is refused", refused)
        assert await phase(site) == "failing"
    assert "restarting it in 2 s" in site.log(), "the delays grew"


async def test_a_first_release_that_cannot_start_is_reported_to_clients_and_in_the_log(
    make_site: MakeSite,
) -> None:
    site = make_site()
    bad = site.commit("bad", raises="no such table")
    async with site.running(wait_for="failing"):
        answer = await site.get("/")
        assert (answer.status, "retry-after" in answer.headers) == (503, True)
        status = await site.status()
        assert status["live"] is None
        assert "exit status 1" in status["quarantined"][bad]
        good = site.commit("good")
        await site.until_live(good)
        assert (await site.get("/")).status == 200


async def test_a_live_release_that_stops_answering_is_replaced(make_site: MakeSite) -> None:
    site = make_site(health={"timeout": "500ms"}, swap={"drain_timeout": "500ms"})
    one = site.commit("one")
    async with site.running(), site.steady_load():
        silent = (await site.status())["live"]
        assert (await site.get("/hang")).status == 200

        async def replaced() -> Any:
            live = (await site.status())["live"]
            return live["pids"] != silent["pids"]

        await until("it is replaced", replaced)
        status = await site.until_live(one)
        assert status["live"]["slot"] != silent["slot"]
        assert status["last_swap"]["asked_by"] == "health"
        assert status["quarantined"] == {}
        await site.until_only_run(status["live"]["pids"])


async def test_a_release_that_dies_while_the_old_one_drains_is_restarted(
    make_site: MakeSite,
) -> None:
    """The old one retires: somebody has to look after the new one, which serves alone."""
    site = make_site(swap={"soak": "100ms", "drain_timeout": "30s"})
    site.commit("old")
    async with site.running():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(site.get, "/?slow=600")
            await until("it is in flight", site.journal)
            new = site.commit("new")

            async def retires() -> bool:
                status = await site.status()
                return bool(status["live"]["revision"] == new and status["retiring"])

            await until("the old one retires", retires)
            await site.post("/die", b"")
            with trio.fail_after(10):
                answer = await site.get("/")
            assert answer.status == 200, answer.body.decode()
            assert answer.json()["revision"] == new
            nursery.cancel_scope.cancel()


async def test_the_site_survives_running_out_of_file_descriptors(make_site: MakeSite) -> None:
    """Probes that fail for want of a descriptor say nothing about the release."""
    site = make_site(proxy={"header_timeout": "30s"})
    one = site.commit("one")
    async with site.running():
        before = (await site.status())["live"]
        assert site.process is not None
        resource.prlimit(site.process.pid, resource.RLIMIT_NOFILE, (64, 64))
        async with AsyncExitStack() as clients:
            for _ in range(64):
                client = await trio.open_tcp_stream("127.0.0.1", site.port)
                clients.push_async_callback(client.aclose)
            await until("it has run out", lambda: "no more connections for now" in site.log())
            await trio.sleep(1)  # Long enough for all of its probes to fail.
        assert (await site.get("/")).status == 200
        after = (await site.until_live(one))["live"]
        assert lasting(after) == lasting(before)
