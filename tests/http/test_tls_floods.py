"""The cost of TLS is bounded: records, handshakes, key updates and memory."""

import math
import os
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import trio
import trio.testing
import trustme

from blue_green.http import handshake as module
from blue_green.http.connected import has_gone
from blue_green.http.handshake import IN_LOOP, IN_THREADS
from blue_green.http.records import MOST_AT_ONCE, Records
from blue_green.http.tls import MOST_ENCRYPTED, MOST_PENDING, TlsTransport
from blue_green.http.transport import BLOCK
from blue_green.http.turns import AT_ONCE, IN_ITERATION, Turns
from tests.hostile.attacks.tls import Updater, hello, what_is_missing
from tests.raw.backend import says
from tests.raw.messages import OK
from tests.raw.proxy import running
from tests.raw.tls_client import PemPair, TlsStream, write_pair
from tests.raw.waiting import patience, until_still
from tests.support.iterations import counting_iterations
from tests.waiting import until

RECORD = 16 * 1024 + 100
"""Bytes, at most."""


@pytest.fixture
def tls(tmp_path: Path) -> PemPair:
    return write_pair(tmp_path)


@pytest.fixture
def pair(
    tls: PemPair, request: pytest.FixtureRequest
) -> Iterator[tuple[TlsTransport, socket.socket]]:
    """Our end of a connection whose buffers are soon full, and the socket at the other."""
    size = getattr(request, "param", 4096)
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as theirs:
        for sock in (listener, theirs):
            for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                sock.setsockopt(socket.SOL_SOCKET, buffer, size)
        theirs.connect(listener.getsockname())
        ours, _ = listener.accept()
        ours.setblocking(False)
        with closing(TlsTransport(ours, tls.table())) as transport:
            yield transport, theirs


async def shaken(transport: TlsTransport, theirs: socket.socket) -> TlsStream:
    theirs.setblocking(False)
    stream = TlsStream(trio.SocketStream(trio.socket.from_stdlib_socket(theirs)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.shake_hands)
        nursery.start_soon(transport.readable)
    return stream


@pytest.mark.parametrize("pair", [200_000], indirect=True)
async def test_no_more_is_encrypted_at_once_than_the_kernel_has_room_for(
    pair: tuple[TlsTransport, socket.socket],
) -> None:
    transport, theirs = pair
    await shaken(transport, theirs)
    assert transport.room() == BLOCK
    while not transport.send_now(bytes(100_000)):
        pass
    assert transport.room() == MOST_ENCRYPTED


@pytest.mark.parametrize("pair", [4096, 200_000], indirect=True)
async def test_little_is_encrypted_ahead_for_a_client_that_does_not_read(
    pair: tuple[TlsTransport, socket.socket],
) -> None:
    transport, theirs = pair
    stream = await shaken(transport, theirs)
    answer = bytes(range(256)) * 4 * 1024
    rest: bytes | memoryview = answer
    while len(rest := transport.send_now(rest)) > 0:
        before = len(rest)
        rest = transport.send_now(rest)
        if len(rest) == before:
            break
    held = transport.encrypted_unsent
    assert held <= MOST_ENCRYPTED + 1024, "it encrypts no more than what is on its way"
    received = b""

    async def read() -> None:
        nonlocal received
        while len(received) < len(answer):
            received += await stream.receive_some()

    with patience("the answer", lambda: len(received)):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            while rest:
                await trio.lowlevel.wait_writable(transport.sock)
                rest = transport.send_now(rest)
    assert received == answer


async def test_no_handshake_is_done_for_a_client_that_has_gone(
    pair: tuple[TlsTransport, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    transport, theirs = pair
    theirs.sendall(hello())
    handshakes: list[object] = []
    monkeypatch.setattr(ssl.SSLContext, "wrap_bio", lambda *_, **__: handshakes.append(None))
    theirs.close()
    await until("it has gone", lambda: has_gone(transport.sock))
    assert await transport.receive() == b""
    assert handshakes == []


@pytest.mark.parametrize(("kind", "place"), [("ECDSA", IN_LOOP), ("RSA", IN_THREADS)])
async def test_the_number_of_waiting_handshakes_is_bounded(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    place: Turns | trio.CapacityLimiter,
) -> None:
    tls = write_pair(tmp_path, key_type=trustme.KeyType[kind])
    monkeypatch.setattr(module, "MOST_WAITING", 3)
    async with running(says(OK), tls=tls) as proxy:
        with taken(place):
            early = [await trio.open_tcp_stream("127.0.0.1", proxy.port) for _ in range(3)]
            for stream in early:
                await stream.send_all(hello())
            await until("they wait", lambda: waiting(place) == 3)
            async with await trio.open_tcp_stream("127.0.0.1", proxy.port) as late:
                with patience("its end", lambda: None):
                    with pytest.raises(trio.BrokenResourceError):
                        await late.send_all(hello())
                        assert await late.receive_some() == b""
                        raise trio.BrokenResourceError
        for stream in early:
            with patience("its handshake", lambda: None):
                assert await stream.receive_some() != b""
            await stream.aclose()


@contextmanager
def taken(place: Turns | trio.CapacityLimiter) -> Iterator[None]:
    """A block in which nothing is computed there."""
    if isinstance(place, Turns):
        queue = place.__dict__["_queue"]
        for _ in range(IN_ITERATION):
            queue.acquire_nowait()
        place.__dict__.update(_since=math.inf, _left=0)
        yield
        place.__dict__["_since"] = 0.0
        for _ in range(IN_ITERATION):
            queue.release()
    else:
        holders = [object() for _ in range(int(place.total_tokens))]
        for holder in holders:
            place.acquire_on_behalf_of_nowait(holder)
        yield
        for holder in holders:
            place.release_on_behalf_of(holder)


def waiting(place: Turns | trio.CapacityLimiter) -> int:
    return place.waiting if isinstance(place, Turns) else place.statistics().tasks_waiting


@pytest.mark.skipif(bool(what_is_missing()), reason=what_is_missing())
async def test_a_client_that_updates_its_keys_endlessly_is_read_no_further(
    pair: tuple[TlsTransport, socket.socket],
) -> None:
    """Each update is to be answered, and nobody takes the answers: then there are no more."""
    transport, theirs = pair
    updater = Updater(theirs)
    thread = threading.Thread(target=updater.run, daemon=True)
    thread.start()

    async def read() -> None:
        while transport.try_receive() is None:
            await transport.readable()

    async with counting_iterations() as iterations, trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await until("it owes something", lambda: transport.encrypted_unsent > MOST_PENDING)
        await until_still(lambda: updater.sent)
        nursery.cancel_scope.cancel()
    # As much on its way, of which the socket took a part, and as much again behind it.
    assert transport.encrypted_unsent < 2 * (MOST_PENDING + MOST_AT_ONCE * 100)
    assert iterations.count > 50
    theirs.shutdown(socket.SHUT_RDWR)
    thread.join(5)


@pytest.mark.skipif(bool(what_is_missing()), reason=what_is_missing())
async def test_only_a_few_key_updates_are_processed_between_two_checkpoints(
    pair: tuple[TlsTransport, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often something tries to read without a checkpoint."""
    transport, theirs = pair
    taken, portion = 0, Records.portion

    def counted(records: Records) -> bytes:
        nonlocal taken
        data = portion(records)
        taken += len(data)
        return data

    monkeypatch.setattr(Records, "portion", counted)
    updater = Updater(theirs)
    thread = threading.Thread(target=updater.run, args=[20], daemon=True)
    thread.start()
    most = 0

    def look_often() -> bool:
        nonlocal most, taken
        taken = 0
        for _ in range(20):
            if transport.try_receive() is not None:
                return True
            most = max(most, taken)
        return False

    while not look_often():
        with trio.move_on_after(0.2) as patiently:
            await transport.readable()
        if patiently.cancelled_caught and updater.sent == 20:
            break
    theirs.shutdown(socket.SHUT_RDWR)
    thread.join(5)
    assert updater.sent == 20
    assert 0 < most <= (MOST_AT_ONCE + 1) * 60


async def test_only_a_few_handshakes_are_computed_in_one_iteration(tls: PemPair) -> None:
    """However many clients send their hellos at the same time."""
    connections = 60
    async with running(says(OK), tls=tls) as proxy:
        streams = [await trio.open_tcp_stream("127.0.0.1", proxy.port) for _ in range(connections)]
        first = hello()
        async with counting_iterations() as iterations:
            for stream in streams:
                os.write(stream.socket.fileno(), first)
            began = iterations.count
            for stream in streams:
                with patience("its answer", lambda: None):
                    assert await stream.receive_some() != b""
        assert iterations.count - began > connections / (AT_ONCE + IN_ITERATION)
        for stream in streams:
            await stream.aclose()


async def test_turns_are_given_in_order_and_few_at_once() -> None:
    turns, given = Turns(), []

    async def take(number: int) -> None:
        await turns.wait()
        given.append((number, iterations.count))

    async with counting_iterations() as iterations:
        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(take, number)
                while len(given) + turns.waiting <= number:
                    await trio.lowlevel.checkpoint()
    queued = [number for number, _ in given]
    assert sorted(queued) == list(range(50))
    in_one = Counter(iteration for _, iteration in given)
    assert max(in_one.values()) <= AT_ONCE + IN_ITERATION
