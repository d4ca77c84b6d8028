"""A steady load whose every request has an id, and the judgement of what became of them."""

import itertools
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import h11
import trio
from attrs import define, field

from tests.support.http_client import HttpClient
from tests.waiting import until

CLIENTS = 4
PATIENCE = 20.0
"""Seconds after which a request that nobody has answered is lost."""
NOT_REACHED = "The backend could not be reached."
PAUSE = 0.01
"""Seconds between two requests of one client."""


@define
class Sent:
    """A request, and its end.

    `outcome` is the status; or `refused`: no connection; `closed`: no byte of an answer came;
    `cut`: the answer broke off; `lost`: nothing happened at all.
    """

    method: str
    path: str
    body: str
    outcome: str = "lost"
    took: float = 0.0
    """Seconds until then."""
    headers: Mapping[str, str] = field(factory=dict)
    why: str = ""
    """What an answer that is not 200 says."""
    echo: Mapping[str, Any] = field(factory=dict)
    """What the app says that it got."""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Traffic:
    """Clients that keep their connections, and take turns to read and to write."""

    def __init__(self, port: int, name: str) -> None:
        self.sent: list[Sent] = []
        self._port = port
        self._name = name
        self._numbers = itertools.count()
        self.cookie = ""
        """What half of the requests have, if anything."""

    @property
    def passed(self) -> int:
        return sum(sent.outcome == "200" for sent in self.sent)

    @asynccontextmanager
    async def flowing(self) -> AsyncIterator[trio.Nursery]:
        """While the block lasts; at its end every client finishes what it has begun.

        Gives a nursery for more requests, which have to end, too.
        """
        running = True

        async def client() -> None:
            async with HttpClient(self._port) as http:
                while running:
                    await self.ask("GET" if next(self._numbers) % 2 else "POST", http=http)
                    await trio.sleep(PAUSE)

        async with trio.open_nursery() as nursery:
            for _ in range(CLIENTS):
                nursery.start_soon(client)
            try:
                yield nursery
            finally:
                running = False

    async def has_begun(self) -> None:
        await until("the load has begun", lambda: self.passed)

    async def ask(self, method: str, what: str = "", *, http: HttpClient | None = None) -> None:
        """Send a request that nobody else sends, and note what became of it."""
        number = next(self._numbers)
        body = f"body of {self._name} {number}" if method == "POST" else ""
        sent = Sent(method, f"/{self._name}/{number}?{what}", body)
        self.sent.append(sent)
        began = trio.current_time()
        async with AsyncExitStack() as at_last:
            if http is None:
                http = await at_last.enter_async_context(HttpClient(self._port))
            with trio.move_on_after(PATIENCE):
                await _exchange(http, sent, self._headers(number))
        sent.took = trio.current_time() - began

    def _headers(self, number: int) -> dict[str, str]:
        """Each request is from an address of its own; every other pair has the cookie."""
        headers = {"X_Forwarded_For": f"10.0.{number // 256 % 256}.{number % 256}"}
        return {**headers, "Cookie": self.cookie} if self.cookie and number & 2 else headers


async def _exchange(http: HttpClient, sent: Sent, headers: Mapping[str, str]) -> None:
    try:
        answer = await http.request(sent.method, sent.path, sent.body.encode(), **headers)
    except OSError:
        sent.outcome = "refused"
        return
    except (trio.BrokenResourceError, h11.RemoteProtocolError):
        sent.outcome = "cut" if http.has_begun else "closed"
        await http.aclose()
        return
    sent.outcome, sent.headers = str(answer.status), answer.headers
    if answer.status != 200:
        sent.why = answer.body.decode(errors="replace")
    if answer.status == 200:
        try:
            sent.echo = answer.json()
        except ValueError:
            sent.echo = {"not from the app": answer.body.decode(errors="replace")}


def judge(
    sent: Iterable[Sent],
    seen: Sequence[Mapping[str, Any]],
    *,
    allowed: Collection[str],
    died: Collection[int],
) -> list[str]:
    """What is wrong with these requests, given what the backends wrote down of them.

    `allowed` are the outcomes, besides 200, that the faults explain; "closed unseen" is `closed`
    of a request that no backend saw. `died` are the pids of backends that ended without warning.
    """
    of_path: dict[str, list[Mapping[str, Any]]] = {}
    for entry in seen:
        of_path.setdefault(entry["path"], []).append(entry)
    wrong = []
    for one in sent:
        entries = of_path.pop(one.path, [])
        wrong += [f"{one}: {why}" for why in _wrong_with(one, entries, allowed, died)]
    return wrong + [f"{path}: nobody sent it" for path in of_path]


def _wrong_with(
    sent: Sent,
    seen: Sequence[Mapping[str, Any]],
    allowed: Collection[str],
    died: Collection[int],
) -> Iterable[str]:
    got = (sent.method, sent.path, sent.body)
    if any((entry["method"], entry["path"], entry["body"]) != got for entry in seen):
        yield f"a backend got something else: {seen}"
    if len(seen) > (1 if sent.method == "POST" else 2):
        yield f"backends got it {len(seen)} times"
    elif len(seen) == 2 and seen[0]["pid"] not in died:
        yield f"it was sent again, though pid {seen[0]['pid']} had not died"
    if sent.outcome == "200":
        if not seen:
            yield "answered, and no backend got it"
        if (sent.echo.get("path"), sent.echo.get("body")) != (sent.path, sent.body):
            yield f"the answer is another's: {sent.echo}"
        elif sent.echo.get("revision") != sent.echo.get("end"):
            yield "the answer is made of two"
        return
    outcome = sent.outcome
    if outcome == "closed" and not seen and "closed unseen" in allowed:
        return
    if outcome not in allowed:
        yield f"{outcome} is not what follows from these faults"
    if outcome == "503" and "retry-after" not in sent.headers:
        yield "503 without Retry-After"
    has_died_twice = len(seen) == 2 or NOT_REACHED in sent.why
    if outcome == "502" and sent.method == "GET" and not has_died_twice:
        yield "502, and it was not tried twice"
