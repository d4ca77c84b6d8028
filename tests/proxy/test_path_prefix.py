"""Sites that have a part of a host's paths, and may get them without the prefix."""

from ipaddress import IPv4Network

import pytest

from tests.raw.sites import Plan, running_sites

API = Plan(("x.org",), ("/api", "/api/v2"), strip_path=True)
PART = Plan(("x.org",), ("/part",))


@pytest.mark.parametrize(
    ("sent", "arrives", "prefix"),
    [
        (b"/api", b"/", b"/api"),
        (b"/api/", b"/", b"/api"),
        (b"/api?x=/api/y", b"/?x=/api/y", b"/api"),
        (b"/api/x/api/y?z", b"/x/api/y?z", b"/api"),
        (b"/api/v2/x", b"/x", b"/api/v2"),
        (b"/api/v22", b"/v22", b"/api"),
        (b"/api/%2Fx;y=%20/a..b/...", b"/%2Fx;y=%20/a..b/...", b"/api"),
        (b"/api//evil.com/x", b"/evil.com/x", b"/api"),
        (b"/api////", b"/", b"/api"),
        (b"/api//?x//y", b"/?x//y", b"/api"),
        (b"/api/http://evil.com/", b"/http://evil.com/", b"/api"),
    ],
)
async def test_the_prefix_is_stripped_and_the_backend_told_which(
    sent: bytes, arrives: bytes, prefix: bytes
) -> None:
    async with running_sites({"api": API}) as sites:
        client = await sites.proxy.ask(b"GET %b HTTP/1.1\r\nHost: x.org\r\n\r\n" % sent)
        assert (await client.answer()).status == 200
        [request] = sites["api"].backend.requests
        assert request.line == b"GET %b HTTP/1.1" % arrives
        assert request.field(b"x-forwarded-prefix") == [prefix]
        assert request.field(b"x-forwarded-host") == [b"x.org"]


async def test_a_body_and_an_upgrade_are_stripped_too() -> None:
    async with running_sites({"api": API}) as sites:
        lines = b"Host: x.org\r\nContent-Length: 5\r\n\r\nhello"
        client = await sites.proxy.ask(b"POST /api/x HTTP/1.1\r\n" + lines)
        assert (await client.answer()).status == 200
        lines = b"Host: x.org\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n"
        await client.send(b"GET /api/y HTTP/1.1\r\n" + lines)
        assert (await client.answer()).status == 200
        posted, upgrade = sites["api"].backend.requests
        assert (posted.line, posted.body) == (b"POST /x HTTP/1.1", b"hello")
        assert (upgrade.line, upgrade.field(b"upgrade")) == (b"GET /y HTTP/1.1", [b"chat"])


async def test_the_path_is_left_alone_without_strip_path() -> None:
    async with running_sites({"part": PART}) as sites:
        await sites.get("x.org/part//x?y")
        [request] = sites["part"].backend.requests
        assert request.line == b"GET /part//x?y HTTP/1.1"
        assert request.field(b"x-forwarded-prefix") == []


@pytest.mark.parametrize(
    ("claimed", "told"),
    [
        ("/outer", b"/outer/api"),
        ("/outer/", b"/outer/api"),
        ("/", b"/api"),
        ("/a, /b", b"/a, /b/api"),
    ],
)
async def test_a_prefix_that_a_trusted_proxy_has_stripped_comes_first(
    claimed: str, told: bytes
) -> None:
    trusted = (IPv4Network("127.0.0.0/8"),)
    async with running_sites({"api": API}, trusted_proxies=trusted) as sites:
        await sites.get("x.org/api/x", f"X-Forwarded-Prefix: {claimed}")
        [request] = sites["api"].backend.requests
        assert request.field(b"x-forwarded-prefix") == [told]


async def test_a_prefix_that_anybody_else_claims_is_dropped() -> None:
    async with running_sites({"api": API, "part": PART}) as sites:
        for url in ("x.org/api/x", "x.org/part"):
            await sites.get(url, "X-Forwarded-Prefix: //evil.com", "X_Forwarded_Prefix: /evil")
        told = [
            value
            for name in ("api", "part")
            for request in sites[name].backend.requests
            for key, value in request.fields
            if b"prefix" in key.lower()
        ]
        assert told == [b"/api"]


DOTS = [
    *(b"/..", b"/../admin", b"/x/../../admin", b"/./x", b"/.", b"/x/..", b"/..?x", b"/../"),
    *(b"/%2e%2e/admin", b"/.%2E/admin", b"/%2e./admin", b"/%2e", b"/x/%2e%2e?y"),
    *(b"/..%2fadmin", b"/..%5cadmin", b"/x%2F..%2Fy", b"%2f..%2fadmin", b"/%2f%2e%2e%2fadmin"),
    *(
        b"/..\\admin",
        b"/x\\..\\y",
        b"\\..\\admin",
        b"/..;/admin",
        b"/..;x=y/admin",
        b"/..%3b/admin",
    ),
]


@pytest.mark.parametrize("rest", DOTS)
@pytest.mark.parametrize("prefix", [b"/api", b"/part"])
async def test_a_path_that_a_backend_may_resolve_to_one_outside_the_prefix_is_refused(
    prefix: bytes, rest: bytes
) -> None:
    async with running_sites({"api": API, "part": PART}) as sites:
        client = await sites.proxy.ask(b"GET %b HTTP/1.1\r\nHost: x.org\r\n\r\n" % (prefix + rest))
        answer = await client.answer()
        # What is no segment border to us is another path.
        assert answer.status == (400 if rest.startswith(b"/") else 404)
        assert not sites["api"].backend.heads
        assert not sites["part"].backend.heads


@pytest.mark.parametrize(
    "path", ["/...", "/.x", "/x.", "/..x", "/x..", "/a.b", "/.well-known/x", "/?/../x", "/%2ex"]
)
async def test_other_dots_pass(path: str) -> None:
    async with running_sites({"part": PART}) as sites:
        assert (await sites.get(f"x.org/part{path}")).status == 200


async def test_a_site_that_has_all_paths_resolves_dot_segments_itself() -> None:
    async with running_sites({"all": Plan(("x.org",)), "part": PART}) as sites:
        assert (await sites.get("x.org/x/../part")).body == b"all"
        [request] = sites["all"].backend.requests
        assert request.line == b"GET /x/../part HTTP/1.1"
