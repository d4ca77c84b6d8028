"""/metrics, as Prometheus reads it."""

from collections.abc import Callable

import trio
import trio.testing

from tests.support.admin import Admin
from tests.support.site import RealSite
from tests.waiting import until

NAME = "test"


async def test_metrics_report_what_happened(make_site: Callable[..., RealSite]) -> None:
    site = make_site()
    admin = Admin(site)
    site.commit("zero", raises="broken")
    async with site.running(wait_for="failing"):
        status, why = await admin.ready()
        assert (status, why.startswith("The site is down")) == (503, True)
        down = await admin.metrics()
        assert (down["blue_green_ready", NAME], down["blue_green_swaps_total", "failed", NAME]) == (
            0,
            1,
        )

        one = site.commit("one")
        await site.until_live(one)
        await site.ask("pause", seconds=60)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(site.get, "/held")

            async def held() -> bool:
                return (await admin.metrics())["blue_green_requests_held", NAME] == 1

            await until("it is held", held)
            await site.ask("resume")
        assert (await site.post("/die", b"")).status == 502
        await site.until_logged("restarting it")
        assert (await site.get("/")).status == 200

        async def counted() -> bool:
            return (await admin.metrics())["blue_green_requests_total", NAME, "200"] == 2

        await until("the last answer is counted", counted)
        seen = await admin.metrics()

    assert seen["blue_green_requests_total", NAME, "200"] == 2
    assert seen["blue_green_requests_total", NAME, "502"] == 1
    assert (
        seen["blue_green_requests_in_flight", NAME] == seen["blue_green_requests_held", NAME] == 0
    )
    assert seen["blue_green_hold_seconds_count", NAME] in (
        1,
        2,
    )  # The last one may have had to wait.
    assert seen["blue_green_swaps_total", "promoted", NAME] == 1
    assert seen["blue_green_swap_phase_seconds_count", "switch", NAME] == 1
    assert seen["blue_green_backend_restarts_total", NAME, "blue"] == 1
    assert (
        seen["blue_green_release_info", one, NAME, "blue", "live"]
        == seen["blue_green_ready", NAME]
        == 1
    )
    assert any(name == "blue_green_build_info" for name, *_ in seen)
    assert seen["process_open_fds",] > 5
