"""A real site with TLS, as its clients see it."""

import urllib.request
from collections.abc import Callable
from pathlib import Path

import trio

from tests.raw.tls_client import authority, trusting, write_pair
from tests.support.site import RealSite, free_ports

MakeSite = Callable[..., RealSite]


async def test_a_site_with_tls_serves_and_redirects(make_site: MakeSite, tmp_path: Path) -> None:
    site = make_site()
    tls = write_pair(tmp_path, "localhost", "127.0.0.1")
    [plain] = free_ports(1)
    section = {
        "certificate": tls.certificate.name,  # Relative to the file.
        "key": str(tls.key),
        "redirect": [f"127.0.0.1:{plain}"],
    }
    site.configure(proxy={"tls": section})
    site.commit("hello")
    authority().cert_pem.write_to_path(tmp_path / "authority.pem")
    async with site.running():
        redirects = f"to which 127.0.0.1:{plain} redirects"
        await site.until_logged(f"127.0.0.1:{site.port} with TLS and HTTP/2, {redirects}")
        curl = await trio.run_process(
            [
                "curl",
                "-sSiL",
                "--http1.1",
                "--cacert",
                tmp_path / "authority.pem",
                f"http://127.0.0.1:{plain}/a",
            ],
            capture_stdout=True,
        )
        assert curl.stdout.startswith(b"HTTP/1.1 308 Permanent Redirect\r\n")
        assert f"\r\nLocation: https://127.0.0.1:{site.port}/a\r\n".encode() in curl.stdout
        assert b"\r\n\r\nHTTP/1.1 200 OK\r\n" in curl.stdout.split(b"308", 1)[1]
        assert await trio.to_thread.run_sync(_status_with_urllib, site.port) == 200
        assert [asked["path"] for asked in site.journal()] == ["/a", "/"]


async def test_an_app_that_insists_on_https_is_probed_and_warmed_as_over_https(
    make_site: MakeSite, tmp_path: Path
) -> None:
    tls = write_pair(tmp_path, "localhost", "127.0.0.1")
    site = make_site(
        proxy={"tls": {"certificate": str(tls.certificate), "key": str(tls.key)}},
        health={"warmup": ["/cold"]},
    )
    one = site.commit("one", https_only=True)
    async with site.running():
        await site.until_live(one)
        assert [asked["path"] for asked in site.journal()] == ["/cold"]


def _status_with_urllib(port: int) -> int:
    handler = urllib.request.HTTPSHandler(context=trusting())
    with urllib.request.build_opener(handler).open(f"https://localhost:{port}/", timeout=10) as got:
        status: int = got.status
        return status


async def test_an_unusable_certificate_stops_the_start(make_site: MakeSite, tmp_path: Path) -> None:
    site = make_site()
    tls = write_pair(tmp_path)
    tls.key.write_text("nonsense")
    site.configure(proxy={"tls": {"certificate": str(tls.certificate), "key": str(tls.key)}})
    site.commit("hello")
    site.start()
    assert site.process is not None
    assert await trio.to_thread.run_sync(site.process.wait, 20) == 2
    assert f"blue-green: [proxy.tls] key: {tls.key} has no private key in PEM" in site.log()
