"""What is sent on a connection, and how streams share it."""

import socket
from collections.abc import Iterator

import h2.config
import h2.connection
import h2.events
import pytest
import trio
from attrs import define, field
from hpack import HeaderTuple
from trio.testing import wait_all_tasks_blocked

from blue_green.http.transport import Transport
from blue_green.http2.frames import write_window_update
from blue_green.http2.session import Session, SessionLimits
from blue_green.proxy.http2.frame_writer import MOST_COLLECTED, FrameWriter
from tests.support.http2_wire import request_fields

LARGE_WINDOW = 2**30
STATUS = [HeaderTuple(b":status", b"200")]


@define
class SessionWithClient:
    """A session with a client at the other end of a socket pair."""

    ours: socket.socket
    theirs: socket.socket
    session: Session = field(factory=lambda: Session(SessionLimits()))
    client: h2.connection.H2Connection = field(
        factory=lambda: h2.connection.H2Connection(h2.config.H2Configuration())
    )
    lost: int = 0
    got: dict[int, int] = field(factory=dict)
    """Bytes of data that the client got, by stream."""
    order: list[int] = field(factory=list)
    """The streams of the DATA frames, in their order."""

    def writer(self) -> FrameWriter:
        return FrameWriter(Transport(self.ours), self.session, self.note_lost)

    def note_lost(self) -> None:
        self.lost += 1

    def open(
        self, count: int, window: int = LARGE_WINDOW, *, of_all: int = LARGE_WINDOW
    ) -> list[int]:
        """Open streams whose windows are so large, and widen that of the connection."""
        self.client.initiate_connection()
        self.client.update_settings({4: window})
        if of_all:
            self.client.increment_flow_control_window(of_all)
        ids = []
        for _ in range(count):
            ids.append(stream_id := self.client.get_next_available_stream_id())
            self.client.send_headers(stream_id, request_fields(), end_stream=True)
        self.session.receive(self.client.data_to_send())
        while self.session.has_frame:
            self.session.step()
        for stream_id in ids:
            self.session.send_head(stream_id, STATUS, end=False)
        return ids

    def read(self) -> int:
        """Read what is there; how many bytes that was."""
        try:
            data = self.theirs.recv(1 << 20)
        except BlockingIOError:
            return 0
        for event in self.client.receive_data(data):
            if isinstance(event, h2.events.DataReceived) and event.data:
                stream_id = event.stream_id or 0
                self.got[stream_id] = self.got.get(stream_id, 0) + len(event.data)
                self.order.append(stream_id)
        return len(data)


@pytest.fixture
def connected() -> Iterator[SessionWithClient]:
    ours, theirs = socket.socketpair()
    for sock in (ours, theirs):
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    with ours, theirs:
        yield SessionWithClient(ours, theirs)


async def send_all(
    connected: SessionWithClient, writer: FrameWriter, stream_id: int, size: int
) -> None:
    """Send so many bytes on a stream, as a stream does."""
    rest: bytes | memoryview = bytes(size)
    while rest := writer.send_data(stream_id, rest, end=True):
        if not writer.has_room(stream_id):
            await writer.until_room()


async def read_until(connected: SessionWithClient, total: int) -> None:
    with trio.fail_after(10):
        while sum(connected.got.values()) < total:
            if not connected.read():
                await trio.lowlevel.wait_readable(connected.theirs)


async def test_a_sole_stream_sends_at_once(connected: SessionWithClient) -> None:
    [stream_id] = connected.open(1)
    assert connected.writer().send_data(stream_id, b"now", end=True) == b""
    connected.read()
    assert connected.got == {stream_id: 3}


async def test_several_streams_send_together_in_the_next_turn(connected: SessionWithClient) -> None:
    first, second = connected.open(2)
    writer = connected.writer()
    writer.is_shared = True
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        writer.send_data(first, b"one", end=True)
        writer.send_data(second, b"two", end=True)
        assert not connected.read()
        await wait_all_tasks_blocked()
        connected.read()
        assert connected.got == {first: 3, second: 3}
        nursery.cancel_scope.cancel()


async def test_what_waits_for_the_socket_has_a_bound(connected: SessionWithClient) -> None:
    [stream_id] = connected.open(1)
    writer = connected.writer()
    rest = writer.send_data(stream_id, bytes(10 * MOST_COLLECTED), end=True)
    assert len(rest) > 8 * MOST_COLLECTED
    assert MOST_COLLECTED <= writer.collected < MOST_COLLECTED + 100  # The frames' headers.
    assert writer.send_data(stream_id, rest, end=True) == rest


async def test_streams_take_turns(connected: SessionWithClient) -> None:
    ids = connected.open(3)
    writer = connected.writer()
    writer.is_shared = True
    size = 10 * MOST_COLLECTED
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        for stream_id in ids:
            nursery.start_soon(send_all, connected, writer, stream_id, size)
        await read_until(connected, 3 * size)
        nursery.cancel_scope.cancel()
    assert connected.got == dict.fromkeys(ids, size)
    half = connected.order[: len(connected.order) // 2]
    assert set(half) == set(ids)


async def test_a_stream_that_is_cancelled_in_its_turn_does_not_stop_the_others(
    connected: SessionWithClient,
) -> None:
    first, second = connected.open(2)
    writer = connected.writer()
    writer.is_shared = True
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as cancelled:
                cancelled.start_soon(send_all, connected, writer, first, 4 * MOST_COLLECTED)
                await wait_all_tasks_blocked()
                nursery.start_soon(send_all, connected, writer, second, MOST_COLLECTED)
                await wait_all_tasks_blocked()
                scope.cancel()
        writer.is_shared = False
        writer.flush_soon()
        with trio.fail_after(10):
            while connected.got.get(second, 0) < MOST_COLLECTED:
                if not connected.read():
                    await trio.lowlevel.wait_readable(connected.theirs)
        nursery.cancel_scope.cancel()


async def test_streams_that_wait_for_the_window_of_the_connection_take_turns(
    connected: SessionWithClient,
) -> None:
    ids = connected.open(100, of_all=0)
    while room := connected.session.room(ids[0]):
        connected.session.send_data(ids[0], bytes(min(room, MOST_COLLECTED)), end=False)
    connected.session.take_output()
    writer = connected.writer()
    writer.is_shared = True
    woken = 0

    async def send(stream_id: int) -> None:
        nonlocal woken
        rest: bytes | memoryview = b"xy"
        while rest := writer.send_data(stream_id, rest, end=True):
            await writer.until_room()
            woken += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        for stream_id in ids[1:]:
            nursery.start_soon(send, stream_id)
        for _ in range(10):
            await wait_all_tasks_blocked()
            connected.session.receive(write_window_update(0, 1))
            connected.session.step()
            writer.pass_on()
        nursery.cancel_scope.cancel()
    assert woken == 10


async def test_no_more_is_sent_than_the_windows_allow(connected: SessionWithClient) -> None:
    [stream_id] = connected.open(1, window=10)
    writer = connected.writer()
    rest = writer.send_data(stream_id, b"0123456789abc", end=True)
    assert rest == b"abc"
    assert not writer.has_room(stream_id)


async def test_all_is_sent_once_the_socket_has_taken_it(connected: SessionWithClient) -> None:
    [stream_id] = connected.open(1)
    writer = connected.writer()
    writer.send_data(stream_id, bytes(MOST_COLLECTED), end=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        nursery.start_soon(read_until, connected, MOST_COLLECTED)
        with trio.fail_after(10):
            await writer.until_drained()
        assert not writer.collected
        nursery.cancel_scope.cancel()


async def test_a_connection_that_fails_is_reported_and_nobody_waits_for_it(
    connected: SessionWithClient,
) -> None:
    [stream_id] = connected.open(1)
    writer = connected.writer()
    connected.theirs.close()
    writer.send_data(stream_id, b"into the void", end=True)
    assert connected.lost
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        with trio.fail_after(10):
            await writer.until_drained()
        nursery.cancel_scope.cancel()
