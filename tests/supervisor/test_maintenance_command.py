"""`maintenance`: what it accepts, and what it says."""

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
        "was_on": True, "maintenance": None, "until": None, "links": []
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
