"""Sites with certificates of their own in files: at start, at a reload, and when they change."""

import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trio

from tests.raw.tls_client import PemPair, trusting, write_pair
from tests.support.several_sites import SeveralSites
from tests.support.site import RealSite
from tests.waiting import until

MakeSite = Callable[..., RealSite]
MakeSites = Callable[..., SeveralSites]
BLOG, SHOP = "blog.example.com", "shop.example.com"


def pair(directory: Path, *names: str) -> PemPair:
    """A certificate for these names in files of its own."""
    directory.mkdir(exist_ok=True)
    return write_pair(directory, *names)


def section(pair: PemPair, **more: Any) -> dict[str, Any]:
    return {"certificate": str(pair.certificate), "key": str(pair.key), **more}


def connected(port: int, host: str) -> tuple[list[str], str]:
    """The names in the certificate for this host, and a response's head; nothing after an alert."""
    context = trusting()
    context.check_hostname = False
    with socket.create_connection(("127.0.0.1", port), 10) as sock:
        try:
            with context.wrap_socket(sock, server_hostname=host) as tls:
                seen: Any = tls.getpeercert()
                tls.sendall(f"GET / HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
                head = tls.recv(64 * 1024).decode()
                return [name for _, name in seen["subjectAltName"]], head
        except ssl.SSLError as error:
            assert "ALERT" in str(error.reason), error
            return [], ""


async def names_for(port: int, host: str) -> list[str]:
    names, head = await trio.to_thread.run_sync(connected, port, host)
    assert not names or " 200 OK" in head
    return names


async def test_each_site_has_its_own_files_and_follows_their_changes(
    make_sites: MakeSites, tmp_path: Path
) -> None:
    sites = make_sites("blog", "shop")
    blog, others = pair(tmp_path / "own", BLOG), pair(tmp_path / "others", SHOP, "else.org")
    sites.configure(proxy={"tls": section(others)})
    sites.change("blog", tls=section(blog))
    async with sites.running():
        assert await names_for(sites.port, BLOG) == [BLOG]
        assert await names_for(sites.port, SHOP) == [SHOP, "else.org"]
        write_pair(blog.key.parent, BLOG, "renewed.org")
        renewed = [BLOG, "renewed.org"]

        async def is_renewed() -> bool:
            return await names_for(sites.port, BLOG) == renewed

        await until("the renewed certificate", is_renewed)
        assert (await sites.status_of("blog"))["certificates"][0]["source"] == "files"


async def test_a_broken_pair_harms_its_own_site_only(make_sites: MakeSites, tmp_path: Path) -> None:
    sites = make_sites("blog", "shop")
    broken, good = pair(tmp_path / "broken", BLOG), pair(tmp_path / "good", SHOP)
    broken.key.unlink()
    sites.configure(proxy={"tls": {}})
    sites.change("blog", tls=section(broken))
    sites.change("shop", tls=section(good))
    async with sites.running():
        assert await names_for(sites.port, SHOP) == [SHOP]
        assert await names_for(sites.port, BLOG) == []
        [known] = (await sites.status_of("blog"))["certificates"]
        assert known["state"] == "failing" and str(broken.key) in known["problem"]
        write_pair(broken.key.parent, BLOG)

        async def is_there() -> bool:
            return await names_for(sites.port, BLOG) == [BLOG]

        await until("the corrected certificate", is_there)


async def test_a_reload_puts_files_in_force_at_once_and_refuses_broken_ones(
    make_sites: MakeSites, tmp_path: Path
) -> None:
    sites = make_sites("blog", "shop")
    sites.configure(proxy={"tls": section(pair(tmp_path / "others", "others.org"))})
    own, broken = pair(tmp_path / "own", BLOG), pair(tmp_path / "broken", BLOG)
    broken.key.write_text("nonsense")
    async with sites.running():
        sites.change("blog", tls=section(broken))
        done = await sites.cli("reload")
        assert done.code == 2
        assert f"{sites.file_of('blog')}: [tls] key: {broken.key} has no private key" in done.err
        assert await names_for(sites.port, BLOG) == ["others.org"]
        sites.change("blog", tls=section(own, hsts="1d"))
        done = await sites.cli("reload")
        assert done.code == 0, done.err
        assert await names_for(sites.port, BLOG) == [BLOG]
        _, head = await trio.to_thread.run_sync(connected, sites.port, BLOG)
        assert "\r\nStrict-Transport-Security: max-age=86400\r\n" in head
        sites["blog"].settings.pop("tls")
        sites.change("blog")
        done = await sites.cli("reload")
        assert done.code == 0, done.err
        assert await names_for(sites.port, BLOG) == ["others.org"]


async def test_the_only_site_of_a_file_may_have_its_files_in_its_own_section(
    make_site: MakeSite, tmp_path: Path
) -> None:
    site = make_site()
    tls = pair(tmp_path / "own", "localhost")
    site.configure(proxy={"tls": {}}, tls=section(tls))
    site.commit("hello")
    async with site.running():
        assert await names_for(site.port, "localhost") == ["localhost"]
        tls.key.write_text("nonsense")
        done = await site.cli("reload")
        assert (done.code, "[tls] key: " in done.err) == (2, True), done


async def test_a_broken_pair_of_the_only_site_stops_the_start(
    make_site: MakeSite, tmp_path: Path
) -> None:
    site = make_site()
    tls = pair(tmp_path / "own", "localhost")
    tls.key.unlink()
    site.configure(proxy={"tls": {}}, tls=section(tls))
    site.commit("hello")
    site.start()
    assert site.process is not None
    assert await trio.to_thread.run_sync(site.process.wait, 20) == 2
    assert f"blue-green: [tls] key: {tls.key} cannot be read: No such file" in site.log()
