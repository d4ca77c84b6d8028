"""A real site whose certificates come from the internal authority."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from tests.support.launch import run_command
from tests.support.several_sites import SeveralSites
from tests.support.site import RealSite

MakeSite = Callable[..., RealSite]
MakeSites = Callable[..., SeveralSites]
INTERNAL = {"tls": {"acme": "internal"}}

pytestmark = pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")


async def curl(port: int, host: str, root: Path) -> str:
    """What curl gets when it trusts this root, or its error."""
    resolve = ["--resolve", f"{host}:{port}:127.0.0.1"]
    words = ["curl", "-sS", "--max-time", "20", "--cacert", str(root), *resolve]
    done = await trio.run_process(
        [*words, f"https://{host}:{port}/"],
        capture_stdout=True,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return done.stdout.decode()


async def trusted(sites: RealSite | SeveralSites, directory: Path) -> Path:
    """A file with the root that `trust` prints."""
    done = await run_command("trust", str(sites.config_file), env={})
    assert done.code == 0, done.err
    (directory / "root.pem").write_text(done.out)
    return directory / "root.pem"


async def test_a_site_for_all_hosts_is_trusted_as_localhost(
    make_site: MakeSite, tmp_path: Path
) -> None:
    site = make_site(proxy=INTERNAL)
    site.commit("hello")
    async with site.running():
        [first, *_] = (await site.status())["certificates"]
        root = await trusted(site, tmp_path)
        for host in ("localhost", "127.0.0.1"):
            assert '"text": "hello"' in await curl(site.port, host, root)
        assert "unrecognized name" in await curl(site.port, "else.lan", root)
        assert first["source"] == "internal"


async def test_hosts_are_added_by_a_reload_and_the_root_outlives_a_restart(
    make_sites: MakeSites, tmp_path: Path
) -> None:
    sites = make_sites("blog", "shop", proxy=INTERNAL)
    sites.change("blog", hosts=["blog.lan", "*.blog.lan"])
    async with sites.running():
        root = await trusted(sites, tmp_path)
        for host in ("blog.lan", "x.blog.lan", "shop.example.com"):
            assert "one" in await curl(sites.port, host, root)
        sites.change("shop", hosts=["shop.home.arpa"])
        assert (await sites.cli("reload")).code == 0
        assert "one" in await curl(sites.port, "shop.home.arpa", root)
        assert "unrecognized name" in await curl(sites.port, "shop.example.com", root)
    async with sites.running():
        assert "one" in await curl(sites.port, "shop.home.arpa", root)
