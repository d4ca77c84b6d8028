"""A site that is asleep, and wakes when the load begins."""

from typing import TYPE_CHECKING, Any

from tests.support.sleeping import SOON, until_asleep
from tests.waiting import until

if TYPE_CHECKING:
    from tests.faults.scene import Scene
    from tests.support.site import RealSite

WAKE = "wake"


async def fall_asleep(site: "RealSite") -> dict[str, Any]:
    """Let the site fall asleep; its status."""
    await _use(site, SOON)
    return await until_asleep(site)


async def stay_awake(site: "RealSite") -> None:
    await _use(site, {"after": None})


async def _use(site: "RealSite", idle: dict[str, Any]) -> None:
    site.configure(idle=idle)
    answer = await site.ask("reload")
    assert answer["event"] == "result", answer


async def requests_wait(scene: "Scene") -> None:
    """Wait until the release has started, answers no probe, and requests are held for it."""
    barrier = scene.site.put_up("probe", scene.old)
    reached = barrier.with_name(f"{barrier.name}.reached")

    async def look() -> bool:
        status = await scene.site.status()
        return status["phase"] == "waking" and status["held"] > 0 and reached.exists()

    await until("requests wait for the site to wake", look)
