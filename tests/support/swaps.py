"""How far a swap has come, and how those before it ended."""

from typing import Any

from tests.support.site import RealSite
from tests.waiting import until


async def reaches(site: RealSite, step: str) -> None:
    async def look() -> bool:
        return bool((await site.status())["step"] == step)

    await until(f"the swap has come to {step}", look)


def outcomes(site: RealSite) -> list[tuple[str, str]]:
    """Of all swaps so far, with what they were to."""
    return [(swap["outcome"], swap["revision"]) for swap in site.remembered()["history"]]


def lasting(slot: dict[str, Any]) -> dict[str, Any]:
    """What requests do not change of a slot in the status."""
    return {key: value for key, value in slot.items() if key != "results"}
