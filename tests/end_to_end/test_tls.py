"""A real site with TLS, as its clients see it."""

import os
import socket
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from blue_green.config.parsing import parse
from blue_green.config.settings import Settings
from blue_green.supervisor import startup
from blue_green.system import systemd
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
        await site.until_logged(f"127.0.0.1:{site.port} with TLS, {redirects}")
        curl = await trio.run_process(
            [
                "curl",
                "-sSiL",
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


async def test_a_pair_that_cannot_be_used_stops_the_start(
    make_site: MakeSite, tmp_path: Path
) -> None:
    site = make_site()
    tls = write_pair(tmp_path)
    tls.key.write_text("nonsense")
    site.configure(proxy={"tls": {"certificate": str(tls.certificate), "key": str(tls.key)}})
    site.commit("hello")
    site.start()
    assert site.process is not None
    assert await trio.to_thread.run_sync(site.process.wait, 20) == 2
    assert f"blue-green: [proxy.tls] key: {tls.key} has no private key in PEM" in site.log()


# --- sockets --------------------------------------------------------------------------------


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    tls = {"certificate": "c", "key": "k", "redirect": [f"unix:{tmp_path}/redirect"]}
    document = {
        "app": {"command": ["x"], "ports": [1, 2]},
        "proxy": {"listen": [f"unix:{tmp_path}/serve"], "tls": tls},
        "state": {"directory": str(tmp_path)},
    }
    return parse(document, tmp_path / "supervisor.toml")


@contextmanager
def inherited(monkeypatch: pytest.MonkeyPatch, *names: str) -> Iterator[None]:
    """Listening sockets with these names, as systemd hands them over."""
    first = 700  # High enough to be in nobody's way.
    for number in range(len(names)):
        with socket.create_server(("127.0.0.1", 0)) as sock:
            os.dup2(sock.fileno(), first + number)
    monkeypatch.setattr(systemd, "FIRST_LISTEN_FD", first)
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", str(len(names)))
    monkeypatch.setenv("LISTEN_FDNAMES", ":".join(names))
    try:
        yield
    finally:
        for number in range(len(names)):
            os.close(first + number)


def names(sockets: startup.Sockets) -> list[Any]:
    return [sock.getsockname() for sock in sockets]


def test_addresses_of_the_settings_serve_or_redirect(settings: Settings, tmp_path: Path) -> None:
    with startup.listening(settings) as listening:
        assert names(listening.proxy) == [f"{tmp_path}/serve"]
        assert names(listening.redirecting) == [f"{tmp_path}/redirect"]
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "redirect").write_text("in the way")
    with pytest.raises(startup.CannotRun, match=r"^\[proxy.tls\] redirect: cannot listen on unix:"):
        with startup.listening(settings):
            pass


def test_sockets_from_systemd_redirect_if_they_are_named_so(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with inherited(monkeypatch, "site.socket", "redirect", "redirect", "unknown"):
        with startup.listening(settings) as listening:
            assert [sock.fileno() for sock in listening.proxy] == [700, 703]
            assert [sock.fileno() for sock in listening.redirecting] == [701, 702]
            for sock in (*listening.proxy, *listening.redirecting):
                sock.detach()


def test_sockets_from_systemd_without_names_serve(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with inherited(monkeypatch, "a", "b"):
        monkeypatch.delenv("LISTEN_FDNAMES")
        with startup.listening(settings) as listening:
            assert [sock.detach() for sock in listening.proxy] == [700, 701]
            assert listening.redirecting == []


def test_names_of_sockets_that_make_no_sense_are_refused() -> None:
    with socket.socket() as one, socket.socket() as other:
        with pytest.raises(startup.CannotRun, match=r"one named redirect needs \[proxy.tls\]"):
            startup._sorted([("", one), ("redirect", other)], speaks_tls=False)
        with pytest.raises(startup.CannotRun, match="none is left to redirect to"):
            startup._sorted([("redirect", one), ("redirect", other)], speaks_tls=True)
