"""Visitors of a site, each with an address of its own, and which release each of them gets."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from attrs import define, field

from tests.support.http_client import HttpClient
from tests.waiting import until

PROXIES = {"trusted_proxies": ["127.0.0.1"]}
"""In the settings of the proxy, so that it believes the addresses."""


@define
class Visitor:
    """One browser."""

    address: str
    keeps_cookies: bool = True
    cookie: str = ""
    cookies_set: int = 0
    got: list[str] = field(factory=list)
    """The revision that each answer is of."""


@define
class Visitors:
    """Browsers that send requests until the block ends, and what they got."""

    port: int
    host: str = "test.example"
    count: int = 40
    keep_cookies: bool = True
    path: str = "/load"
    pause: float = 0.05
    everybody: list[Visitor] = field(factory=list)
    failures: list[str] = field(factory=list)
    statuses: Counter[int] = field(factory=Counter)
    posts: bool = False
    """They send POST requests, which are never sent twice."""
    expects: tuple[int, ...] = (200,)
    """Statuses that are no failure."""
    running: bool = True

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator["Visitors"]:
        """Send requests while the block lasts, then wait for the last answers."""
        self.everybody = [
            Visitor(f"203.0.{number // 200}.{number % 200}", self.keep_cookies)
            for number in range(self.count)
        ]
        async with trio.open_nursery() as nursery:
            for visitor in self.everybody:
                nursery.start_soon(self._visit, visitor)
            await self.all_got_more(1)
            yield self
            self.running = False

    async def all_got_more(self, count: int = 3) -> None:
        """Wait until each has so many answers more."""
        before = [len(visitor.got) for visitor in self.everybody]

        def done() -> bool:
            now = [len(visitor.got) for visitor in self.everybody]
            return all(after >= then + count for then, after in zip(before, now, strict=True))

        await until("answers for all visitors", lambda: done() or self.failures)

    def last(self) -> dict[str, str]:
        """The revision that each visitor got last."""
        return {visitor.address: visitor.got[-1] for visitor in self.everybody}

    def who_got(self, revision: str) -> set[str]:
        return {address for address, got in self.last().items() if got == revision}

    def forget(self) -> None:
        """Forget what everybody got, but for the last answer."""
        for visitor in self.everybody:
            visitor.got = visitor.got[-1:]

    def wavering(self) -> list[str]:
        """Those who got different revisions since."""
        return [visitor.address for visitor in self.everybody if len(set(visitor.got)) > 1]

    async def _visit(self, visitor: Visitor) -> None:
        async with HttpClient(self.port) as http:
            while self.running:
                try:
                    await self._request(http, visitor)
                except Exception as error:  # noqa: BLE001 - every failure counts, of any kind
                    self.failures.append(repr(error))
                    await http.aclose()
                await trio.sleep(self.pause)

    async def _request(self, http: HttpClient, visitor: Visitor) -> None:
        headers = {"Host": self.host, "X-Forwarded-For": visitor.address}
        if visitor.cookie:
            headers["Cookie"] = visitor.cookie
        method = "POST" if self.posts else "GET"
        answer = await http.request(method, self.path, b"", **headers)
        self.statuses[answer.status] += 1
        assert answer.status in self.expects, f"{answer.status} {answer.body[:300]!r}"
        visitor.got.append(answer.json()["revision"])
        if cookie := answer.headers.get("set-cookie"):
            visitor.cookies_set += 1
            if visitor.keeps_cookies:
                visitor.cookie = cookie.partition(";")[0]
