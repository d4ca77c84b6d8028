"""What the authority, the network and the disk can do to a site: it goes on serving."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from tests.support.broken_authority import WrongAnswer, broken_authority
from tests.support.pebble import Pebble, needs_pebble
from tests.support.several_sites import SeveralSites

MakeSites = Callable[..., SeveralSites]

BLOG, SHOP = "blog.example.com", "shop.example.com"

RATE_LIMITED = (
    b'{"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many new orders"}'
)

pytestmark = needs_pebble


@pytest.fixture
def pebble(tmp_path: Path) -> Iterator[Pebble]:
    with authority(tmp_path) as pebble:
        yield pebble


async def site_with_another(make_sites: MakeSites, pebble: Pebble) -> SeveralSites:
    """Two sites that do not run; only the first one has a certificate."""
    sites = make_sites("blog", proxy=acme_settings(pebble))
    async with sites.running():
        await until_visited(pebble.tls_port, BLOG, pebble.client_context())
        await until_stored(sites.state, BLOG)
    sites.add("shop").commit("one")
    return sites


async def test_an_authority_that_is_down_delays_no_start_and_no_other_host(
    make_sites: MakeSites, pebble: Pebble
) -> None:
    sites = await site_with_another(make_sites, pebble)
    context = pebble.client_context()
    pebble.stop()
    async with sites.running():
        assert (await visit(pebble.tls_port, BLOG, context)).status == 200
        why = await until_failed(sites, "shop")
        assert f"127.0.0.1:{pebble.port}" in why
        pebble.start()
        assert (await sites.cli("reload")).code == 0
        seen = await until_visited(pebble.tls_port, SHOP, pebble.client_context())
        assert seen.status == 200


@pytest.mark.long
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (WrongAnswer(200, b"\x00\xff" * 1000), "; next attempt in 1 minute;"),
        (WrongAnswer(200, b"<html>", {"Content-Type": "text/html"}), "; next attempt in 1 minute;"),
        (WrongAnswer(503, b"", {"Retry-After": "7200"}), "the next attempt in 2 hours"),
        (WrongAnswer(429, RATE_LIMITED, {"Retry-After": "36000"}), "the next attempt in 10 hours"),
    ],
    ids=["garbage", "portal", "maintenance", "rate-limit"],
)
async def test_an_authority_that_answers_wrongly_delays_no_start_and_no_other_host(
    make_sites: MakeSites,
    pebble: Pebble,
    answer: WrongAnswer,
    expected: str,
) -> None:
    sites = await site_with_another(make_sites, pebble)
    context = pebble.client_context()
    with broken_authority(pebble, answer):
        async with sites.running():
            assert (await visit(pebble.tls_port, BLOG, context)).status == 200
            assert expected in await until_failed(sites, "shop")


@pytest.mark.long
async def test_an_authority_that_hangs_delays_no_start_no_other_host_and_no_stop(
    make_sites: MakeSites, pebble: Pebble
) -> None:
    sites = await site_with_another(make_sites, pebble)
    context = pebble.client_context()
    with pebble.hanging():
        async with sites.running():
            assert (await visit(pebble.tls_port, BLOG, context)).status == 200
            assert (await certificate_of(sites, "shop"))["state"] == "coming"
            began = trio.current_time()
        assert trio.current_time() - began < 10


@contextmanager
def full_disk(directory: Path) -> Iterator[Path]:
    """A small disk that is full until the file that it yields is removed."""
    directory.mkdir(mode=0o700, parents=True)
    command = ["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "full", str(directory)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("not allowed to mount")
    try:
        filler = directory / "filler"
        with pytest.raises(OSError, match="No space left"), filler.open("wb", 0) as file:
            while True:
                file.write(bytes(1024))
        yield filler
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


@pytest.mark.long
async def test_a_certificate_that_a_full_disk_cannot_take_is_used_and_written_later(
    make_sites: MakeSites, pebble: Pebble
) -> None:
    sites = make_sites("blog", proxy=acme_settings(pebble))
    name = f"127.0.0.1_{pebble.port}_dir"
    with full_disk(sites.state / "certificates" / name) as filler:
        async with sites.running():
            context = pebble.client_context()
            seen = await until_visited(pebble.tls_port, BLOG, context)
            await sites.until_logged("No space left on device; it is used from memory")
            filler.unlink()
            await until_stored(sites.state, BLOG)
            await sites.until_logged("can write certificates again")
            assert (await visit(pebble.tls_port, BLOG, context)).serial == seen.serial
        pebble.stop()
        async with sites.running():
            assert (await visit(pebble.tls_port, BLOG, context)).serial == seen.serial
