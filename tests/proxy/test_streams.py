"""Streams: nothing waits for them, and the proxy closes them so that clients see a proper end."""

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import CloseCode, Frame, Opcode

from blue_green.http.chunks import chunk
from blue_green.proxy.streams import FRAME_TIMEOUT
from blue_green.proxy.websocket import GOING_AWAY, Frames
from blue_green.routing.lease import cut, end_streams
from blue_green.site.draining import CLOSE_TIMEOUT, close_streams, drain
from tests.raw.backend import Script
from tests.raw.checks import check_good_request_follows, check_is_closed
from tests.raw.messages import GET
from tests.raw.peer import Gone, Peer
from tests.raw.proxy import RunningProxy, running
from tests.raw.tunnels import opened, switches
from tests.waiting import until

EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
CHUNKED = EVENTS + b"Transfer-Encoding: chunked\r\n\r\n"
EVENT = b"data: hello\n\n"
LAST = b"0\r\n\r\n"


def tells(head: bytes = CHUNKED, *pieces: bytes, then: trio.Event | None = None) -> Script:
    """Answers with the head and these pieces, and goes on as long as the proxy listens."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(head + b"".join(pieces or [chunk(EVENT)]))
        if then is not None:
            await then.wait()
            await peer.reset()
        await peer.end()
        raise Gone

    return script


async def until_streams(proxy: RunningProxy, count: int = 1) -> None:
    await until(f"{count} streams", lambda: proxy.target.streams == count)


def end_all(proxy: RunningProxy) -> None:
    assert end_streams(proxy.target.leases)


async def test_an_event_stream_does_not_count_as_a_request_in_flight() -> None:
    async with running(tells()) as proxy:
        client = await proxy.ask(GET)
        await client.until(EVENT)
        await until_streams(proxy)
        assert proxy.target.in_flight == 0
        assert await drain([proxy.target], timeout=5) == 0
        await client.close()


@pytest.mark.parametrize(
    "head",
    [
        CHUNKED.replace(b"text/event-stream;", b"text/event-streams;"),
        CHUNKED.replace(b"Content-Type", b"X-Content-Type"),
        EVENTS + b"Content-Length: 100\r\n\r\n",  # It has an end, which is worth waiting for.
    ],
)
async def test_other_responses_count_as_requests_in_flight(head: bytes) -> None:
    async with running(tells(head)) as proxy:
        client = await proxy.ask(GET)
        await client.until(EVENT)
        assert (proxy.target.in_flight, proxy.target.streams) == (1, 0)
        await client.close()


async def test_an_event_stream_for_a_post_is_a_request_and_never_looks_whole_when_cut() -> None:
    async with running(tells()) as proxy:
        client = await proxy.ask(GET.replace(b"GET / ", b"POST / "))
        await client.until(EVENT)
        assert (proxy.target.in_flight, proxy.target.streams) == (1, 0)
        assert cut(proxy.target.leases) == 1
        assert LAST not in await client.end()


@pytest.mark.parametrize("name", [b"Content-Type:", b"content-type: ", b"CONTENT-TYPE: "])
async def test_an_event_stream_ends_with_its_last_chunk_and_then_its_connection(
    name: bytes,
) -> None:
    async with running(tells(CHUNKED.replace(b"Content-Type: ", name))) as proxy:
        client = await proxy.ask(GET)
        await client.until(EVENT)
        await until_streams(proxy)
        end_all(proxy)
        assert await client.until(LAST) == b"\r\n" + LAST
        await proxy.until_drained()
        assert proxy.gate.tally.cut == 0
        await proxy.backend.connections[0].gone.wait()
        await check_is_closed(client)


@pytest.mark.parametrize("head", [CHUNKED, EVENTS + b"\r\n"])
async def test_an_event_stream_that_ends_with_its_connection_is_closed_in_order(
    head: bytes,
) -> None:
    pieces = [chunk(EVENT)] if head is CHUNKED else [EVENT]
    async with running(tells(head, *pieces)) as proxy:
        client = await proxy.ask(b"GET / HTTP/1.0\r\n\r\n")
        assert (await client.until(EVENT)).endswith(b"\r\n\r\n" + EVENT)
        await until_streams(proxy)
        end_all(proxy)
        await check_is_closed(client)


async def test_an_event_stream_whose_backend_is_stopped_ends_properly() -> None:
    """Also when the backend dies without a last chunk, in the middle of one."""
    dies = trio.Event()
    async with running(tells(CHUNKED, chunk(EVENT), b"ff\r\nhalf", then=dies)) as proxy:
        client = await proxy.ask(GET)
        await client.until(b"half")
        await until_streams(proxy)
        proxy.target.is_stopping = True
        dies.set()
        assert await client.until(LAST) == b"\r\n" + LAST
        await check_is_closed(client)
        proxy.target.is_stopping = False


async def test_an_event_stream_whose_backend_crashes_is_cut() -> None:
    dies = trio.Event()
    async with running(tells(CHUNKED, chunk(EVENT), then=dies)) as proxy:
        client = await proxy.ask(GET)
        await client.until(EVENT)
        dies.set()
        assert LAST not in await client.end()
        assert client.was_reset


async def test_a_client_that_reads_nothing_does_not_delay_the_end_of_its_stream() -> None:
    async def pours(peer: Peer) -> None:
        await peer.request()
        peer.small_buffers()
        await peer.send(CHUNKED)
        while True:
            await peer.stream.send_all(chunk(b"x" * 60_000))

    async with running(pours) as proxy:
        client = await proxy.ask(GET)
        client.small_buffers()
        await until_streams(proxy)
        await trio.testing.wait_all_tasks_blocked(0.2)
        began = trio.current_time()
        assert await close_streams([proxy.target], 0.1) == 1
        await proxy.until_drained()
        assert trio.current_time() - began < CLOSE_TIMEOUT + 2
        assert proxy.gate.tally.cut == 1
        await check_good_request_follows(proxy)


# --- WebSockets -----------------------------------------------------------------------------


def frame(opcode: Opcode, data: bytes, *, mask: bool = False) -> bytes:
    return Frame(opcode, data).serialize(mask=mask)


HELLO = frame(Opcode.TEXT, b"hello")


def talks(*pieces: bytes, said: list[bytes] | None = None) -> Script:
    """Sends each of these as it is let go, and notes what comes to the end."""

    async def then(peer: Peer) -> None:
        for piece in pieces:
            await peer.send(piece)
        (said if said is not None else []).append(await peer.end())

    return switches(then)


async def test_a_websocket_ends_with_a_going_away_close_frame() -> None:
    said: list[bytes] = []

    async def closes(peer: Peer) -> None:
        await peer.send(HELLO)
        said.append(await peer.exactly(len(farewell)))  # As it must when a close frame comes.

    farewell = frame(Opcode.CLOSE, GOING_AWAY[2:], mask=True)
    async with running(switches(closes)) as proxy:
        client = await opened(proxy)
        assert await client.exactly(len(HELLO)) == HELLO
        end_all(proxy)
        assert await client.exactly(4) == GOING_AWAY
        assert int.from_bytes(GOING_AWAY[2:]) == CloseCode.SERVICE_RESTART
        await client.send(farewell)
        await check_is_closed(client)
        await until("the backend heard it", lambda: said == [farewell])
        await proxy.until_drained()
        assert proxy.gate.tally.cut == 0


async def test_a_websocket_is_closed_only_after_a_whole_frame() -> None:
    goes_on = trio.Event()
    data = frame(Opcode.BINARY, b"x" * 300)

    async def pauses(peer: Peer) -> None:
        await peer.send(HELLO + data[:-100])
        await goes_on.wait()
        await peer.send(data[-100:] + HELLO)
        await peer.end()

    async with running(switches(pauses)) as proxy:
        client = await opened(proxy)
        await client.exactly(len(HELLO) + len(data) - 100)
        end_all(proxy)
        await trio.testing.wait_all_tasks_blocked()
        assert client.has_nothing()
        goes_on.set()
        assert await client.exactly(104) == data[-100:] + GOING_AWAY
        await client.close()


async def test_a_websocket_whose_frame_never_ends_is_closed() -> None:
    async with running(talks(HELLO[:4])) as proxy:
        client = await opened(proxy)
        await client.exactly(4)
        began = trio.current_time()
        end_all(proxy)
        await check_is_closed(client)
        assert trio.current_time() - began < FRAME_TIMEOUT + 2


async def test_a_websocket_closed_by_its_backend_gets_no_second_close_frame() -> None:
    goodbye = frame(Opcode.CLOSE, b"\x03\xe8")
    async with running(talks(HELLO + goodbye)) as proxy:
        client = await opened(proxy)
        await client.exactly(len(HELLO + goodbye))
        end_all(proxy)
        await check_is_closed(client)


async def test_a_websocket_whose_backend_is_stopped_ends_with_a_close_frame() -> None:
    dies = trio.Event()

    async def then(peer: Peer) -> None:
        await peer.send(HELLO)
        await dies.wait()
        await peer.reset()

    async with running(switches(then)) as proxy:
        client = await opened(proxy)
        await client.exactly(len(HELLO))
        proxy.target.is_stopping = True
        dies.set()
        assert await client.exactly(4) == GOING_AWAY
        await check_is_closed(client)
        proxy.target.is_stopping = False


frames = st.lists(
    st.tuples(
        st.sampled_from([Opcode.TEXT, Opcode.BINARY, Opcode.CONT]),
        st.sampled_from([0, 1, 125, 126, 127, 65535, 65536]),
        st.booleans(),
    ),
    min_size=1,
    max_size=4,
)


@given(frames, st.data())
def test_frames_are_parsed_in_whatever_pieces_they_arrive(
    made: list[tuple[Opcode, int, bool]], data: st.DataObject
) -> None:
    written = [frame(opcode, b"x" * size, mask=mask) for opcode, size, mask in made]
    whole, follower = b"".join(written), Frames()
    ends = {sum(map(len, written[:number])) for number in range(1, len(written) + 1)}
    at = 0
    while at < len(whole):
        step = data.draw(st.integers(1, max(20, len(whole) // 3)))
        only_this = data.draw(st.booleans())
        taken = follower.follow(whole[at : at + step], only_this=only_this)
        if only_this and not (at in ends or at == 0):
            assert not any(at < end < at + taken for end in ends)
        elif not only_this:
            assert taken == len(whole[at : at + step])
        at += taken
        assert follower.are_whole == (at in ends or at == 0)
        if only_this and follower.are_whole:
            follower.follow(whole[at : at + 1])
            at += len(whole[at : at + 1])
    assert follower.are_whole
    assert not follower.has_closed
