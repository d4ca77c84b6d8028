"""What holds for plain connections holds for TLS, too."""

import hashlib
import os
import shutil
import socket
import ssl
import subprocess
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing

from blue_green.http.sockets import first_port
from blue_green.http.tls import TlsTransport
from tests.raw.backend import says, silence
from tests.raw.bodies import IN_KERNEL, MB
from tests.raw.checks import (
    check_good_request_follows,
    check_is_closed,
    check_is_kept,
    check_is_refused,
    descriptors,
    until_descriptors_are,
)
from tests.raw.messages import CHUNKED, GET, GOOD, OK, POST
from tests.raw.peer import Peer
from tests.raw.proxy import SHORT, running
from tests.raw.tls_client import PemPair, TlsStream, trusting, write_pair
from tests.raw.tunnels import FRAMES, echoes, opened, switches
from tests.raw.waiting import patience, until_still
from tests.waiting import until


@pytest.fixture
def tls(tmp_path: Path) -> PemPair:
    return write_pair(tmp_path)


# --- requests and answers -------------------------------------------------------------------


ANSWERS = {
    "a length": (GET, OK, b"ok"),
    "chunked": (
        GET,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: t\r\n\r\n",
        b"ok",
    ),
    "until the end": (GET, b"HTTP/1.1 200 OK\r\n\r\nok", b"ok"),
    "none": (GET, b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    "to HEAD": (
        b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
        b"",
    ),
}


@pytest.mark.parametrize(("request_", "answer", "body"), ANSWERS.values(), ids=ANSWERS)
async def test_responses_with_any_kind_of_body_arrive_over_tls(
    tls: PemPair, request_: bytes, answer: bytes, body: bytes
) -> None:
    script = says(answer, close=b"Length" not in answer and b"chunked" not in answer)
    async with running(script, tls=tls) as proxy:
        client = await proxy.ask(request_)
        assert (await client.answer(request_.split()[0].decode())).body == body
        await check_is_kept(client)


BODIES = {
    "a length": POST + b"hello",
    "chunked": CHUNKED + b"3\r\nhel\r\n2\r\nlo\r\n0\r\nX-Sum: 1\r\n\r\n",
    "expected": POST.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\nhello"),
}


@pytest.mark.parametrize("raw", BODIES.values(), ids=BODIES)
async def test_requests_with_any_kind_of_body_arrive_over_tls(tls: PemPair, raw: bytes) -> None:
    async with running(tls=tls) as proxy:
        client = await proxy.ask(raw)
        assert (await client.answer()).body == b"ok"
        assert proxy.backend.requests[0].body == b"hello"
        await check_is_kept(client)


async def test_a_response_without_a_length_ends_with_close_notify(
    tls: PemPair,
) -> None:
    async with running(says(b"HTTP/1.1 200 OK\r\n\r\nok", close=True), tls=tls) as proxy:
        client = await proxy.ask(b"GET / HTTP/1.0\r\n\r\n")
        assert (await client.until(b"ok")).startswith(b"HTTP/1.1 200 OK\r\n")
        await check_is_closed(client)


async def test_an_aborted_response_ends_without_close_notify(tls: PemPair) -> None:
    async with running(says(OK[:-1], close=True), tls=tls) as proxy:
        client = await proxy.ask(GET)
        assert (await client.end()).endswith(b"\r\n\r\no")
        assert client.was_reset
        await check_good_request_follows(proxy)


async def test_several_requests_in_one_record_are_answered_in_order(tls: PemPair) -> None:
    async with running(tls=tls) as proxy:
        client = await proxy.ask(GET + POST + b"hello" + GOOD + b"bad\r\n\r\n")
        bodies = [(await client.answer()).body for _ in range(3)]
        assert bodies == [b"ok", b"ok", b"good"]
        assert (await client.answer()).status == 400
        await check_is_closed(client)


async def test_a_request_may_begin_in_the_record_in_which_a_body_ends(tls: PemPair) -> None:
    async with running(tls=tls) as proxy:
        client = await proxy.ask(POST, b"hello" + GOOD)
        assert [(await client.answer()).body for _ in range(2)] == [b"ok", b"good"]


async def test_a_request_may_arrive_in_a_thousand_pieces(tls: PemPair) -> None:
    """Records of one byte, and those cut anywhere."""
    async with running(tls=tls) as proxy:
        client = await proxy.connect()
        assert isinstance(client.stream, TlsStream)
        for byte in POST + b"hello":
            client.stream.tls.write(bytes([byte]))
        encrypted = client.stream.take_encrypted()
        for at in range(0, len(encrypted), 7):
            await client.stream.transport.send_all(encrypted[at : at + 7])
            await trio.lowlevel.checkpoint()
        assert (await client.answer()).body == b"ok"
        assert proxy.backend.requests[0].body == b"hello"


BAD = {
    "two framings": (CHUNKED[:-2] + b"Content-Length: 5\r\n\r\n0\r\n\r\n" + GET, 400),
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "a NUL": (b"GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n", 400),
    "a large head": (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", 431),
    "CONNECT": (b"CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n", 405),
}


@pytest.mark.parametrize(("raw", "status"), BAD.values(), ids=BAD)
async def test_bad_requests_are_refused_over_tls_too(tls: PemPair, raw: bytes, status: int) -> None:
    async with running(tls=tls) as proxy:
        await check_is_refused(proxy, await proxy.ask(raw), [status])


async def test_a_client_that_still_sends_can_read_that_its_body_is_too_large(
    tls: PemPair,
) -> None:
    async with running(tls=tls, max_body=1000) as proxy:
        client = await proxy.ask(
            CHUNKED + b"3e8\r\n" + b"x" * 1000 + b"\r\n", b"fff\r\n" + b"x" * 4095
        )
        assert (await client.answer()).status == 413
        await check_is_closed(client)


# --- what the backend is told ---------------------------------------------------------------


async def test_the_backend_gets_x_forwarded_proto_https_whatever_the_client_sends(
    tls: PemPair,
) -> None:
    async with running(tls=tls) as proxy:
        client = await proxy.ask(GET)
        await client.answer()
        await client.send(b"GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-Proto: http\r\n\r\n")
        await client.answer()
        await client.send(b"GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n")
        await client.answer()
        said = [request.field(b"x-forwarded-proto") for request in proxy.backend.requests]
        assert said == [[b"https"]] * 3


async def test_a_trusted_proxy_may_set_x_forwarded_proto(tls: PemPair) -> None:
    from ipaddress import ip_network

    trusted = (ip_network("127.0.0.1"),)
    async with running(tls=tls, trusted_proxies=trusted) as proxy:
        client = await proxy.ask(b"GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-Proto: http\r\n\r\n")
        await client.answer()
        assert proxy.backend.requests[0].field(b"x-forwarded-proto") == [b"http"]


# --- large bodies ---------------------------------------------------------------------------


async def test_a_large_response_arrives_whole_at_the_clients_pace(tls: PemPair) -> None:
    size = 64 * MB
    block = os.urandom(MB)
    sent = 0

    async def pours(peer: Peer) -> None:
        nonlocal sent
        await peer.request()
        await peer.stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // MB):
            await peer.stream.send_all(block)
            sent += 1

    async with running(pours, tls=tls, buffer_responses=0) as proxy:
        client = await proxy.connect()
        client.small_buffers()
        await client.send(GET)
        await client.until(b"\r\n\r\n")
        await until_still(lambda: sent)
        assert sent < IN_KERNEL
        digest, left = hashlib.sha256(), size
        while left:
            piece = await client.some(left)
            digest.update(piece)
            left -= len(piece)
        assert digest.digest() == hashlib.sha256(block * (size // MB)).digest()
        await check_is_kept(client)


async def test_a_large_upload_and_a_large_download_run_at_the_same_time(tls: PemPair) -> None:
    body = os.urandom(10 * MB)

    async def echo(peer: Peer) -> None:
        await peer.until(b"\r\n\r\n")
        await peer.stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
        left = len(body)
        while left:
            piece = await peer.some(left)
            await peer.stream.send_all(piece)
            left -= len(piece)

    async with running(echo, tls=tls) as proxy:
        client = await proxy.ask(
            b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(body)
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.stream.send_all, body)
            assert (await client.answer()).body == body
        await check_good_request_follows(proxy)


# --- tunnels --------------------------------------------------------------------------------


async def test_a_tunnel_carries_bytes_both_ways_and_ends_with_close_notify(
    tls: PemPair,
) -> None:
    async with running(switches(echoes, early=b"early"), tls=tls) as proxy:
        client = await opened(proxy, early=FRAMES)
        assert await client.exactly(5 + len(FRAMES)) == b"early" + FRAMES
        await client.send(FRAMES)
        assert await client.exactly(len(FRAMES)) == FRAMES
        await client.end_sending()
        await check_is_closed(client)
        await proxy.until_drained()


async def test_either_side_of_a_tunnel_may_end_its_half(tls: PemPair) -> None:
    async def ends_first(peer: Peer) -> None:
        await peer.send(b"bye")
        await peer.end_sending()
        said.append(await peer.end())

    async def ends_last(peer: Peer) -> None:
        said.append(await peer.end())
        await peer.send(b"bye")

    for script in (ends_first, ends_last):
        said: list[bytes] = []
        async with running(switches(script), tls=tls) as proxy:
            client = await opened(proxy)
            if script is ends_first:
                assert await client.end() == b"bye"
                assert not client.was_reset
            await client.send(b"x" * 100_000)
            await client.end_sending()
            if script is ends_last:
                assert await client.end() == b"bye"
                assert not client.was_reset
            await until("the backend's end", lambda said=said: said)
            assert said == [b"x" * 100_000]


async def test_buffered_bytes_are_not_lost_when_our_half_is_closed(tls: PemPair) -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    transport = TlsTransport(ours, tls.table())
    stream = TlsStream(trio.SocketStream(trio.socket.from_stdlib_socket(theirs)))
    records = [bytes([number]) * 1000 for number in range(20)]
    async with stream:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.shake_hands)
            nursery.start_soon(transport.receive)  # Shakes hands, and then waits in vain.
            await until("hands are shaken", stream.tls.version)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        for record in records:
            stream.tls.write(record)
        await stream.send_eof()
        received = await transport.receive(500)
        await transport.send_eof()
        assert await stream.receive_some() == b""
        while more := await transport.receive():
            received += more
        assert received == b"".join(records)
    transport.close()


async def test_a_tunnel_aborted_by_the_client_ends_for_the_backend_too(tls: PemPair) -> None:
    async with running(switches(echoes), tls=tls) as proxy:
        client = await opened(proxy)
        await client.send(b"hello")
        await client.close()  # Without close_notify.
        await proxy.backend.connections[0].gone.wait()
        await proxy.until_drained()
        await check_good_request_follows(proxy)


# --- clients that go ------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("raw", [GET, POST, POST + b"hello"], ids=["GET", "no body yet", "POST"])
async def test_a_client_that_disconnects_while_held_leaves_the_queue(
    tls: PemPair, raw: bytes, how: str
) -> None:
    async with running(tls=tls, buffer_requests=0) as proxy:
        proxy.gate.hold("test")
        client = await proxy.ask(raw)
        await until("it is held", lambda: proxy.gate.held == 1)
        await getattr(client, how)()
        await until("nothing is held", lambda: proxy.gate.held == 0)
        proxy.gate.resume("test")
        await check_good_request_follows(proxy)
        assert proxy.backend.heads == []


@pytest.mark.parametrize("how", ["close", "reset", "end_sending"])
@pytest.mark.parametrize("raw", [POST + b"hel", CHUNKED + b"5\r\nhel"], ids=["length", "chunked"])
async def test_an_aborted_body_is_never_completed(tls: PemPair, raw: bytes, how: str) -> None:
    async with running(silence, tls=tls, buffer_requests=0) as proxy:
        client = await proxy.ask(raw)
        await proxy.until_backend_has(1)
        await getattr(client, how)()
        await proxy.backend.connections[0].gone.wait()
        assert proxy.backend.requests == []
        await proxy.until_drained()
        await check_good_request_follows(proxy)


async def test_connections_leave_no_descriptors_behind(tls: PemPair) -> None:
    async with running(tls=tls) as proxy:
        await check_good_request_follows(proxy)
        before = descriptors()
        for number in range(12):
            client = await proxy.connect()
            if number % 3:
                await client.send(GET)
                await client.answer()
            await (client.reset() if number % 2 else client.close())
        for _ in range(5):
            client = await proxy.connect_plainly()
            await client.send(b"\x16\x03\x01")
            await client.close()
        await until_descriptors_are(before)


async def test_an_idle_client_gets_close_notify(tls: PemPair) -> None:
    async with running(tls=tls, idle_timeout=SHORT) as proxy:
        client = await proxy.ask(GET)
        assert (await client.answer()).body == b"ok"
        await check_is_closed(client)


# --- handshakes -----------------------------------------------------------------------------


HELLO_BEGINS = b"\x16\x03\x01\x02\x00\x01"


@pytest.mark.parametrize("first", [b"", HELLO_BEGINS], ids=["nothing", "half a hello"])
async def test_half_a_handshake_times_out_without_delaying_others(
    tls: PemPair, first: bytes
) -> None:
    async with running(tls=tls, header_timeout=SHORT) as proxy:
        slow = [await proxy.connect_plainly() for _ in range(50)]
        for client in slow:
            await client.send(first)
        await check_good_request_follows(proxy)
        for client in slow:
            assert await client.end() == b""
        await check_good_request_follows(proxy)


async def test_a_handshake_counts_as_a_connection(tls: PemPair) -> None:
    async with running(tls=tls, max_connections=1, header_timeout=SHORT) as proxy:
        silent = await proxy.connect_plainly()
        await trio.testing.wait_all_tasks_blocked()
        assert proxy.listener.connections == 1
        await check_good_request_follows(proxy)  # When the silent one's time was up.
        assert await silent.end() == b""


async def test_garbage_gets_a_tls_alert(tls: PemPair) -> None:
    async with running(tls=tls) as proxy:
        client = await proxy.connect_plainly()
        await client.send(b"\x16\x03\x01\x00\x10" + b"\xff" * 16)
        alert = await client.end()
        assert alert[:1] == b"\x15", alert  # RFC 8446 section 5.1: the type of a record.
        assert not client.was_reset
        await check_good_request_follows(proxy)


async def test_plain_http_on_a_tls_port_is_answered_with_an_explanation(tls: PemPair) -> None:
    async with running(tls=tls) as proxy:
        client = await proxy.connect_plainly()
        await client.send(GET)
        answer = await client.answer()
        assert answer.status == 400
        assert b"https" in answer.body
        assert dict(proxy.gate.by_status) == {400: 1}
        await check_is_closed(client)
        assert proxy.backend.heads == []
        await check_good_request_follows(proxy)


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_tls_1_2_and_1_3_and_http_1_1_are_negotiated(
    tls: PemPair, newest: ssl.TLSVersion
) -> None:
    async with running(tls=tls) as proxy:
        context = trusting()
        context.maximum_version = newest
        context.set_alpn_protocols(["http/1.1"])
        stream = TlsStream(await trio.open_tcp_stream("127.0.0.1", proxy.port), context)
        await stream.shake_hands()
        assert stream.tls.version() == newest.name.replace("_", ".")
        assert stream.tls.selected_alpn_protocol() == "http/1.1"
        client = Peer(stream)
        proxy.clients.append(client)
        await check_is_kept(client)


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs the program openssl")
async def test_a_client_may_update_its_keys_at_any_time(tls: PemPair) -> None:
    """And wants ours changed, too (RFC 8446 section 4.6.3): this program sends that when told K."""
    async with running(tls=tls) as proxy, trio.open_nursery() as nursery:
        changing = ((b"K\n", b"KEYUPDATE"), (GET, b"\nok"))
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{proxy.port}"]
        process: trio.Process = await nursery.start(
            partial(
                trio.run_process,
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
            )
        )
        assert process.stdin is not None
        assert process.stdout is not None
        for sent, awaited in ((b"", b"verify return"), *changing, *changing):
            said = bytearray()
            await process.stdin.send_all(sent)
            with patience(f"waiting for {awaited!r}", said.copy):
                while awaited not in said:
                    said += await process.stdout.receive_some()
        nursery.cancel_scope.cancel()


async def test_stopping_the_server_ends_a_handshake(tls: PemPair) -> None:
    async with running(tls=tls) as proxy:
        silent = await proxy.connect_plainly()
        idle = await proxy.ask(GET)
        await idle.answer()
        await until("both are there", lambda: proxy.listener.connections == 2)
        assert await proxy.listener.drain(5) == 0
        assert await silent.end() == b""
        await check_is_closed(idle)


def test_a_unix_socket_may_speak_tls(tls: PemPair) -> None:
    with socket.socket(socket.AF_UNIX) as unix, socket.socket() as tcp:
        tcp.bind(("127.0.0.1", 0))
        assert first_port([unix]) == 443
        assert first_port([unix, tcp]) == tcp.getsockname()[1]
