"""Under a steady load, swaps are invisible."""

import itertools
from collections.abc import Callable

import trio
from attrs import define, field

from tests.support.http_client import HttpClient
from tests.support.site import RealSite

CLIENTS = 12


@define
class Load:
    """A steady mix of requests, and every answer to them."""

    port: int
    running: bool = True
    posts: list[str] = field(factory=list)
    revisions: list[str] = field(factory=list)
    """The releases that have answered, in the order in which they first did."""
    answers: int = 0
    failures: list[str] = field(factory=list)
    _numbers: "itertools.count[int]" = field(factory=itertools.count)

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(CLIENTS):
                nursery.start_soon(self._client)

    async def _client(self) -> None:
        async with HttpClient(self.port) as http:
            while self.running:
                number = next(self._numbers)
                known = len(self.revisions)
                path = f"/{number}?slow=0.2" if number % 5 == 0 else f"/{number}"
                try:
                    if number % 2:
                        answer = await http.get(path)
                    else:
                        self.posts.append(path)
                        answer = await http.post(path, f"body {number}".encode())
                        assert answer.json()["body"] == f"body {number}"
                    assert answer.status == 200
                    assert answer.json()["revision"] == answer.json()["end"]
                    self._see(answer.json()["revision"], known)
                except Exception as error:  # noqa: BLE001 - every failure counts, of any kind
                    self.failures.append(f"{path}: {error!r}")
                    await http.aclose()
            self.failures += [f"{http.connections} connections"] * (http.connections != 1)

    def _see(self, revision: str, known: int) -> None:
        """An answer came; when its request was sent, so many releases had answered."""
        self.answers += 1
        if revision not in self.revisions:
            self.revisions.append(revision)
        elif self.revisions.index(revision) + 1 < known:
            self.failures.append("a new request reached the old release after the switch")


async def test_three_commits_go_live_and_no_request_fails(
    make_site: Callable[..., RealSite],
) -> None:
    site = make_site()
    revisions = [site.commit("one")]
    async with site.running():
        load = Load(site.port)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(load.run)
            for text in ("two", "three", "four"):
                await trio.sleep(0.3)
                revisions.append(site.commit(text))
                status = await site.until_live(revisions[-1])
                receipt = status["last_swap"]
                assert receipt["outcome"] == "promoted"
                assert (receipt["cut"], receipt["failed"]) == (0, 0)
            await trio.sleep(0.3)
            load.running = False

    assert load.failures == []
    assert load.answers > 300
    assert load.revisions == revisions
    seen = [request["path"] for request in site.journal() if request["method"] == "POST"]
    assert sorted(seen) == sorted(load.posts)
