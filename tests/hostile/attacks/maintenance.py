"""Guesses at the secret link of a site in maintenance, which admits those who are polite."""

import secrets

import trio

from tests.hostile.attacks import ADDRESS, command, on_each_connection
from tests.hostile.target import TargetSite

FORGED = 150
"""Cookies in a request, as many as fit in its head."""


async def forged_links(target: TargetSite) -> None:
    """Open links that nobody was given."""

    def request() -> bytes:
        return b"GET /maintenance-access/%b HTTP/1.1\r\nHost: test.example\r\n\r\n" % _token()

    await _guess(target, [request() for _ in range(50)])


async def forged_cookies(target: TargetSite) -> None:
    """Send as many cookies as fit in a request, each with another value."""

    def request() -> bytes:
        cookies = b"; ".join(b"blue-green-maintenance=%b" % _token() for _ in range(FORGED))
        return b"GET / HTTP/1.1\r\nHost: test.example\r\nCookie: %b\r\n\r\n" % cookies

    await _guess(target, [request() for _ in range(50)])


def _token() -> bytes:
    return secrets.token_urlsafe(32).encode()


async def _guess(target: TargetSite, requests: list[bytes]) -> None:
    on = {"command": "maintenance", "do": "on", "secret": True, "allow": ["127.0.0.1"]}
    await command(target, on)

    async def send(stream: trio.SocketStream) -> None:
        for request in requests:
            await stream.send_all(request)
            answer = await stream.receive_some()
            if not answer:
                return
            assert answer.startswith(b"HTTP/1.1 503 "), answer

    await on_each_connection(target, send, address=ADDRESS)
