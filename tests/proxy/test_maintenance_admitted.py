"""Who is admitted to a site in maintenance: by an address, or by the secret link."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from blue_green.proxy.maintenance import Maintenance
from tests.raw.backend import says
from tests.raw.files import fetch, roots, write
from tests.raw.in_maintenance import LINK, PROXY, TOKEN, US, begin, opened
from tests.raw.proxy import running
from tests.raw.sites import Plan, running_sites
from tests.raw.tls_client import write_pair
from tests.support.access_lines import logged
from tests.waiting import until

# --- addresses -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("allow", "admitted"),
    [("127.0.0.1", True), ("127.0.0.0/8", True), ("192.0.2.0/24", False), ("::1", False)],
)
async def test_addresses_are_admitted(allow: str, admitted: bool) -> None:
    async with running() as proxy:
        begin(proxy.site, Maintenance(allow=[ip_network("2001:db8::/32"), ip_network(allow)]))
        assert (await fetch(proxy, "/")).status == (200 if admitted else 503)


@pytest.mark.parametrize(
    ("line", "admitted"),
    [
        ("X-Forwarded-For: 192.0.2.7", True),
        ("X-Forwarded-For: 6.6.6.6, 192.0.2.7", True),
        ("X-Forwarded-For: 192.0.2.7, 6.6.6.6", False),
        ("X-Forwarded-For: 2001:db8::7", True),
        ("X-Forwarded-For: 2001:db8::8", False),
        ("X-Forwarded-For: unknown", False),
        ("X-Forwarded-For: ::ffff:192.0.2.7", True),
        ("Forwarded: for=192.0.2.7", True),
    ],
)
async def test_behind_a_trusted_proxy_the_client_counts(line: str, admitted: bool) -> None:
    allow = [ip_network("192.0.2.7"), ip_network("2001:db8::7")]
    async with running(trusted_proxies=PROXY) as proxy:
        begin(proxy.site, Maintenance(allow=allow))
        assert (await fetch(proxy, "/", line)).status == (200 if admitted else 503)


async def test_a_client_that_the_proxy_in_front_does_not_know_is_not_the_proxy_itself() -> None:
    async with running(trusted_proxies=PROXY) as proxy:
        begin(proxy.site, Maintenance(allow=US))
        assert (await fetch(proxy, "/")).status == 200, "a health check of its own"
        assert (await fetch(proxy, "/", "X-Forwarded-For: unknown")).status == 503


async def test_an_untrusted_client_cannot_claim_an_address() -> None:
    async with running() as proxy:
        begin(proxy.site, Maintenance(allow=[ip_network("192.0.2.7")]))
        for name in ("X-Forwarded-For", "X-Real-IP"):
            assert (await fetch(proxy, "/", f"{name}: 192.0.2.7")).status == 503


# --- the secret link -------------------------------------------------------------------------


async def test_the_secret_link_admits_whoever_has_opened_it() -> None:
    async with running() as proxy:
        begin(proxy.site, Maintenance(token=TOKEN))
        assert (await fetch(proxy, "/")).status == 503
        cookie = await opened(proxy)
        assert (await fetch(proxy, "/", f"{cookie}; session=1")).status == 200
        assert (await fetch(proxy, "/", f"{cookie}x")).status == 503
        assert (await fetch(proxy, LINK.path[:-1])).status == 503


async def test_neither_cookie_nor_token_reaches_a_backend() -> None:
    async with running() as proxy:
        begin(proxy.site, Maintenance(token=TOKEN, allow=US))
        cookie = await opened(proxy)
        for lines in ([cookie], [cookie + "; a=b"], [f"{cookie}; a=b", f"Referer: {LINK.path}"]):
            await fetch(proxy, "/", *lines)
        seen = b"".join(proxy.backend.heads)
        assert seen.count(b"Cookie: a=b\r\n") == 2
        assert b"blue-green-maintenance" not in seen


@pytest.mark.parametrize("form", ["logfmt", "json"])
async def test_the_token_is_not_logged(capfd: pytest.CaptureFixture[str], form: str) -> None:
    with logged(capfd) as lines:
        async with running(access_log=True, log_format=form) as proxy:
            begin(proxy.site, Maintenance(token=TOKEN))
            await opened(proxy)
            await fetch(proxy, LINK.path, method="POST")
            await proxy.ask(f"GET {LINK.path} HTTP/1.1\r\n\r\n".encode())
            proxy.site.maintenance = None
            for path in (
                LINK.path,
                LINK.path[:-1],
                LINK.path.replace("-", "%2D"),
                LINK.path.title(),
            ):
                await fetch(proxy, path)
            found = await until("access lines", lambda: len(lines()) >= 7 and lines())
    assert [line["status"] for line in found] == [303, 503, 400, 200, 200, 200, 200]
    assert {line["path"].lower() for line in found} == {"/maintenance-access/..."}


async def test_the_link_of_a_site_with_a_path_is_below_it() -> None:
    plans = {"blog": Plan(("x.org",)), "api": Plan(("x.org",), ("/api",), strip_path=True)}
    async with running_sites(plans) as sites:
        begin(sites["api"].served, Maintenance(token=TOKEN))
        assert (await sites.get(f"x.org{LINK.path}")).body == b"blog"
        answer = await sites.get(f"x.org/api{LINK.path}")
        assert answer.field(b"location") == [b"../"]
        [cookie] = answer.field(b"set-cookie")
        assert b"; Path=/api;" in cookie
        line = f"Cookie: {cookie.decode().partition(';')[0]}"
        assert (await sites.get("x.org/api/", line)).body == b"api"
        assert b"blue-green-maintenance" not in sites["api"].backend.heads[-1]


async def test_the_cookie_of_a_site_reaches_no_other_site_of_its_host() -> None:
    plans = {"blog": Plan(("x.org",)), "api": Plan(("x.org",), ("/api",))}
    async with running_sites(plans) as sites:
        begin(sites["blog"].served, Maintenance(token=TOKEN))
        [cookie] = (await sites.get(f"x.org{LINK.path}")).field(b"set-cookie")
        ours = cookie.decode().partition(";")[0]
        assert (await sites.get("x.org/api", f"Cookie: a=b; {ours}")).body == b"api"
        begin(sites["api"].served, Maintenance(token="u" * 43))
        assert (await sites.get("x.org/api", f"Cookie: {ours}")).status == 503
        [head] = sites["api"].backend.heads
        assert b"Cookie: a=b\r\n" in head and b"blue-green-" not in head


async def test_a_cookie_that_means_nothing_any_more_reaches_no_backend() -> None:
    async with running() as proxy:
        begin(proxy.site, Maintenance(token=TOKEN))
        cookie = await opened(proxy)
        proxy.site.maintenance = None
        preview = cookie.replace("maintenance", "preview").removeprefix("Cookie: ")
        await fetch(proxy, "/", f"{cookie}; a=b; {preview}")
        [head] = proxy.backend.heads
        assert b"Cookie: a=b\r\n" in head and b"blue-green-" not in head


async def test_over_tls_the_cookie_is_secure(tmp_path: Path) -> None:
    async with running(tls=write_pair(tmp_path)) as proxy:
        begin(proxy.site, Maintenance(token=TOKEN))
        [cookie] = (await fetch(proxy, LINK.path)).field(b"set-cookie")
        assert cookie.endswith(b"; Secure")


async def test_only_a_trusted_proxy_can_say_that_its_client_uses_https() -> None:
    for trusted in ((), PROXY):
        async with running(trusted_proxies=trusted) as proxy:
            begin(proxy.site, Maintenance(token=TOKEN))
            answer = await fetch(proxy, LINK.path, "X-Forwarded-Proto: https")
            [cookie] = answer.field(b"set-cookie")
            assert cookie.endswith(b"; Secure") == bool(trusted)


@pytest.mark.parametrize(
    "lines",
    [
        ["X-Forwarded-Host: evil.org"],
        ["X-Forwarded-Prefix: //evil.org"],
        ["Referer: http://evil.org/"],
    ],
)
async def test_the_link_redirects_to_nowhere_else(lines: list[str]) -> None:
    async with running(trusted_proxies=PROXY) as proxy:
        begin(proxy.site, Maintenance(token=TOKEN))
        for path in (LINK.path, f"{LINK.path}?next=//evil.org", f"http://evil.org{LINK.path}"):
            answer = await fetch(proxy, path, *lines)
            assert answer.field(b"location") == [b"../"]
            assert b"evil" not in answer.raw


async def test_no_cache_stores_what_those_who_are_admitted_get(tmp_path: Path) -> None:
    write(tmp_path / "live/public", {"a.txt": "file"})
    public = b"HTTP/1.1 200 OK\r\nSurrogate-Control: max-age=9\r\nContent-Length: 0\r\n\r\n"
    async with running(says(public)) as proxy:
        proxy.site.files = roots(tmp_path / "live", has_app=True)
        assert (await fetch(proxy, "/")).field(b"surrogate-control") == [b"max-age=9"]
        begin(proxy.site, Maintenance(allow=US))
        for path in ("/", "/a.txt"):
            answer = await fetch(proxy, path)
            assert (answer.status, answer.field(b"surrogate-control")) == (200, [])
            assert answer.field(b"cache-control") == [b"private, no-store"]
