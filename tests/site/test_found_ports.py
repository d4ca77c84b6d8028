"""Ports that are found where the settings name none."""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import tomli_w
import trio

from blue_green.config.kinds import Argv, Count, Port, Ports
from blue_green.config.place import Place
from blue_green.config.settings import Settings, SiteSettings
from blue_green.config.site_settings import AppSettings
from blue_green.site import found_ports
from blue_green.site.site import Site
from blue_green.site.sites import Sites
from blue_green.source.release import Release
from tests.support.processes import US

MakeFound = Callable[..., Site]


@pytest.fixture
async def sites(tmp_path: Path) -> Sites:
    return Sites(Settings(sites=(), place=Place(tmp_path / "blog" / "supervisor.toml")))


@pytest.fixture
async def make_found(sites: Sites, tmp_path: Path) -> MakeFound:
    """Makes one site of several in this process."""

    def make(name: str, **app: Any) -> Site:
        state = tmp_path / name
        state.mkdir(exist_ok=True)
        file = tmp_path / name / "supervisor.toml"
        settings = SiteSettings(name, file, state, AppSettings(Argv(("app",)), **app))
        others = [other for other in sites.settings.sites if other.name != name]
        sites.settings = attrs.evolve(sites.settings, sites=(*others, settings))
        site = Site(settings, owner=US, user=US)
        sites.add(site)
        return site

    return make


async def both(site: Site) -> list[int]:
    """The ports of blue and green, which are assigned a release."""
    for slot in site.slots.both:
        await slot.assign(Release("a" * 40, Path()), site.settings)
    return [*site.slots.blue.ports, *site.slots.green.ports]


async def test_the_ports_are_free_and_below_the_ephemeral_ones(make_found: MakeFound) -> None:
    blue, green = await both(make_found("blog"))
    assert blue != green
    for port in (blue, green):
        assert port in found_ports.CANDIDATES
        assert port not in found_ports.ephemeral()
        with socket.create_server(("127.0.0.1", port)):
            pass


async def test_each_backend_of_a_slot_has_a_port(make_found: MakeFound) -> None:
    ports = await both(make_found("blog", backends=Count(3)))
    assert len(set(ports)) == 6


async def test_the_ports_are_the_same_after_a_restart(make_found: MakeFound) -> None:
    site = make_found("blog")
    ports = await both(site)
    await site.save()
    assert await both(make_found("blog")) == ports


async def test_a_port_that_another_program_has_taken_is_replaced_and_logged(
    make_found: MakeFound, caplog: pytest.LogCaptureFixture
) -> None:
    site = make_found("blog")
    blue, green = await both(site)
    with socket.create_server(("127.0.0.1", green)):
        again = await both(site)
    assert again[0] == blue
    assert again[1] not in (blue, green)
    [message] = caplog.messages
    assert message.startswith(f"port {green} is taken: pid ")
    assert message.endswith(f"using port {again[1]} for green from now on")
    assert await both(site) == again, "it is remembered"


async def test_more_backends_get_more_ports_beside_the_old_ones(make_found: MakeFound) -> None:
    one = make_found("blog")
    blue, green = await both(one)
    await one.save()
    ports = await both(make_found("blog", backends=Count(2)))
    assert (ports[0], ports[2]) == (blue, green)
    assert len(set(ports)) == 4


async def test_sites_that_find_ports_at_once_get_different_ones(
    make_found: MakeFound, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if they begin to look at the same place."""
    monkeypatch.setattr("zlib.crc32", lambda _: 0)
    sites = [make_found(f"site-{number}") for number in range(20)]
    found: list[int] = []

    async def find(site: Site) -> None:
        found.extend(await both(site))

    async with trio.open_nursery() as nursery:
        for site in sites:
            nursery.start_soon(find, site)
    assert len(set(found)) == 40


async def test_a_port_that_another_site_names_is_replaced(
    make_found: MakeFound, caplog: pytest.LogCaptureFixture
) -> None:
    site = make_found("blog")
    blue, green = await both(site)
    make_found("shop", ports=Ports(((Port(1),), (Port(blue),))))
    again = await both(site)
    assert again[0] not in (blue, green)
    assert caplog.messages == [
        f"port {blue} belongs to another site: using port {again[0]} for blue from now on"
    ]


async def test_a_port_of_a_site_that_does_not_run_yet_is_not_chosen(
    sites: Sites, make_found: MakeFound, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(found_ports, "CANDIDATES", range(20_000, 20_004))
    monkeypatch.setattr(found_ports, "bind_error", lambda _: None)
    shop = make_found("shop", ports=Ports(((Port(20_001),), (Port(20_002),))))
    sites.remove(shop)
    assert sorted(await both(make_found("blog"))) == [20_000, 20_003]


async def test_a_port_that_other_settings_name_is_not_chosen(
    make_found: MakeFound, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(found_ports, "CANDIDATES", range(20_000, 20_006))
    monkeypatch.setattr(found_ports, "bind_error", lambda _: None)
    other = {"app": {"ports": [20_000, 20_001]}, "git": {"checkout": "elsewhere"}}
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "supervisor.toml").write_text(tomli_w.dumps(other))
    ports = await both(make_found("blog", backends=Count(2)))
    assert sorted(ports) == [20_002, 20_003, 20_004, 20_005]


def test_ephemeral_ports_are_the_last_resort(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(found_ports, "EPHEMERAL", tmp_path / "range")
    monkeypatch.setattr(found_ports, "CANDIDATES", range(10, 16))
    (tmp_path / "range").write_text("13\t60999\n")
    assert list(found_ports.candidates(4)) == [10, 11, 12, 14, 15, 13]
    (tmp_path / "range").write_text("1024\t65535\n")
    assert list(found_ports.candidates(4)) == [14, 15, 10, 11, 12, 13]
