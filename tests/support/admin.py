"""The admin address of a real supervisor."""

from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.support.http_client import Answer, HttpClient
from tests.support.several_sites import SeveralSites
from tests.support.site import RealSite, free_ports
from tests.waiting import until


class Admin:
    """The admin address of a supervisor, of one site or of several."""

    def __init__(self, site: RealSite | SeveralSites, **settings: Any) -> None:
        (self.port,) = free_ports(1)
        site.configure(admin={"listen": [f"127.0.0.1:{self.port}"], **settings})

    async def get(self, path: str) -> Answer:
        async with HttpClient(self.port) as http:
            return await http.get(path)

    async def ready(self) -> tuple[int, str]:
        answer = await self.get("/ready")
        return answer.status, answer.body.decode().strip()

    async def until_ready_says(self, status: int) -> None:
        async def look() -> bool:
            seen.append(await self.ready())
            return seen[-1][0] == status

        seen: list[tuple[int, str]] = []
        await until(f"/ready says {status}", look)

    async def metrics(self) -> dict[tuple[str, ...], float]:
        """The value of each sample, by its name and the values of its labels in their order."""
        answer = await self.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        families = text_string_to_metric_families(answer.body.decode())
        samples = [sample for family in families for sample in family.samples]
        return {(sample.name, *sample.labels.values()): sample.value for sample in samples}
