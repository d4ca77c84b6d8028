"""Forwarding headers, request ids, and the format of errors."""

from ipaddress import IPv4Network
from typing import Any

import pytest
from attrs import evolve

from blue_green.config.kinds import Period
from blue_green.config.site_settings import HoldSettings
from blue_green.http.request import read_request
from blue_green.proxy import forwarding
from blue_green.proxy.remote import Remote, Trust
from tests.raw.backend import Script, drops, says, silence
from tests.raw.checks import check_good_request_follows, check_is_closed, check_is_kept
from tests.raw.messages import GET, OK
from tests.raw.proxy import SHORT, running

CLAIMS = {
    b"x-forwarded-for": b"6.6.6.6",
    b"x-forwarded-proto": b"https",
    b"x-forwarded-host": b"site.example",
    b"forwarded": b"for=6.6.6.6",
}
CLAIMED = b"".join(b"%b: %b\r\n" % claim for claim in CLAIMS.items())


@pytest.mark.parametrize(
    ("trusted", "told"),
    [
        pytest.param(
            [],
            {
                b"x-forwarded-for": [b"127.0.0.1"],
                b"x-forwarded-proto": [b"http"],
                b"x-forwarded-host": [b"h"],
                b"forwarded": [],
            },
            id="an unknown client",
        ),
        pytest.param(
            ["10.0.0.0/8"], {b"x-forwarded-for": [b"127.0.0.1"]}, id="another proxy is trusted"
        ),
        pytest.param(
            ["127.0.0.0/8"],
            {
                **{name: [value] for name, value in CLAIMS.items()},
                b"x-forwarded-for": [b"6.6.6.6, 127.0.0.1"],
            },
            id="a trusted proxy",
        ),
    ],
)
async def test_only_trusted_proxies_may_name_the_client(
    trusted: list[str], told: dict[bytes, list[bytes]]
) -> None:
    networks = tuple(map(IPv4Network, trusted))
    twins = (
        b"X_Forwarded_For: 6\r\nx-forwarded_proto: 6\r\nX_REQUEST_ID: 6\r\ncontent_length: 6\r\n"
    )
    async with running(trusted_proxies=networks) as proxy:
        client = await proxy.ask(GET[:-2] + CLAIMED + twins + b"\r\n")
        assert (await client.answer()).status == 200
        [request] = proxy.backend.requests
        assert {name: request.field(name) for name in told} == told
        assert not [name for name, _ in request.fields if b"_" in name]
        await check_good_request_follows(proxy)


async def test_trust_is_evaluated_again_for_each_request_of_an_open_connection() -> None:
    localhost = (IPv4Network("127.0.0.0/8"),)
    async with running() as proxy:
        client = await proxy.connect()
        for trusted in ((), localhost, ()):
            proxy.use(trusted_proxies=trusted)
            await client.send(GET[:-2] + CLAIMED + b"\r\n")
            assert (await client.answer()).status == 200
        told = [request.field(b"x-forwarded-for") for request in proxy.backend.requests]
        assert told == [[b"127.0.0.1"], [b"6.6.6.6, 127.0.0.1"], [b"127.0.0.1"]]


CLAIMS_OF_ANY_KIND = [
    *(b"X-Forwarded-User", b"x-forwarded-scheme", b"X-Forwarded-Protocol", b"X-Forwarded-Groups"),
    *(b"X-Forwarded-Client-Cert", b"X-FORWARDED-WHATEVER", b"X-Real-IP", b"True-Client-IP"),
    *(b"X-Client-IP", b"CF-Connecting-IP", b"Fastly-Client-IP", b"Client-Cert", b"X-Request-Id"),
]


@pytest.mark.parametrize("name", CLAIMS_OF_ANY_KIND)
async def test_forwarding_headers_pass_only_from_a_trusted_proxy(name: bytes) -> None:
    twins = [name, name.replace(b"-", b"_"), name.replace(b"-", b"."), name.replace(b"-", b"_", 1)]
    claims = b"".join(b"%b: admin\r\n" % twin for twin in twins)
    for trusted in ((), (IPv4Network("127.0.0.0/8"),)):
        async with running(trusted_proxies=trusted) as proxy:
            client = await proxy.ask(GET[:-2] + claims + b"\r\n")
            assert (await client.answer()).status == 200
            [request] = proxy.backend.requests
            passed = [name.lower() for name, value in request.fields if value == b"admin"]
            assert passed == ([name.lower()] if trusted else [])


async def test_forwarding_headers_never_pass_in_a_trailer() -> None:
    lines = b"X-Forwarded-User: admin\r\nX_Forwarded.For: admin\r\nX-Sum: 1\r\n"
    body = b"1\r\nx\r\n0\r\n" + lines + b"\r\n"
    async with running() as proxy:
        client = await proxy.ask(
            b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + body
        )
        assert (await client.answer()).status == 200
        assert proxy.backend.requests[0].trailers == [(b"X-Sum", b"1")]


async def test_a_request_id_from_an_untrusted_client_is_replaced() -> None:
    async with running() as proxy:
        await (await proxy.ask(GET[:-2] + b"X-Request-Id: abc-1\r\n\r\n")).answer()
        [id_] = proxy.backend.requests[0].field(b"x-request-id")
        assert id_ != b"abc-1"


@pytest.mark.parametrize("given", [b"abc-1", b"", b"a b", b"x" * 129])
async def test_every_request_has_one_id(given: bytes) -> None:
    async with running(trusted_proxies=(IPv4Network("127.0.0.0/8"),)) as proxy:
        client = await proxy.ask(GET[:-2] + b"X-Request-Id: " + given + b"\r\n\r\n")
        assert (await client.answer()).status == 200
        [id_] = proxy.backend.requests[0].field(b"x-request-id")
        assert (id_ == given) == (given == b"abc-1")
        assert id_
        assert b" " not in id_


BROWSER = b"User-Agent: Mozilla/5.0\r\nAccept: text/html,application/xhtml+xml;q=0.9\r\n"
CURL = b"User-Agent: curl/8\r\nAccept: */*\r\n"
ERRORS: dict[int, tuple[Script, dict[str, Any]]] = {
    502: (drops, {}),
    503: (says(OK), {"hold": HoldSettings(timeout=Period(SHORT))}),
    504: (silence, {"response_timeout": SHORT}),
}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("asker", ["browser", "curl"])
@pytest.mark.parametrize("status", ERRORS)
async def test_errors_are_pages_for_browsers_and_text_for_others(
    method: str, asker: str, status: int
) -> None:
    script, options = ERRORS[status]
    async with running(script, **options) as proxy:
        if status == 503:
            proxy.gate.hold("test")
        fields = BROWSER if asker == "browser" else CURL
        client = await proxy.ask(GET.replace(b"GET", method.encode())[:-2] + fields + b"\r\n")
        answer = await client.answer(method)
        kind, begin = {
            "browser": (b"text/html", b"<!doctype html>"),
            "curl": (b"text/plain", b"%d " % status),
        }[asker]
        assert answer.status == status
        assert answer.field(b"content-type") == [kind + b"; charset=utf-8"]
        assert answer.field(b"cache-control") == [b"no-store"]
        assert answer.body.startswith(begin) if method == "GET" else not answer.body
        proxy.gate.resume("test")
        # Nothing follows the head of an answer to HEAD, not even where the connection ends.
        if answer.field(b"connection") == [b"close"]:
            await check_is_closed(client)
        else:
            await check_is_kept(client)


@pytest.mark.parametrize("more", [b"", b"Via: 1.0 a\r\n"])
def test_via_names_http_2_on_its_connections(more: bytes) -> None:
    """RFC 9110 section 7.6.3; also the lines that are the same for all requests."""
    request = read_request(b"GET / HTTP/1.1\r\nHost: h\r\n%b\r\n" % more)
    remote = Remote("192.0.2.1", trust=Trust(()), scheme=b"https")
    http1 = forwarding.lines(remote, request, b"id")
    remote.use_http2()
    http2 = forwarding.lines(remote, evolve(request, version=b"2.0"), b"id")
    assert b"1.1 blue-green\r\n" in http1
    assert http2 == http1.replace(b"1.1 blue-green", b"2.0 blue-green")
