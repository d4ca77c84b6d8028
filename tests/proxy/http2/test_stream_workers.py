"""The tasks that serve the streams of a connection, one after another."""

from types import SimpleNamespace
from typing import cast

import pytest
import trio
import trio.testing

from blue_green.http.transport import Transport
from blue_green.proxy.client import Client
from blue_green.proxy.handler import Handler
from blue_green.proxy.http2 import request_task, stream_workers
from blue_green.proxy.http2.stream import Http2Stream
from blue_green.proxy.http2.stream_workers import StreamWorkers
from blue_green.proxy.remote import Remote
from blue_green.proxy.shared import Shared
from tests.proxy.http2.frame_peer import ask, check_good_request, connect, reset
from tests.raw.backend import says, silence
from tests.raw.messages import OK
from tests.raw.proxy import running
from tests.raw.tls_client import PemPair
from tests.waiting import until

MANY = 20


def workers() -> list[trio.lowlevel.Task]:
    found, tasks = [], [trio.lowlevel.current_root_task()]
    while tasks:
        task = tasks.pop()
        assert task is not None
        tasks += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
        if StreamWorkers.__name__ in task.name:
            found.append(task)
    return found


async def test_one_task_serves_streams_one_after_another(tls: PemPair) -> None:
    async with running(says(OK), tls=tls) as proxy:
        peer = await connect(proxy)
        await ask(peer, 1, b"/")
        worker = workers()
        for stream_id in range(3, 11, 2):
            assert (await ask(peer, stream_id, b"/")).status == 200
            assert workers() == worker


async def test_only_so_many_tasks_of_all_connections_wait_for_streams(
    tls: PemPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_workers, "MOST_IDLE", MANY + 2)
    stream_ids = range(1, 2 * MANY, 2)
    async with running(says(OK), tls=tls) as proxy:
        for expected in (MANY, MANY + 2, MANY + 2):
            peer = await connect(proxy)
            proxy.gate.hold("a test")
            await peer.send(*(peer.get(stream_id) for stream_id in stream_ids))
            await until("all are held", lambda: proxy.gate.held == MANY)
            proxy.gate.resume("a test")
            for stream_id in stream_ids:
                assert (await peer.response(stream_id)).status == 200
            await until("the others have ended", lambda: len(workers()) <= MANY + 2)
            assert len(workers()) == expected
        assert (await ask(peer, 2 * MANY + 1, b"/")).status == 200
    assert not workers()


async def test_a_stream_that_is_cancelled_cancels_no_later_one(tls: PemPair) -> None:
    async with running(silence, tls=tls) as proxy:
        peer = await connect(proxy)
        for count, stream_id in enumerate(range(1, 21, 4), 1):
            await peer.send(peer.get(stream_id))
            await proxy.until_backend_has(count)
            await peer.send(reset(stream_id))
            await check_good_request(peer, stream_id + 2)
        await proxy.until_drained()


async def test_a_stream_that_is_reset_before_it_begins_never_waits_at_the_gate(
    tls: PemPair,
) -> None:
    async with running(says(OK), tls=tls) as proxy:
        peer = await connect(proxy)
        await check_good_request(peer, 1)
        proxy.gate.hold("a test")
        await peer.send(peer.get(3), reset(3), peer.get(5), reset(5))
        await peer.check_alive()
        await until("no stream", lambda: not proxy.listener.count_clients().http2_streams, 5)
        proxy.gate.resume("a test")
        await check_good_request(peer, 7)
        assert proxy.backend.heads == []


class Streams:
    """Streams whose handler does what a test says, and the workers that serve them."""

    def __init__(self, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun: list[int] = []
        self.served: list[int] = []
        """Those whose handler came to its end."""
        self.cancelled_late: list[int] = []
        shared = cast(Shared, SimpleNamespace(begun_streams=0, idle_workers=0))
        handler = cast(Handler, None)
        self._workers = StreamWorkers(nursery, handler, shared, lambda stream: None)
        monkeypatch.setattr(request_task, "serve", self._serve)

    def begin(self, stream_id: int) -> Http2Stream:
        client = Client(cast(Transport, None), cast(Remote, None), is_one_of_many=True)
        stream = cast(Http2Stream, SimpleNamespace(stream_id=stream_id, client=client))
        self._workers.serve(stream)
        return stream

    async def _serve(self, stream: Http2Stream, *_: object) -> None:
        self.begun.append(stream.stream_id)
        if stream.stream_id in self.cancelled_late:
            stream.client.scope.cancel()
        else:
            await trio.lowlevel.checkpoint()
        self.served.append(stream.stream_id)


async def test_streams_that_arrive_together_begin_in_their_order(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = Streams(nursery, monkeypatch)
    for first in range(0, 10 * MANY, MANY):  # Trio may run the task first that is ready last.
        for stream_id in range(first, first + MANY):
            streams.begin(stream_id)
        await trio.testing.wait_all_tasks_blocked()
    assert streams.begun == list(range(10 * MANY))


async def test_a_cancellation_that_comes_too_late_does_not_reach_the_next_stream(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = Streams(nursery, monkeypatch)
    for first in range(0, 40, 4):
        streams.cancelled_late.append(first + 2)
        for stream_ids in ((first, first + 1), (first + 2, first + 3)):
            for stream_id in stream_ids:
                streams.begin(stream_id)
            await trio.testing.wait_all_tasks_blocked()
    assert sorted(streams.served) == list(range(40))


async def test_to_cancel_a_stream_that_has_ended_does_nothing(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = Streams(nursery, monkeypatch)
    ended = streams.begin(1)
    await trio.testing.wait_all_tasks_blocked()
    streams.begin(2)
    ended.client.scope.cancel()
    await trio.testing.wait_all_tasks_blocked()
    assert streams.served == [1, 2]
