"""Upgrade a real site in place."""

import json
from typing import Any

from tests.support.site import RealSite


def pids(status: dict[str, Any]) -> list[int]:
    assert status["live"] is not None
    found: list[int] = status["live"]["pids"]
    return found


async def upgraded(site: RealSite) -> dict[str, Any]:
    """Upgrade, as a person would; the status afterwards."""
    before = await site.status()
    done = await site.cli("upgrade", "--json")
    assert done.code == 0, done.err + site.log()
    status = await site.until_phase(before["phase"])
    assert site.process is not None
    assert status["supervisor"]["pid"] == site.process.pid
    assert pids(status) == pids(before)
    assert json.loads(done.out)["version"] == status["supervisor"]["version"]
    return status
