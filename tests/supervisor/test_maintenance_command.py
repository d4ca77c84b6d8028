"""`maintenance`: what it accepts, and what it says."""

import time
from pathlib import Path
from typing import Any

import pytest

from blue_green.config.kinds import Endpoint
from blue_green.config.process_settings import ProxySettings
from blue_green.control.server import Refusal
from blue_green.site.site import Site
from blue_green.supervisor.maintenance_command import MaintenanceArguments, maintenance
from tests.support import site_parts
from tests.support.time_zone import machine_in

PROXY = ProxySettings(listen=(Endpoint("127.0.0.1", 8000),))


@pytest.fixture
async def site(tmp_path: Path) -> Site:
    [site] = site_parts.make_single(tmp_path, tmp_path)
    return site


async def run(site: Site, do: Any = "show", **arguments: Any) -> dict[str, Any]:
    return await maintenance(site, PROXY, MaintenanceArguments(do, **arguments))


async def test_the_answer_has_the_link_and_the_end_in_full(site: Site) -> None:
    with machine_in("Europe/Berlin"):
        answer = await run(site, "on", until="03:00", secret=True)
        assert answer["until"].split()[1:] in (["03:00", "CET"], ["03:00", "CEST"])
    assert answer["links"] == [f"http://127.0.0.1:8000{site.maintenance.link}"]
    assert not answer["was_on"]
    shown = await run(site)
    assert (shown["links"], shown["was_on"]) == (answer["links"], True)
    assert await run(site, "off") == {
        "was_on": True, "maintenance": None, "until": None, "links": [], "dropped": []
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"allow": ["10.0.0.1/8"]}, "--allow '10.0.0.1/8' has bits of a host after the network"),
        ({"allow": ["here"]}, "--allow must be an address, or a network"),
        ({"allow": ["10.0.0.1"] * 101}, "--allow may be given 100 times, not 101"),
        ({"until": "soon"}, "--until must be a time such as 21:00"),
        ({"until": ""}, "--until must be a time such as 21:00"),
        ({"until": "2020-01-01 00:00"}, "--until 2020-01-01 00:00 has passed: it is 2"),
        ({"until": "2999-01-01 00:00"}, "--until 2999-01-01 00:00 is more than a year away"),
        ({"until": "x" * 50_000}, "--until must be a time such as 21:00"),
        ({"message": "a\nb"}, "--message must be one line of text"),
        ({"message": "x" * 501}, "--message has 501 characters, and may have 500"),
    ],
)
async def test_what_makes_no_sense_is_refused_and_changes_nothing(
    site: Site, arguments: dict[str, Any], why: str
) -> None:
    with pytest.raises(Refusal) as refused:
        await run(site, "on", **arguments)
    assert str(refused.value).startswith(why)
    assert len(str(refused.value)) < 500
    assert refused.value.usage
    assert site.maintenance.record is None


async def test_it_may_end_after_a_time_in_place_of_at_one(site: Site) -> None:
    began = time.time()
    await run(site, "on", seconds=1800.0)
    record = site.maintenance.record
    assert record is not None and record.until is not None
    assert 1800 <= record.until - began < 1860
    for wrong in (0.0, float("nan"), 1e9):
        with pytest.raises(Refusal, match="--for must be longer than 0 s and at most a year"):
            await run(site, "on", seconds=wrong)
    with pytest.raises(Refusal, match="exclude each other"):
        await run(site, "on", seconds=5.0, until="21:00")
    with pytest.raises(Refusal, match="for a duration: --for 30m"):
        await run(site, "on", until="30m")


async def test_another_on_says_what_it_has_dropped(site: Site) -> None:
    await run(site, "on", message="Soon.", allow=["10.0.0.1", "10.0.0.2"], secret=True)
    again = await run(site, "on", message="Later.", allow=["10.0.0.1"], secret=True)
    assert again["dropped"] == ["no longer admitted: 10.0.0.2"]
    assert (await run(site, "on", until="21:00"))["dropped"] == [
        "no longer on the page: Later.",
        "no longer admitted: 10.0.0.1",
        "the secret link of before is void",
    ]
    assert (await run(site, "on"))["dropped"] == (await run(site))["dropped"] == []
