"""Handshakes: which certificate a client gets, and how those end that get none."""

import ssl
from contextlib import suppress
from typing import Any

import pytest
import trio
import trio.testing
import trustme

from blue_green.certificates import sessions
from blue_green.certificates.challenges import ACME_TLS
from blue_green.certificates.pem import HTTP1, HTTP2, server_context
from blue_green.certificates.table import CertificateTable
from blue_green.http import client_hello, handshake
from blue_green.http.client_hello import ClientHello
from blue_green.http.turns import Turns
from tests.raw.handshakes import connected, names_of, without_name
from tests.raw.proxy import running
from tests.raw.tls_client import TlsStream, authority, entry_for, table_of, trusting
from tests.raw.waiting import patience

A, B = "a.example", "b.example"
VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
KINDS = ("ECDSA", "RSA")

RETRY = bytes.fromhex("cf21ad74e59a6111")
"""How the random number of a HelloRetryRequest begins (RFC 8446 section 4.1.3)."""
UNRECOGNIZED_NAME, INTERNAL_ERROR, NO_APPLICATION_PROTOCOL = (
    "unrecognized name",
    "alert internal error",
    "alert no application protocol",
)
"""What OpenSSL calls the alerts."""


@pytest.fixture
def table() -> CertificateTable:
    return table_of(A, B)


def of_version(version: ssl.TLSVersion) -> ssl.SSLContext:
    context = trusting()
    context.maximum_version = version
    return context


def only_p256() -> ssl.SSLContext:
    """A context that does not take the key share that clients send first."""
    context = server_context()
    context.set_ecdh_curve("prime256v1")
    return context


async def check_alert(table: CertificateTable, alert: str, name: str, *protocols: str) -> None:
    context = without_name()
    if protocols:
        context.set_alpn_protocols(protocols)
    async with connected(table) as both:
        with pytest.raises(ssl.SSLError) as caught:
            await both.shake(name, context)
        assert alert in str(caught.value)


# --- the server name ------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", [A, B])
async def test_a_client_gets_the_certificate_of_the_host_that_it_names(
    table: CertificateTable, name: str, version: ssl.TLSVersion
) -> None:
    async with connected(table) as both:
        tls = await both.shake(name, of_version(version))
        assert names_of(tls) == [name]
        assert tls.version() == version.name.replace("_", ".")


async def test_an_unknown_name_gets_the_alert_for_that(table: CertificateTable) -> None:
    await check_alert(table, UNRECOGNIZED_NAME, "c.example")
    await check_alert(CertificateTable(), UNRECOGNIZED_NAME, A)


async def test_a_host_whose_certificate_will_not_come_gets_an_alert(
    table: CertificateTable,
) -> None:
    table.entry(A).loaded = None
    await check_alert(table, INTERNAL_ERROR, A)
    table.entry(A).coming = coming = trio.Event()
    coming.set()
    await check_alert(table, INTERNAL_ERROR, A)
    async with connected(table) as both:
        await both.shake(B)


@pytest.mark.parametrize(
    ("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("::1", "0:0:0:0:0:0:0:1")]
)
async def test_a_client_without_a_name_gets_the_certificate_of_its_address(
    table: CertificateTable, host: str, shown: str
) -> None:
    table.entry(f"[{host}]" if ":" in host else host).loaded = entry_for(host).loaded
    async with connected(table, host) as both:
        assert names_of(await both.shake(None, without_name())) == [shown]


async def test_a_client_without_a_name_gets_the_default_or_the_alert(
    table: CertificateTable,
) -> None:
    async with connected(table) as both:
        with pytest.raises(ssl.SSLError) as caught:
            await both.shake(None, without_name())
        assert UNRECOGNIZED_NAME in str(caught.value)
    table.default = entry_for("any.example")
    async with connected(table) as both:
        assert names_of(await both.shake(None, without_name())) == ["any.example"]


async def test_one_certificate_for_all_is_served_for_any_name(table: CertificateTable) -> None:
    table.default = entry_for("any.example")
    for name, expected in ((A, A), ("c.example", "any.example"), ("under_score", "any.example")):
        async with connected(table) as both:
            assert names_of(await both.shake(name, without_name())) == [expected]


# --- ALPN -----------------------------------------------------------------------------------


async def test_a_client_that_offers_only_protocols_that_we_do_not_speak_gets_an_alert(
    table: CertificateTable,
) -> None:
    await check_alert(table, NO_APPLICATION_PROTOCOL, A, "ftp")
    await check_alert(table, NO_APPLICATION_PROTOCOL, A, ACME_TLS)
    async with connected(table) as both:
        context = trusting()
        context.set_alpn_protocols(["ftp", "http/1.1"])
        assert (await both.shake(A, context)).selected_alpn_protocol() == "http/1.1"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("ours", "offered", "agreed"),
    [
        (HTTP2, ("http/1.1", "h2"), "h2"),
        (HTTP2, ("h2",), "h2"),
        (HTTP2, ("http/1.1",), "http/1.1"),
        (HTTP2, (), None),
        (HTTP1, ("h2", "http/1.1"), "http/1.1"),
        (HTTP1, (), None),
    ],
)
async def test_both_sides_agree_on_http_2_if_both_speak_it(
    ours: tuple[str, ...],
    offered: tuple[str, ...],
    agreed: str | None,
    kind: str,
    version: ssl.TLSVersion,
) -> None:
    context = of_version(version)
    if offered:
        context.set_alpn_protocols(offered)
    async with connected(table_of(A, key_type=trustme.KeyType[kind]), protocols=ours) as both:
        assert both.transport.protocol is None
        assert (await both.shake(A, context)).selected_alpn_protocol() == agreed
        assert both.transport.protocol == agreed


async def test_a_client_that_speaks_only_http_2_gets_an_alert_where_that_is_off(
    table: CertificateTable,
) -> None:
    await check_alert(table, NO_APPLICATION_PROTOCOL, A, "h2")


@pytest.mark.parametrize("version", VERSIONS)
async def test_each_handshake_agrees_on_a_protocol_anew_also_with_a_resumed_session(
    table: CertificateTable, version: ssl.TLSVersion
) -> None:
    context, session = of_version(version), None
    context.set_alpn_protocols(["h2", "http/1.1"])
    for ours in (HTTP2, HTTP1, HTTP2):
        async with connected(table, protocols=ours) as both:
            tls = await both.shake(A, context, session)
            assert tls.session_reused is (session is not None)
            assert tls.selected_alpn_protocol() == ours[0]
            session = tls.session


def challenge() -> ssl.SSLContext:
    """A context for a challenge, whose certificate can be told from others by its second name."""
    context = server_context()
    context.set_alpn_protocols([ACME_TLS])
    authority().issue_cert(A, "challenge.example").configure_cert(context)
    return context


async def test_only_a_client_that_validates_the_challenge_gets_its_certificate(
    table: CertificateTable,
) -> None:
    table.challenges.tls[A] = challenge()
    async with connected(table) as both:
        assert names_of(await both.shake(A)) == [A]
    both_offered = trusting()
    both_offered.set_alpn_protocols([ACME_TLS, "http/1.1"])
    async with connected(table) as both:
        assert names_of(await both.shake(A, both_offered)) == [A]
    await check_alert(table, NO_APPLICATION_PROTOCOL, B, ACME_TLS)


async def test_a_challenge_is_answered_where_http_2_is_spoken(table: CertificateTable) -> None:
    table.challenges.tls[A] = challenge()
    context = trusting()
    context.set_alpn_protocols([ACME_TLS])
    async with connected(table, protocols=HTTP2) as both, trio.open_nursery() as nursery:
        nursery.start_soon(both.serve)
        stream = TlsStream(trio.SocketStream(both.sock), context, A)
        with patience("the challenge", stream.tls.version):
            await stream.shake_hands()
        assert stream.tls.selected_alpn_protocol() == ACME_TLS
        await stream.aclose()


@pytest.mark.parametrize("has_certificate", [False, True])
async def test_a_challenge_is_answered_and_then_the_connection_closed_without_a_request(
    table: CertificateTable, has_certificate: bool
) -> None:
    table.challenges.tls[A] = challenge()
    if not has_certificate:
        table.entry(A).loaded = None
        table.entry(A).coming = trio.Event()
    context = trusting()
    context.set_alpn_protocols([ACME_TLS])
    async with running(table=table) as proxy:
        stream = TlsStream(await trio.open_tcp_stream("127.0.0.1", proxy.port), context, A)
        async with stream:
            with patience("the challenge", stream.tls.version):
                await stream.shake_hands()
                assert stream.tls.selected_alpn_protocol() == ACME_TLS
                assert names_of(stream.tls) == [A, "challenge.example"]
                await stream.send_all(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
                with suppress(trio.BrokenResourceError):
                    assert await stream.receive_some() == b""
        assert proxy.backend.heads == []


# --- resumption -----------------------------------------------------------------------------


async def resumes(table: CertificateTable, name: str, context: ssl.SSLContext, session: Any) -> Any:
    async with connected(table) as both:
        tls = await both.shake(name, context, session)
        return tls.session_reused


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_session_is_resumed_also_after_the_renewal_of_the_certificate(
    kind: str, version: ssl.TLSVersion
) -> None:
    table = table_of(A, key_type=trustme.KeyType[kind])
    context = of_version(version)
    async with connected(table) as both:
        session = (await both.shake(A, context)).session
    assert await resumes(table, A, context, session)
    table.entry(A).loaded = entry_for(A, key_type=trustme.KeyType[kind]).loaded
    assert await resumes(table, A, context, session)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("with_tickets", [True, False])
async def test_a_session_of_one_host_is_never_resumed_at_another(
    table: CertificateTable, version: ssl.TLSVersion, with_tickets: bool
) -> None:
    """Or the client would get data of a host whose certificate it has never seen."""
    context = of_version(version)
    if not with_tickets:
        context.options |= ssl.OP_NO_TICKET
    async with connected(table) as both:
        session = (await both.shake(A, context)).session
    assert not await resumes(table, B, context, session)
    table.default = entry_for("c.example")
    assert not await resumes(table, "c.example", context, session)


# --- how the messages arrive ----------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 7, 100])
@pytest.mark.parametrize("in_records", [False, True])
async def test_a_hello_may_arrive_in_pieces(
    table: CertificateTable, size: int, in_records: bool
) -> None:
    """Of a byte, or in records of their own."""
    async with connected(table) as both:
        stream = TlsStream(trio.SocketStream(both.sock), name=A)
        with suppress(ssl.SSLWantReadError):
            stream.tls.do_handshake()
        hello = stream.take_encrypted()
        if in_records:
            size = max(size, len(hello) // 60)
            body = hello[5:]
            pieces = [body[at : at + size] for at in range(0, len(body), size)]
            pieces = [hello[:3] + len(piece).to_bytes(2) + piece for piece in pieces]
        else:
            pieces = [hello[at : at + size] for at in range(0, len(hello), size)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(both.serve)
            for piece in pieces:
                await both.sock.send(piece)
                await trio.testing.wait_all_tasks_blocked()
            with patience("the handshake", stream.tls.version):
                await stream.shake_hands()
            await stream.send_all(b"a")
        assert names_of(stream.tls) == [A]


async def test_a_hello_that_drips_is_looked_at_now_and_then(
    table: CertificateTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands of clients that drip must not keep the event loop busy."""
    looks = 0

    def read_hello(data: bytes) -> ClientHello | None:
        nonlocal looks
        looks += 1
        return client_hello.read_hello(data)

    monkeypatch.setattr(handshake, "read_hello", read_hello)
    async with connected(table) as both:
        stream = TlsStream(trio.SocketStream(both.sock), name=A)
        with suppress(ssl.SSLWantReadError):
            stream.tls.do_handshake()
        hello = stream.take_encrypted()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(both.serve)
            for at in range(100):
                await both.sock.send(hello[at : at + 1])
                await trio.testing.wait_all_tasks_blocked()
            assert looks <= 20
            await both.sock.send(hello[100:])
            with patience("the handshake", stream.tls.version):
                await stream.shake_hands()
            await stream.send_all(b"a")
        assert names_of(stream.tls) == [A]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_client_whose_first_key_share_is_not_taken_sends_another_one(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """With a HelloRetryRequest (RFC 8446 section 4.1.4)."""

    monkeypatch.setattr(sessions, "server_context", only_p256)
    table = table_of(A, key_type=trustme.KeyType[kind])
    async with connected(table) as both:
        stream = TlsStream(trio.SocketStream(both.sock), name=A)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(both.serve)
            with patience("the handshake", stream.tls.version):
                await stream.shake_hands()
            await stream.send_all(b"a")
        assert (stream.tls.version(), names_of(stream.tls)) == ("TLSv1.3", [A])
        assert RETRY in stream.first_message


@pytest.mark.parametrize(
    ("version", "retries", "turns"),
    [
        (ssl.TLSVersion.TLSv1_3, False, 1),
        (ssl.TLSVersion.TLSv1_3, True, 2),
        (ssl.TLSVersion.TLSv1_2, False, 2),
    ],
)
async def test_each_step_of_a_handshake_that_takes_long_waits_for_a_turn(
    monkeypatch: pytest.MonkeyPatch, version: ssl.TLSVersion, retries: bool, turns: int
) -> None:
    taken = 0

    async def wait(_: Turns) -> None:
        nonlocal taken
        taken += 1
        await trio.lowlevel.checkpoint()

    monkeypatch.setattr(Turns, "wait", wait)
    if retries:
        monkeypatch.setattr(sessions, "server_context", only_p256)
    async with connected(table_of(A)) as both:
        await both.shake(A, of_version(version))
    assert taken == turns
