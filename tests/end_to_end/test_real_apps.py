"""Apps that others wrote, as people run them: Datasette, and an ASGI app with WebSockets."""

import json
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from itertools import groupby
from typing import Any

import trio
from attrs import define, field
from websockets.exceptions import ConnectionClosed

from tests.support.http_client import HttpClient
from tests.support.site import RealSite
from tests.support.websocket import WebSocket, websocket
from tests.waiting import until

CLIENTS = 4
SLOW_START = "30s"
"""Datasette takes seconds to import on a loaded machine."""
SWAP_SECONDS = 45.0
TUNNEL_SECONDS = 2.5

ROWS: list[dict[str, Any]] = [{"id": number, "name": f"row {number}"} for number in range(1, 6)]

ECHO = '''\
"""Says which release it is, over HTTP and over each WebSocket."""

import os

REVISION = os.environ["BLUE_GREEN_REVISION"]


async def app(scope, receive, send):
    if scope["type"] == "http":
        headers = [(b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": REVISION.encode()})
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": f"{REVISION}: {message['text']}"})
'''


@define
class RealAppLoad:
    """Some clients that ask for one path again and again, and what they were told."""

    port: int
    path: str
    running: bool = True
    bodies: list[list[bytes]] = field(factory=lambda: [[] for _ in range(CLIENTS)])
    """For each client its good answers, in order. Between clients there is none."""
    failures: list[str] = field(factory=list)

    async def _client(self, bodies: list[bytes]) -> None:
        async with HttpClient(self.port) as http:
            while self.running:
                try:
                    answer = await http.get(self.path)
                    assert answer.status == 200, answer
                    bodies.append(answer.body)
                except Exception as error:  # noqa: BLE001 - every failure counts, of any kind
                    self.failures.append(repr(error))
                    await http.aclose()
                await trio.sleep(0.02)

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator["RealAppLoad"]:
        """The requests come while the block lasts; the last ones are waited for."""
        async with trio.open_nursery() as nursery:
            for bodies in self.bodies:
                nursery.start_soon(self._client, bodies)
            yield self
            self.running = False

    async def until_all_see(self, sign: str) -> None:
        """Wait until the last answer of every client has this in it."""

        def all_see() -> bool:
            return all(sign.encode() in b"".join(bodies[-1:]) for bodies in self.bodies)

        await until(f"{sign} in the answers", all_see, SWAP_SECONDS)

    def seen(self, part: Callable[[bytes], str]) -> list[list[str]]:
        """For each client that part of its answers, without repetitions."""
        return [[one for one, _ in groupby(map(part, bodies))] for bodies in self.bodies]


async def test_datasette_gets_new_metadata_and_keeps_its_data(
    make_site: Callable[..., RealSite],
) -> None:
    command = [sys.executable, "-m", "datasette", "serve", "data.db", "--port", "{port}"]
    site = make_site(
        app={"command": [*command, "--metadata", "metadata.json"], "stop_timeout": "10s"},
        release={"link": ["data.db"]},
        health={"path": "/-/versions.json", "start_timeout": SLOW_START, "timeout": "10s"},
        swap={"strategy": "exclusive"},
        hold={"timeout": "60s"},
    )
    write_rows(site)
    commit_title(site, "The first title")
    async with site.running(), HttpClient(site.port) as http:
        assert await title(http) == "The first title"
        rows = RealAppLoad(site.port, "/data/rows.json?_shape=array")
        titles = RealAppLoad(site.port, "/-/metadata.json")
        async with rows.going_on(), titles.going_on():
            await titles.until_all_see("The first title")
            await rows.until_all_see(ROWS[-1]["name"])
            revision = commit_title(site, "The second title")
            status = await site.until_live(revision, SWAP_SECONDS)
            await titles.until_all_see("The second title")
        receipt = status["last_swap"]
        assert (receipt["outcome"], receipt["cut"], receipt["failed"]) == ("promoted", 0, 0)
        assert receipt["held"] > 0
        assert await title(http) == "The second title"
        assert (await http.get("/data/rows.json?_shape=array")).json() == ROWS

    assert rows.failures == titles.failures == []
    assert all(json.loads(body) == ROWS for bodies in rows.bodies for body in bodies)
    both = ["The first title", "The second title"]
    assert titles.seen(lambda body: json.loads(body)["title"]) == [both] * CLIENTS


async def test_a_websocket_outlives_the_switch_until_stream_timeout(
    make_site: Callable[..., RealSite],
) -> None:
    command = [sys.executable, "-m", "uvicorn", "echo:app", "--port", "{port}"]
    site = make_site(
        app={"command": [*command, "--lifespan", "off"]},
        health={"path": "/", "start_timeout": SLOW_START, "timeout": "10s"},
        swap={"stream_timeout": TUNNEL_SECONDS, "soak": "1s"},  # The time begins after that.
    )
    old = site.commit("one", files={"echo.py": ECHO})
    load = RealAppLoad(site.port, "/")
    async with site.running(), load.going_on(), websocket(site.port) as before:
        assert await before.echo("before") == f"{old}: before"

        committed_at = trio.current_time()
        new = site.commit("two")
        await load.until_all_see(new)
        assert await before.echo("after") == f"{old}: after"
        async with websocket(site.port) as after:
            assert await after.echo("hello") == f"{new}: hello"

            assert await time_of_end(before) - committed_at >= TUNNEL_SECONDS
            status = await site.until_live(new, SWAP_SECONDS)
            assert await after.echo("still here") == f"{new}: still here"

        receipt = status["last_swap"]
        assert (receipt["outcome"], receipt["failed"]) == ("promoted", 0)

    assert load.failures == []
    assert load.seen(bytes.decode) == [[old, new]] * CLIENTS


def write_rows(site: RealSite) -> None:
    with closing(sqlite3.connect(site.checkout / "data.db")) as data, data:
        data.execute("create table rows (id integer primary key, name text)")
        data.executemany("insert into rows values (:id, :name)", ROWS)


def commit_title(site: RealSite, title: str) -> str:
    files = {"metadata.json": json.dumps({"title": title}), ".gitignore": "data.db\n"}
    return site.commit(title, files=files)


async def title(http: HttpClient) -> Any:
    return (await http.get("/-/metadata.json")).json()["title"]


async def time_of_end(tunnel: WebSocket) -> float:
    """Echo until that is not possible any more, and say when that was."""

    async def has_ended() -> bool:
        try:
            await tunnel.echo("there?")
        except ConnectionClosed:
            return True
        return False

    await until("the end of the WebSocket", has_ended)
    return trio.current_time()
