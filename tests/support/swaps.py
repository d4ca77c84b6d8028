"""How far a swap has come, and how those before it ended."""

from tests.support.site import RealSite
from tests.waiting import until


async def reaches(site: RealSite, step: str) -> None:
    async def look() -> bool:
        return bool((await site.status())["step"] == step)

    await until(f"the swap has come to {step}", look)


def outcomes(site: RealSite) -> list[tuple[str, str]]:
    """Of all swaps so far, with what they were to."""
    return [(swap["outcome"], swap["revision"]) for swap in site.remembered()["history"]]
