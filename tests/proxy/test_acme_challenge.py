"""Challenges of a certificate authority, answered where all other requests are redirected."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.raw.peer import ParsedMessage
from tests.raw.proxy import RunningProxy, running
from tests.raw.tls_client import PemPair, write_pair
from tests.waiting import until

PATH = b"/.well-known/acme-challenge/"
TOKEN, ANSWER = (
    "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA",
    "evaGx.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0",
)


@pytest.fixture
def tls(tmp_path: Path) -> PemPair:
    return write_pair(tmp_path)


@asynccontextmanager
async def challenged(tls: PemPair) -> AsyncIterator[RunningProxy]:
    """A proxy with one challenge, before a gate that is closed."""
    async with running(tls=tls) as proxy:
        assert proxy.challenges is not None
        proxy.challenges.http[TOKEN] = ANSWER
        proxy.gate.hold("test")
        yield proxy
        proxy.gate.resume("test")


async def ask(
    proxy: RunningProxy, path: bytes, method: str = "GET", host: bytes = b"a.example"
) -> ParsedMessage:
    client = await proxy.connect_plainly(proxy.redirect_port)
    await client.send(b"%b %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (method.encode(), path, host))
    return await client.answer(method)


async def test_a_challenge_is_answered_and_not_redirected(tls: PemPair) -> None:
    async with challenged(tls) as proxy:
        answer = await ask(proxy, PATH + TOKEN.encode())
        assert (answer.status, answer.body) == (200, ANSWER.encode())
        assert answer.field(b"content-type") == [b"application/octet-stream"]
        assert answer.field(b"cache-control") == [b"no-store"]
        head = await ask(proxy, PATH + TOKEN.encode(), "HEAD")
        assert (head.status, head.body) == (200, b"")
        assert head.field(b"content-length") == [str(len(ANSWER)).encode()]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", PATH + b"unknown"),
        ("GET", PATH),
        ("GET", PATH + TOKEN.encode() + b"/"),
        ("GET", PATH + TOKEN.encode() + b"?a"),
        ("GET", PATH + b"%65" + TOKEN[1:].encode()),
        ("GET", b"/" + TOKEN.encode()),
        ("POST", PATH + TOKEN.encode()),
        ("DELETE", PATH + TOKEN.encode()),
    ],
)
async def test_other_requests_are_redirected_also_below_the_path_of_challenges(
    tls: PemPair, method: str, path: bytes
) -> None:
    async with challenged(tls) as proxy:
        answer = await ask(proxy, path, method)
        assert answer.status == 308
        assert answer.field(b"location") == [b"https://a.example:%d%b" % (proxy.port, path)]


async def test_a_challenge_ends_with_its_order(tls: PemPair) -> None:
    async with challenged(tls) as proxy:
        assert proxy.challenges is not None
        assert (await ask(proxy, PATH + TOKEN.encode())).status == 200
        del proxy.challenges.http[TOKEN]
        assert (await ask(proxy, PATH + TOKEN.encode())).status == 308


async def test_challenges_are_answered_while_the_service_finishes_its_last_requests(
    tls: PemPair,
) -> None:
    async with challenged(tls) as proxy:
        async with trio.open_nursery() as nursery:
            held = await proxy.ask(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await until("it is held", lambda: proxy.gate.held == 1)
            nursery.start_soon(proxy.listener.finish, 20.0)
            answer = await ask(proxy, PATH + TOKEN.encode())
            assert (answer.status, answer.body) == (200, ANSWER.encode())
            proxy.gate.resume("test")
            assert (await held.answer()).body == b"ok"


async def test_challenges_wait_while_connections_are_handed_over(tls: PemPair) -> None:
    async with challenged(tls) as proxy:
        async with trio.open_nursery() as nursery:
            async with proxy.listener.at_rest(20):
                answers: list[ParsedMessage] = []

                async def ask_now() -> None:
                    answers.append(await ask(proxy, PATH + TOKEN.encode()))

                nursery.start_soon(ask_now)
                await trio.sleep(0.05)
                assert answers == []
        assert answers[0].body == ANSWER.encode()
