"""What is read from a ClientHello, and what ends the handshake at once."""

import ssl
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blue_green.certificates.pem import HTTP1, HTTP2
from blue_green.http.client_hello import (
    MOST_BYTES,
    MOST_EXTENSIONS,
    MOST_GROUPS,
    MOST_RECORDS,
    HandshakeAlert,
    read_hello,
)

X25519, P256, P384, X448, FFDHE8192, HYBRID, GREASE = 29, 23, 24, 30, 260, 0x11EC, 0x2A2A


def two(number: int) -> bytes:
    return struct.pack("!H", number)


def extension(kind: int, data: bytes) -> bytes:
    return two(kind) + two(len(data)) + data


def with_length(data: bytes) -> bytes:
    return two(len(data)) + data


def message(*extensions: bytes) -> bytes:
    body = bytes(34) + b"\x20" + bytes(32) + with_length(two(0x1301)) + b"\1\0"
    body += with_length(b"".join(extensions))
    return b"\1" + len(body).to_bytes(3) + body


def records(data: bytes, size: int = 16 * 1024) -> bytes:
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join(b"\x16\3\1" + with_length(piece) for piece in pieces)


def server_name(name: bytes) -> bytes:
    return extension(0, with_length(b"\0" + with_length(name)))


def groups(*numbers: int) -> bytes:
    return extension(10, with_length(b"".join(map(two, numbers))))


def shares(*numbers: int) -> bytes:
    return extension(
        51, with_length(b"".join(two(number) + with_length(b"key") for number in numbers))
    )


def of_openssl(name: str | None = "a.example", *protocols: str) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    if protocols:
        context.set_alpn_protocols(protocols)
    outgoing = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("name", ["a.example", None])
def test_a_hello_of_openssl_is_read(name: str | None) -> None:
    hello = read_hello(of_openssl(name, "h2", "http/1.1"))
    assert hello is not None
    assert hello.name == name
    assert hello.protocols == b"\x02h2\x08http/1.1"
    assert hello.accepts(HTTP1)
    assert hello.has_quick_groups


@pytest.mark.parametrize(
    ("protocols", "accepts_http1", "accepts_http2", "validates"),
    [
        ((), True, True, False),
        (("h2",), False, True, False),
        (("http/1.1",), True, True, False),
        (("acme-tls/1",), False, False, True),
        (("acme-tls/1", "http/1.1"), True, True, False),
        (("http/1.10",), False, False, False),
        (("h2c", "h22"), False, False, False),
    ],
)
def test_protocols_are_compared_as_a_whole(
    protocols: tuple[str, ...], accepts_http1: bool, accepts_http2: bool, validates: bool
) -> None:
    hello = read_hello(of_openssl("a.example", *protocols))
    assert hello is not None
    assert hello.accepts(HTTP1) is accepts_http1
    assert hello.accepts(HTTP2) is accepts_http2
    assert hello.validates_challenge is validates


def test_a_hello_may_be_divided_anywhere() -> None:
    whole = of_openssl()
    for end in range(len(whole)):
        assert read_hello(whole[:end]) is None
    expected = read_hello(whole)
    plain = whole[5:]
    for size in (10, 100, 300):
        assert read_hello(records(plain, size)) == expected
    assert read_hello(records(plain[:1], 1) + records(plain[1:])) == expected
    assert read_hello(whole + b"more") == expected


QUICK = {
    "nothing": ([], True),
    "x25519 first": ([groups(X25519, P384, FFDHE8192), shares(X25519)], True),
    "secp256r1 first": ([groups(P256, P384), shares(P256)], True),
    "like Chrome": (
        [groups(GREASE, HYBRID, X25519, P256, P384), shares(GREASE, HYBRID, X25519)],
        True,
    ),
    "no share": ([groups(X25519, P384), shares()], True),
    "a slow group first": ([groups(P384, X25519), shares(X25519)], False),
    "a slow share": ([groups(X25519, P384), shares(P384)], False),
    "a finite field behind a curve": (
        [groups(FFDHE8192, P384), shares(P384, FFDHE8192)],
        False,
    ),
    "a hybrid alone": ([groups(HYBRID), shares(HYBRID)], True),
    "a slow share behind an unknown one": ([groups(X25519, X448), shares(HYBRID, X448)], False),
    "an unknown group": ([groups(0x1234, X25519)], False),
    "as many as may be": ([groups(*[GREASE] * MOST_GROUPS)], True),
}


@pytest.mark.parametrize(("extensions", "is_quick"), QUICK.values(), ids=QUICK)
def test_key_exchanges_that_may_be_slow_are_recognized(
    extensions: list[bytes], is_quick: bool
) -> None:
    hello = read_hello(records(message(*extensions)))
    assert hello is not None
    assert hello.has_quick_groups is is_quick


FINITE = {
    "groups": [groups(FFDHE8192)],
    "groups beside a hybrid": [groups(HYBRID, FFDHE8192), shares(HYBRID)],
    "a share": [groups(X25519, FFDHE8192), shares(FFDHE8192, X25519)],
    "a share behind unknown ones": [groups(X25519), shares(GREASE, HYBRID, 0x1234, FFDHE8192)],
}


@pytest.mark.parametrize("extensions", FINITE.values(), ids=FINITE)
def test_a_key_exchange_in_a_finite_field_is_refused(extensions: list[bytes]) -> None:
    """It takes 100 ms of a processor, and every client can do better."""
    with pytest.raises(HandshakeAlert) as caught:
        read_hello(records(message(*extensions)))
    assert caught.value.record[6] == ssl.ALERT_DESCRIPTION_HANDSHAKE_FAILURE


BAD = {
    "many groups": records(message(groups(*[GREASE] * (MOST_GROUPS + 1)))),
    "many shares": records(message(shares(*[GREASE] * (MOST_GROUPS + 1)))),
    "another type of record": b"\x17\3\1\0\1\0",
    "another message": records(b"\2\0\0\1\0"),
    "an older version of the record": b"\x80\x2e\1\3\1",
    "a large message": records(b"\1" + MOST_BYTES.to_bytes(3) + bytes(100)),
    "many records": records(message(server_name(b"x" * 500)), 1),
    "records without content": b"\x16\3\1\0\0" * MOST_RECORDS,
    "half a message": records(b"\1\0\0\x05\3\3\0\0\0"),
    "many extensions": records(message(*[extension(9999, b"")] * (MOST_EXTENSIONS + 1))),
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_what_is_no_hello_ends_the_handshake_with_an_alert(data: bytes) -> None:
    with pytest.raises(HandshakeAlert) as caught:
        read_hello(data)
    assert caught.value.record[:6] == b"\x15\3\3\0\2\2"


def test_a_hello_of_the_largest_size_is_read() -> None:
    filler = extension(21, bytes(MOST_BYTES - len(message(server_name(b"a.example"))) - 4))
    largest = message(filler, server_name(b"a.example"))
    assert len(largest) == MOST_BYTES
    hello = read_hello(records(largest))
    assert hello is not None
    assert hello.name == "a.example"


@given(st.binary(max_size=300), st.integers(0, 500), st.integers(1, 50))
def test_nothing_that_arrives_causes_an_exception(data: bytes, at: int, length: int) -> None:
    whole = of_openssl("a.example", "h2")
    plain = whole[5:]
    for raw in (
        data,
        b"\x16\3\1" + data,
        whole[:at] + data + whole[at + length :],
        records(plain[:at] + data[:length] + plain[at + length :]),
        records(b"\1" + len(data).to_bytes(3) + data),
        records(message(data)),
        records(message(extension(51, data), extension(16, data))),
        records(message(extension(10, data), extension(0, data))),
    ):
        with suppress(HandshakeAlert):
            read_hello(raw)
