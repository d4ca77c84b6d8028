"""Certificates from a real ACME server, for real sites."""

import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio

from tests.support.acme_site import (
    acme_settings,
    authority,
    certificate_of,
    until_failed,
    until_stored,
    until_visited,
    visit,
)
from tests.support.pebble import Pebble, needs_pebble
from tests.support.several_sites import SeveralSites

MakeSites = Callable[..., SeveralSites]

BLOG, SHOP, WIKI = "blog.example.com", "shop.example.com", "wiki.example.com"

pytestmark = needs_pebble


@pytest.fixture
def pebble(tmp_path: Path) -> Iterator[Pebble]:
    with authority(tmp_path) as pebble:
        yield pebble


async def test_hosts_and_a_mail_address_suffice_and_a_restart_needs_no_authority(
    make_sites: MakeSites, pebble: Pebble
) -> None:
    sites = make_sites("blog", "shop", proxy=acme_settings(pebble))
    context = pebble.client_context()
    async with sites.running():
        with trio.fail_after(20):
            blog = await until_visited(pebble.tls_port, BLOG, context)
            shop = await until_visited(pebble.tls_port, SHOP, context)
        assert (blog.status, shop.status) == (200, 200)
        with pytest.raises(trio.BrokenResourceError):
            await visit(pebble.tls_port, "unknown.example.com", context)
        assert "unknown.example.com" not in pebble.output  # Unknown names cause no order.
        known = await certificate_of(sites, "blog")
        assert (known["source"], known["state"], known["failures"]) == ("acme", "valid", 0)
        await until_stored(sites.state, BLOG, SHOP)
    kept = list((sites.state / "certificates").rglob("*"))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in kept}
    assert {"account.json", "blog.example.com.pem", "shop.example.com.json"} < modes.keys()
    assert set(modes.values()) == {0o600, 0o700}
    assert "PRIVATE KEY" not in sites.log()
    pebble.stop()
    async with sites.running():
        again = [await visit(pebble.tls_port, host, context) for host in (BLOG, SHOP)]
        assert [seen.serial for seen in again] == [blog.serial, shop.serial]


async def test_a_host_whose_dns_is_wrong_fails_alone_until_it_is_corrected(
    make_sites: MakeSites, pebble: Pebble
) -> None:
    pebble.fail_lookups(SHOP)
    sites = make_sites("blog", "shop", proxy=acme_settings(pebble))
    context = pebble.client_context()
    async with sites.running():
        assert (await until_visited(pebble.tls_port, BLOG, context)).status == 200
        why = await until_failed(sites, "shop")
        assert "A and AAAA records" in why
        assert "blue-green reload tries at once" in why
        assert f"no certificate for {SHOP}: " in sites.log()
        pebble.heal_lookups(SHOP)
        assert (await sites.cli("reload")).code == 0
        assert (await until_visited(pebble.tls_port, SHOP, context)).status == 200


async def test_a_host_that_a_reload_adds_gets_a_certificate_and_one_that_it_removes_is_unknown(
    make_sites: MakeSites, pebble: Pebble
) -> None:
    sites = make_sites("blog", "shop", proxy=acme_settings(pebble))
    context = pebble.client_context()
    async with sites.running():
        await until_visited(pebble.tls_port, SHOP, context)
        sites.change("shop", hosts=[WIKI], redirect_hosts=["www.example.com"])
        assert (await sites.cli("reload")).code == 0
        assert (await until_visited(pebble.tls_port, WIKI, context)).status == 200
        moved = await until_visited(pebble.tls_port, "www.example.com", context)
        assert moved.status == 308
        with pytest.raises(trio.BrokenResourceError) as refused:
            await visit(pebble.tls_port, SHOP, context)
        assert "UNRECOGNIZED_NAME" in str(refused.value.__cause__)
