"""Strict-Transport-Security: sent over TLS by sites that set it, and nowhere else."""

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from blue_green.proxy import hsts
from tests.raw.backend import Script, says
from tests.raw.messages import GET
from tests.raw.peer import ParsedMessage
from tests.raw.proxy import RunningProxy, running
from tests.raw.sites import Plan, running_sites
from tests.raw.tls_client import PemPair, write_pair

FIELD = b"strict-transport-security"
ONE_HOUR = hsts.header_line(3600)


@pytest.fixture
def tls(tmp_path: Path) -> PemPair:
    return write_pair(tmp_path)


async def asked(proxy: RunningProxy, raw: bytes = GET) -> ParsedMessage:
    client = await proxy.ask(raw)
    return await client.answer(raw.split()[0].decode())


KINDS = {
    "a length": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "no body": b"HTTP/1.1 204 No Content\r\n\r\n",
    "an error": b"HTTP/1.1 500 Oops\r\nDate: today\r\nContent-Length: 0\r\n\r\n",
    "a field with its name in the value": (
        b"HTTP/1.1 200 OK\r\nX: strict-transport-security: x\r\nContent-Length: 0\r\n\r\n"
    ),
}


@pytest.mark.parametrize("answer", KINDS.values(), ids=KINDS)
async def test_responses_over_tls_of_a_site_that_sets_it_have_it(
    tls: PemPair, answer: bytes
) -> None:
    async with running(says(answer), tls=tls) as proxy:
        assert (await asked(proxy)).field(FIELD) == []
        proxy.site.hsts = ONE_HOUR
        for _ in range(2):  # The second response is in the cache.
            assert (await asked(proxy)).field(FIELD) == [b"max-age=3600"]


async def test_what_the_app_sends_itself_takes_precedence(tls: PemPair) -> None:
    own = b"HTTP/1.1 200 OK\r\nSTRICT-transport-Security: max-age=0\r\nContent-Length: 0\r\n\r\n"
    async with running(says(own), tls=tls) as proxy:
        proxy.site.hsts = ONE_HOUR
        assert (await asked(proxy)).field(FIELD) == [b"max-age=0"]


async def test_error_pages_over_tls_have_it(tls: PemPair) -> None:
    async with running(says(b"nonsense\r\n\r\n"), tls=tls) as proxy:
        proxy.site.hsts = ONE_HOUR
        answer = await asked(proxy)
        assert (answer.status, answer.field(FIELD)) == (502, [b"max-age=3600"])
        assert (await asked(proxy, GET.replace(b"GET", b"HEAD"))).field(FIELD) == [b"max-age=3600"]


async def test_a_redirect_between_hosts_over_tls_has_it(tls: PemPair) -> None:
    plan = Plan(("x.org",), redirect_hosts=("www.x.org",))
    async with running_sites({"site": plan, "other": Plan(("y.org",))}, tls=tls) as sites:
        sites["site"].served.hsts = ONE_HOUR
        answer = await sites.get("www.x.org/")
        assert (answer.status, answer.field(FIELD)) == (308, [b"max-age=3600"])
        assert (await sites.get("y.org/")).field(FIELD) == []
        assert (await sites.get("z.org/")).field(FIELD) == []


async def test_it_is_never_sent_over_plain_http(tls: PemPair) -> None:
    async with running() as proxy:
        proxy.site.hsts = ONE_HOUR
        assert (await asked(proxy)).field(FIELD) == []
    async with running(says(b"nonsense\r\n\r\n")) as proxy:
        proxy.site.hsts = ONE_HOUR
        assert (await asked(proxy)).field(FIELD) == []
    async with running(tls=tls) as proxy:
        proxy.site.hsts = ONE_HOUR
        client = await proxy.connect_plainly(proxy.redirect_port)
        await client.send(GET)
        answer = await client.answer()
        assert (answer.status, answer.field(FIELD)) == (308, [])


TRUSTED = (IPv4Network("127.0.0.0/8"),)


@pytest.mark.parametrize(("claimed", "is_sent"), [("http", False), ("https", True), ("x", True)])
@pytest.mark.parametrize("script", [None, says(b"nonsense\r\n\r\n")], ids=["response", "error"])
async def test_behind_a_trusted_proxy_the_clients_own_connection_has_to_be_tls_too(
    tls: PemPair, claimed: str, is_sent: bool, script: Script | None
) -> None:
    raw = GET.replace(b"\r\n\r\n", f"\r\nX-Forwarded-Proto: {claimed}\r\n\r\n".encode())
    for trusted in (True, False):
        async with running(script, tls=tls, trusted_proxies=TRUSTED if trusted else ()) as proxy:
            proxy.site.hsts = ONE_HOUR
            assert bool((await asked(proxy, raw)).field(FIELD)) == (is_sent or not trusted)


async def test_a_claim_of_https_on_a_plain_connection_does_not_count() -> None:
    async with running(trusted_proxies=TRUSTED) as proxy:
        proxy.site.hsts = ONE_HOUR
        raw = GET.replace(b"\r\n\r\n", b"\r\nX-Forwarded-Proto: https\r\n\r\n")
        assert (await asked(proxy, raw)).field(FIELD) == []


@pytest.mark.parametrize(
    ("seconds", "line"),
    [
        (0, b""),
        (0.5, b"Strict-Transport-Security: max-age=1\r\n"),  # 0 would make browsers forget.
        (365 * 86400.0, b"Strict-Transport-Security: max-age=31536000\r\n"),
    ],
)
def test_the_header_line_has_whole_seconds(seconds: float, line: bytes) -> None:
    assert hsts.header_line(seconds) == line
