"""Many streams at a time on one HTTP/2 connection, and what became of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from attrs import define, field

from tests.support.http2_user_agent import Http2Client
from tests.support.http_client import Answer
from tests.waiting import until


@define
class Http2Load:
    """Tasks that send one request after the other on the same connection."""

    client: Http2Client
    path: str = "/load"
    streams: int = 100
    pause: float = 0.3
    """Seconds between a response and the next request of a task."""
    host: str = ""
    texts: list[str] = field(factory=list)
    """Of the releases that have answered, in the order in which they did."""
    failures: list[str] = field(factory=list)
    longest: float = 0.0
    """Seconds that a response took."""

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator["Http2Load"]:
        """Send requests while the block lasts; none of them may fail."""
        async with trio.open_nursery() as nursery:
            for number in range(self.streams):
                nursery.start_soon(self._send, number)
            await self.more()
            yield self
            await self.more()
            nursery.cancel_scope.cancel()
        assert self.failures == [], f"of {len(self.texts)} requests: {self.failures}"

    async def more(self) -> None:
        """Wait until as many requests as there are tasks have been answered."""
        before = len(self.texts)
        await until(
            "requests are answered",
            lambda: len(self.texts) >= before + self.streams or self.failures,
        )

    async def _send(self, number: int) -> None:
        await trio.sleep(self.pause * number / self.streams)
        while True:
            began = trio.current_time()
            try:
                answer = await self._request(number)
                assert answer.status == 200, f"{answer.status} {answer.body[:200]!r}"
                self.texts.append(answer.json()["text"])
            except Exception as error:  # noqa: BLE001 - every failure counts, of any kind
                self.failures.append(repr(error))
            self.longest = max(self.longest, trio.current_time() - began)
            await trio.sleep(self.pause)

    async def _request(self, number: int) -> Answer:
        headers = {"Host": self.host} if self.host else {}
        if number % 4:
            return await self.client.get(self.path, **headers)
        return await self.client.post(self.path, b"x" * number, **headers)
