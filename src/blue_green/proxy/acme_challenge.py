"""Answer the http-01 challenges of a certificate authority (RFC 8555 section 8.3).

Others may use the same path: certbot with a directory of its own, behind an app. So a token that is
none of ours is a request like any other.
"""

from collections.abc import Mapping

from blue_green.http.heads import Framing
from blue_green.http.response import Response
from blue_green.proxy.client_stream import ClientStream
from blue_green.proxy.handler import Handler

PREFIX = b"/.well-known/acme-challenge/"
HEAD = "Content-Type: application/octet-stream\r\nContent-Length: %d\r\nCache-Control: no-store\r\n"


class AcmeChallenge:
    """Answers challenges, and lets another handler answer all other requests."""

    def __init__(self, answers: Mapping[str, str], otherwise: Handler) -> None:
        """`answers` has the body for each token; it changes with the orders."""
        self._answers = answers
        self._otherwise = otherwise

    async def handle(self, stream: ClientStream) -> None:
        answer = self._answer(stream)
        if answer is None:
            await self._otherwise.handle(stream)
            return
        head = (HEAD % len(answer)).encode()
        body = b"" if stream.request.method == b"HEAD" else answer
        await stream.respond(Response(200, b"OK", head, Framing.LENGTH, len(answer)), body)

    def _answer(self, stream: ClientStream) -> bytes | None:
        request = stream.request
        if not request.target.startswith(PREFIX) or request.method not in (b"GET", b"HEAD"):
            return None
        answer = self._answers.get(request.target.removeprefix(PREFIX).decode("latin-1"))
        return None if answer is None else answer.encode()
