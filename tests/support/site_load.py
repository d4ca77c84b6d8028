"""Steady load on one of several sites, whose answers say which site they are from."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio
from attrs import define, field

from tests.support.http_client import Answer, HttpClient
from tests.waiting import PATIENCE, until


def text_of_the_test_app(answer: Answer) -> str:
    """The text of the release, which begins with the name of its site."""
    text: str = answer.json()["text"]
    return text


@define
class SiteLoad:
    """Clients of one site that send requests until the block ends, and what they got."""

    site: str
    """The word with which the text of each answer must begin."""
    port: int
    host: str
    path: str = "/load"
    text_of: Callable[[Answer], str] = text_of_the_test_app
    headers: dict[str, str] = field(factory=dict)
    """Of each request, besides Host."""
    clients: int = 3
    pause: float = 0.03
    """Seconds between an answer and the next request."""
    texts: list[str] = field(factory=list)
    """Of each answer, in the order in which they came."""
    seconds: list[float] = field(factory=list)
    """What each answer took."""
    failures: list[str] = field(factory=list)
    """Requests without an answer, with another status than 200, or answered by another site."""
    running: bool = True

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator["SiteLoad"]:
        """Send requests while the block lasts, then wait for the last answers."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.run)
            await until(f"requests to {self.site}", lambda: self.texts or self.failures)
            yield self
            self.running = False

    async def run(self) -> None:
        """Send requests until cancelled, or until the load is not `running`."""
        async with trio.open_nursery() as nursery:
            for _ in range(self.clients):
                nursery.start_soon(self._client)

    async def _client(self) -> None:
        async with HttpClient(self.port) as http:
            while self.running:
                try:
                    await self._request(http)
                except Exception as error:  # noqa: BLE001 - every failure counts, of any kind
                    self.failures.append(repr(error))
                    await http.aclose()
                await trio.sleep(self.pause)

    async def _request(self, http: HttpClient) -> None:
        began = trio.current_time()
        answer = await http.get(self.path, Host=self.host, **self.headers)
        assert answer.status == 200, f"{answer.status} {answer.body[:300]!r}"
        text = self.text_of(answer)
        assert text.split()[:1] == [self.site], f"{text!r}, in place of {self.site}"
        self.texts.append(text)
        self.seconds.append(trio.current_time() - began)

    async def until_text(self, text: str, timeout: float = PATIENCE) -> None:
        """Wait until this release answers."""
        await until(f"an answer {text!r}", lambda: text in self.texts[-1:], timeout)

    async def more(self, count: int = 20) -> None:
        """Wait for so many answers more."""
        before = len(self.texts)
        await until(f"answers of {self.site}", lambda: len(self.texts) >= before + count)

    def percentile(self, share: float) -> float:
        """Seconds within which that share of all answers came."""
        return sorted(self.seconds)[round(share * (len(self.seconds) - 1))]
