"""Redirects: from plain addresses to https, and from one host of a site to another."""

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from blue_green.http.request import BadRequest, read_request
from blue_green.proxy.redirect import location
from tests.raw.checks import check_is_closed
from tests.raw.messages import GET, POST
from tests.raw.peer import ParsedMessage, Peer
from tests.raw.proxy import SHORT, RunningProxy, running
from tests.raw.sites import Plan, running_sites
from tests.raw.tls_client import PemPair, write_pair
from tests.waiting import until


@pytest.fixture
def tls(tmp_path: Path) -> PemPair:
    return write_pair(tmp_path)


async def asked(proxy: RunningProxy, raw: bytes) -> Peer:
    client = await proxy.connect_plainly(proxy.redirect_port)
    await client.send(raw)
    return client


async def check_redirects(
    proxy: RunningProxy, client: Peer, method: str, path: bytes
) -> ParsedMessage:
    answer = await client.answer(method)
    assert answer.status == 308
    [place] = answer.field(b"location")
    assert place == b"https://site.example:%d%b" % (proxy.port, path)
    return answer


async def test_requests_are_redirected_and_never_reach_the_gate(tls: PemPair) -> None:
    async with running(tls=tls) as proxy:
        proxy.gate.hold("test")  # Whatever reached it would wait here.
        client = await asked(proxy, b"GET /a?b=%2F HTTP/1.1\r\nHost: site.example:80\r\n\r\n")
        answer = await check_redirects(proxy, client, "GET", b"/a?b=%2F")
        assert b"https://site.example" in answer.body
        await client.send(b"HEAD /x HTTP/1.1\r\nHost: site.example\r\n\r\n")
        assert (await check_redirects(proxy, client, "HEAD", b"/x")).body == b""
        await client.send(b"DELETE //evil.example/ HTTP/1.1\r\nHost: site.example\r\n\r\n")
        await check_redirects(proxy, client, "DELETE", b"//evil.example/")
        await client.send(b"GET http://site.example?q HTTP/1.1\r\nHost: other\r\n\r\n")
        await check_redirects(proxy, client, "GET", b"/?q")
        assert proxy.gate.held == 0
        assert proxy.backend.heads == []
        proxy.gate.resume("test")


async def test_a_request_with_a_body_is_redirected_unread_and_its_connection_closed(
    tls: PemPair,
) -> None:
    async with running(tls=tls) as proxy:
        raw = POST.replace(b"Host: h", b"Host: site.example")
        for more in (b"", b"hello", b"hello" + GET):
            client = await asked(proxy, raw + more)
            answer = await check_redirects(proxy, client, "POST", b"/")
            assert answer.field(b"connection") == [b"close"]
            await check_is_closed(client)


BAD = {
    "no Host on 1.0": (b"GET / HTTP/1.0\r\n\r\n", 400),
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two of them": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    "an odd one": (b"GET / HTTP/1.1\r\nHost: a;b\r\n\r\n", 400),
    "a folded one": (b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", 400),
    "a large head": (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n", 431),
    "TLS": (b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03\r\n\r\n", 400),
}


@pytest.mark.parametrize(("raw", "status"), BAD.values(), ids=BAD)
async def test_a_request_that_cannot_be_redirected_is_refused(
    tls: PemPair, raw: bytes, status: int
) -> None:
    async with running(tls=tls) as proxy:
        client = await asked(proxy, raw)
        answer = await client.answer()
        assert answer.status == status
        assert answer.field(b"location") == []


async def test_the_redirect_has_the_limits_of_the_proxy(tls: PemPair) -> None:
    async with running(tls=tls, header_timeout=SHORT) as proxy:
        client = await asked(proxy, b"GET / HTTP/1.1\r\nHo")
        assert (await client.answer()).status == 408
        await check_is_closed(client)


HOSTS = {
    b"site.example": "https://site.example/",
    b"Site.Example:": "https://Site.Example/",
    b"site.example:8080": "https://site.example/",
    b"127.0.0.1:80": "https://127.0.0.1/",
    b"[::1]:80": "https://[::1]/",
    b"[::1]": "https://[::1]/",
    b"evil.example%2f": None,
    b"evil.example%0d%0aX:1": None,
    b"a,b": None,
    b"a'b": None,
    b"a=b": None,
    b"*": None,
}


@pytest.mark.parametrize(("host", "place"), HOSTS.items())
def test_only_a_valid_host_is_used_in_the_location(host: bytes, place: str | None) -> None:
    try:
        request = read_request(b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % host)
    except BadRequest:
        assert place is None
    else:
        assert location(request, 443) == place


def test_the_location_names_the_port_unless_it_is_443() -> None:
    request = read_request(b"OPTIONS * HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n")
    assert location(request, 8443) == "https://[::1]:8443"
    assert location(request, 443) == "https://[::1]"


# --- from one host of a site to another ------------------------------------------------------

WWW = Plan(("x.org", "y.org"), redirect_hosts=("www.x.org",))


@pytest.mark.parametrize(
    ("head", "place"),
    [
        (b"GET / HTTP/1.1\r\nHost: www.x.org\r\n", b"http://x.org/"),
        (b"GET /a//b?c=%2F HTTP/1.1\r\nHost: WWW.X.ORG.\r\n", b"http://x.org/a//b?c=%2F"),
        (b"GET //evil.com HTTP/1.1\r\nHost: www.x.org:8080\r\n", b"http://x.org:8080//evil.com"),
        (b"PUT /x HTTP/1.1\r\nHost: www.x.org:\r\n", b"http://x.org/x"),
        (b"OPTIONS * HTTP/1.1\r\nHost: www.x.org\r\n", b"http://x.org"),
        (b"GET http://www.x.org/a HTTP/1.1\r\nHost: x.org:1\r\n", b"http://x.org/a"),
        (b"GET / HTTP/1.1\r\nHost: www.x.org\r\nX-Forwarded-Proto: https\r\n", b"http://x.org/"),
    ],
)
async def test_redirect_hosts_lead_to_the_first_host_with_the_scheme_and_port_of_the_client(
    head: bytes, place: bytes
) -> None:
    async with running_sites({"site": WWW}) as sites:
        sites["site"].served.gate.hold("test")  # A redirect does not wait there.
        client = await sites.proxy.ask(head + b"\r\n")
        answer = await client.answer()
        assert (answer.status, answer.field(b"location")) == (308, [place])
        counted = sites["site"].served.gate.by_status
        await until("it counts for the site", lambda: counted[308] == 1)
        assert sites["site"].served.gate.requests == 0
        sites["site"].served.gate.resume("test")


@pytest.mark.parametrize(
    ("claimed", "scheme"),
    [("https", b"https"), ("http", b"http"), ("javascript", b"http"), ("https, http", b"http")],
)
async def test_the_scheme_that_a_trusted_proxy_names_counts(claimed: str, scheme: bytes) -> None:
    trusted = (IPv4Network("127.0.0.0/8"),)
    async with running_sites({"site": WWW}, trusted_proxies=trusted) as sites:
        answer = await sites.get("www.x.org/", f"X-Forwarded-Proto: {claimed}")
        assert answer.field(b"location") == [scheme + b"://x.org/"]


async def test_a_redirect_over_tls_stays_with_https(tls: PemPair) -> None:
    async with running_sites({"site": WWW}, tls=tls) as sites:
        answer = await sites.get("www.x.org:8443/x")
        assert answer.field(b"location") == [b"https://x.org:8443/x"]


async def test_a_redirect_has_the_paths_of_its_site() -> None:
    blog = Plan(("x.org",), ("/blog",), strip_path=True, redirect_hosts=("www.x.org",))
    async with running_sites({"blog": blog}) as sites:
        answer = await sites.get("www.x.org/blog/1")
        assert answer.field(b"location") == [b"http://x.org/blog/1"]
        assert (await sites.get("www.x.org/")).status == 404


async def test_plain_addresses_redirect_every_host_also_those_of_no_site(tls: PemPair) -> None:
    async with running_sites({"site": WWW}, tls=tls) as sites:
        for host in (b"x.org", b"www.x.org", b"else.org"):
            client = await asked(sites.proxy, b"GET /a HTTP/1.1\r\nHost: %b\r\n\r\n" % host)
            answer = await client.answer()
            place = b"https://%b:%d/a" % (host, sites.proxy.port)
            assert (answer.status, answer.field(b"location")) == (308, [place])
