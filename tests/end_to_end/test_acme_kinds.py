"""All ways in which authorities prove hosts and know accounts, with real sites."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.acme_site import acme_settings, authority, until_failed, until_visited
from tests.support.pebble import needs_pebble
from tests.support.several_sites import SeveralSites

MakeSites = Callable[..., SeveralSites]

pytestmark = needs_pebble


async def test_without_an_address_for_redirects_the_tls_address_proves_the_hosts(
    make_sites: MakeSites, tmp_path: Path
) -> None:
    with authority(tmp_path) as pebble:
        sites = make_sites("blog", proxy=acme_settings(pebble, redirects=False))
        async with sites.running():
            seen = await until_visited(pebble.tls_port, "blog.example.com", pebble.client_context())
            assert seen.status == 200


@pytest.mark.long
async def test_many_hosts_of_several_sites_get_their_certificates_at_once(
    make_sites: MakeSites, tmp_path: Path
) -> None:
    names = [f"site{number}" for number in range(4)]
    with authority(tmp_path) as pebble:
        sites = make_sites(*names, proxy=acme_settings(pebble))
        hosts = [f"{number}.{name}.example.com" for name in names for number in range(5)]
        for name in names:
            sites.change(name, hosts=[host for host in hosts if f".{name}." in host])
        context = pebble.client_context()
        async with sites.running():
            seen = [await until_visited(pebble.tls_port, host, context) for host in hosts]
        assert {visit.status for visit in seen} == {200}
        assert len({visit.serial for visit in seen}) == len(hosts)


@pytest.mark.long
async def test_an_authority_may_require_an_account_that_it_knows(
    make_sites: MakeSites, tmp_path: Path
) -> None:
    key = base64.urlsafe_b64encode(bytes(range(32))).decode().rstrip("=")
    with authority(tmp_path, accounts={"kid-1": key}) as pebble:
        key_file = tmp_path / "eab-key"
        key_file.write_text(f"{key}\n")
        key_file.chmod(0o600)
        account: dict[str, Any] = {"eab_kid": "kid-1", "eab_key_file": str(key_file)}
        sites = make_sites("blog", proxy=acme_settings(pebble, **account))
        async with sites.running():
            seen = await until_visited(pebble.tls_port, "blog.example.com", pebble.client_context())
            assert seen.status == 200
        assert key not in sites.log()


@pytest.mark.long
async def test_an_account_that_is_missing_is_a_problem_of_each_host(
    make_sites: MakeSites, tmp_path: Path
) -> None:
    key = base64.urlsafe_b64encode(bytes(32)).decode().rstrip("=")
    with authority(tmp_path, accounts={"kid-1": key}) as pebble:
        sites = make_sites("blog", proxy=acme_settings(pebble))
        async with sites.running():
            assert "eab_kid" in await until_failed(sites, "blog")


@pytest.mark.long
async def test_an_authority_that_refuses_nonces_is_asked_again(
    make_sites: MakeSites, tmp_path: Path
) -> None:
    with authority(tmp_path, nonces_refused=30) as pebble:
        sites = make_sites("blog", "shop", proxy=acme_settings(pebble))
        async with sites.running():
            for host in ("blog.example.com", "shop.example.com"):
                seen = await until_visited(pebble.tls_port, host, pebble.client_context())
                assert seen.status == 200
