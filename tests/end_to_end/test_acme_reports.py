"""What people are told about a host whose certificate cannot be obtained, until it is there."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.acme_site import (
    acme_settings,
    authority,
    certificate_of,
    until_failed,
    until_visited,
)
from tests.support.http_client import HttpClient
from tests.support.pebble import needs_pebble
from tests.support.several_sites import SeveralSites
from tests.support.site import free_ports
from tests.waiting import until

MakeSites = Callable[..., SeveralSites]

BLOG, SHOP = "blog.example.com", "shop.example.com"

pytestmark = needs_pebble


async def until_notified(file: Path, count: int) -> Mapping[str, Any]:
    """Wait for so many events; the last one."""

    def look() -> list[str] | None:
        lines = file.read_text().splitlines() if file.exists() else []
        events = [line for line in lines if json.loads(line)["event"] == "certificate"]
        return events if len(events) >= count else None

    events: list[str] = await until(f"event {count} is reported", look)
    last: Mapping[str, Any] = json.loads(events[-1])
    return last


async def metric(port: int, name: str) -> dict[str, float]:
    """The values of a metric of certificates, by host."""
    async with HttpClient(port) as http:
        text = (await http.get("/metrics")).body.decode()
    families = {family.name: family.samples for family in text_string_to_metric_families(text)}
    samples = families[f"blue_green_certificate_{name}"]
    return {sample.labels["host"]: sample.value for sample in samples}


@pytest.mark.long
async def test_a_certificate_that_cannot_be_obtained_is_reported_everywhere_until_it_is_there(
    make_sites: MakeSites, tmp_path: Path
) -> None:
    (admin,) = free_ports(1)
    with authority(tmp_path) as pebble:
        pebble.fail_lookups(SHOP)
        sites = make_sites("blog", "shop", proxy=acme_settings(pebble))
        sites.configure(admin={"listen": [f"127.0.0.1:{admin}"]})
        told = tmp_path / "told"
        sites.change("shop", notify={"command": ["sh", "-c", f"cat >>{told}"]})
        async with sites.running():
            await until_visited(pebble.tls_port, BLOG, pebble.client_context())
            why = await until_failed(sites, "shop")
            assert why.startswith(f"no certificate: 127.0.0.1:{pebble.port} ")
            status = (await sites.cli("status")).out
            assert f"{SHOP}: no certificate: " in status
            assert f"{BLOG}: " not in status
            assert "1 certificate: valid until " in (await sites.cli("status", "blog")).out
            assert set(await metric(admin, "expiry_timestamp_seconds")) == {BLOG}
            assert (await metric(admin, "consecutive_failures"))[SHOP] >= 1
            checked = (await sites.check()).out
            assert f"warned  sites.shop hosts: {SHOP}: no certificate: " in checked
            event = await until_notified(told, 1)
            assert (event["outcome"], event["certificates"][0]["host"]) == ("failing", SHOP)
            assert event["reason"].startswith(f"{SHOP}: no certificate: ")

            pebble.heal_lookups(SHOP)
            assert (await sites.cli("reload")).code == 0
            await until_visited(pebble.tls_port, SHOP, pebble.client_context())
            assert (await certificate_of(sites, "shop"))["problem"] == ""
            assert (await until_notified(told, 2))["outcome"] == "valid"
            assert (await metric(admin, "consecutive_failures"))[SHOP] == 0
