"""The URLs by which people reach a site."""

import socket
from pathlib import Path
from typing import Any

import pytest

from blue_green.config import parsing
from blue_green.supervisor.public_urls import MOST, urls

TLS = {"acme": "internal"}


def found(
    listen: list[str], tls: dict[str, str] | None = None, *, behind: str = "", **keys: Any
) -> list[str]:
    proxy: dict[str, Any] = {"listen": listen, **({"tls": tls} if tls else {})}
    if behind:
        proxy["trusted_proxies"] = [behind]
    document = {**keys, "app": {"command": ["x"]}, "proxy": proxy}
    settings = parsing.parse(document, Path("/srv/supervisor.toml"))
    return urls(settings.sites[0], settings.proxy, "/p")


@pytest.mark.parametrize(
    ("listen", "tls", "expected"),
    [
        (["[::]:443"], TLS, "https://x.org/p"),
        (["[::]:8443"], TLS, "https://x.org:8443/p"),
        (["0.0.0.0:80"], None, "http://x.org/p"),
        (["0.0.0.0:8000", "[::]:9000"], None, "http://x.org:8000/p"),
        (["127.0.0.1:8000"], None, "http://x.org:8000/p"),
        (["127.0.0.1:8443"], TLS, "https://x.org:8443/p"),
        (["unix:/run/x.sock"], None, "https://x.org/p"),
    ],
)
def test_a_host_is_reached_as_the_address_says_or_behind_a_proxy_by_https(
    listen: list[str], tls: dict[str, str] | None, expected: str
) -> None:
    assert found(listen, tls, hosts=["x.org"]) == [expected]
    assert found(listen, tls, behind="10.0.0.1", hosts=["x.org"]) == ["https://x.org/p"]


def test_a_site_without_hosts_is_reached_by_the_name_of_the_machine() -> None:
    assert found(["127.0.0.1:8000"]) == ["http://127.0.0.1:8000/p"]
    assert found(["127.0.0.1:8000"], behind="127.0.0.1") == ["http://127.0.0.1:8000/p"]
    assert found(["[::]:80"]) == [f"http://{socket.gethostname()}/p"]


def test_there_is_one_for_each_host_and_path() -> None:
    assert found(["[::]:80"], hosts=["a.org", "*.b.org"], paths=["/x", "/y"]) == [
        "http://a.org/x/p",
        "http://a.org/y/p",
    ]
    assert found(["[::]:80"], hosts=["*.b.org"], paths=["/"]) == ["http://*.b.org/p"]
    assert len(found(["[::]:80"], hosts=[f"a{n}.org" for n in range(99)])) == MOST
