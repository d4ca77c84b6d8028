"""What a TLS client asks for in its first message, the ClientHello (RFC 8446 section 4.1.2).

The certificate, and the thread in which the handshake is computed, are chosen before OpenSSL sees
the message. This reads only what the choice depends on. OpenSSL judges all the rest: for a message
that it refuses, it does not matter what was read here.
"""

import ssl
import struct
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from blue_green.certificates.challenges import ACME_TLS

MOST_RECORDS = 64
"""Records that a ClientHello may be divided into."""
MOST_BYTES = 16 * 1024
"""Largest ClientHello. Those of browsers have up to 2 KB."""
MOST_EXTENSIONS = 64
"""Extensions to look at. Browsers send about 20."""
MOST_GROUPS = 64
"""Groups, or key shares, that a client may offer. OpenSSL offers about 15."""

RECORD_HEADER = 5
CHANGE_CIPHER_SPEC, HANDSHAKE, APPLICATION_DATA = b"\x14", b"\x16", b"\x17"
ALERT = 21
CLIENT_HELLO = 1
TWO_BYTES = struct.Struct("!H")
TYPE_AND_LENGTH = struct.Struct("!HH")
SERVER_NAME, SUPPORTED_GROUPS, ALPN, KEY_SHARE = 0, 10, 16, 51
"""Types of extensions (RFC 8446 section 4.2)."""
EXTENSIONS = frozenset((SERVER_NAME, SUPPORTED_GROUPS, ALPN, KEY_SHARE))
ONLY_ACME_TLS = len(ACME_TLS).to_bytes() + ACME_TLS.encode()
QUICK_GROUPS = (29, 23)
"""x25519 and secp256r1. OpenSSL takes up to 10 ms for others."""
CURVES = frozenset((23, 24, 25, 29, 30))
FINITE_FIELDS = frozenset(range(0x100, 0x105))
"""ffdhe2048 to ffdhe8192 (RFC 7919). OpenSSL takes up to 100 ms for one of these, so that twenty
clients could use all processors. All clients of TLS 1.3 have a curve (RFC 8446 section 9.1)."""
HYBRID_GROUPS = (0x11EB, 0x11EC)
"""SecP256r1MLKEM768 and X25519MLKEM768: quick, and unknown to older versions of OpenSSL, which take
the next one."""


class HandshakeAlert(Exception):
    """The handshake ends with this alert (RFC 8446 section 6.2)."""

    def __init__(self, alert: int) -> None:
        super().__init__(f"alert {alert}")
        self.record = bytes((ALERT, 3, 3, 0, 2, 2, alert))


class ClientHello(NamedTuple):
    """What the client asks for."""

    name: str | None
    """The server name, as it came; None if there is none."""
    protocols: bytes
    """The ALPN protocols, each after its length; empty if there are none."""
    has_quick_groups: bool
    """Whether the key exchange certainly takes so little time that no thread is needed."""

    @property
    def validates_challenge(self) -> bool:
        """Whether it only validates a challenge of tls-alpn-01 (RFC 8737 section 3)."""
        return self.protocols == ONLY_ACME_TLS

    def accepts(self, protocols: Iterable[str]) -> bool:
        """Whether it offers one of these, or leaves the choice to us."""
        ours = (len(protocol).to_bytes() + protocol.encode() for protocol in protocols)
        return not self.protocols or any(protocol in self.protocols for protocol in ours)


def read_hello(data: bytes) -> ClientHello | None:
    """The ClientHello at the beginning of what was received; None if more must arrive.

    Raises `HandshakeAlert` if it is none.
    """
    message = _first_message(data)
    return None if message is None else _parse(message)


def _first_message(data: bytes) -> bytes | None:
    """The whole message, which may be divided into records (RFC 8446 section 5.1)."""
    message, at = b"", 0
    for _ in range(MOST_RECORDS):
        if data[at : at + 1] not in (b"", HANDSHAKE):
            raise HandshakeAlert(ssl.ALERT_DESCRIPTION_UNEXPECTED_MESSAGE)
        start = at + RECORD_HEADER
        if len(data) < start:
            return None
        at = start + TWO_BYTES.unpack_from(data, start - 2)[0]
        if len(data) < at:
            return None
        message += data[start:at]
        if message and message[0] != CLIENT_HELLO:
            raise HandshakeAlert(ssl.ALERT_DESCRIPTION_UNEXPECTED_MESSAGE)
        if len(message) >= 4:
            end = 4 + int.from_bytes(message[1:4])
            if end > MOST_BYTES:
                break
            if len(message) >= end:
                return message[:end]
    raise HandshakeAlert(ssl.ALERT_DESCRIPTION_ILLEGAL_PARAMETER)


def _parse(message: bytes) -> ClientHello:
    name, protocols, is_quick = None, b"", True
    at, end = 38, len(message)  # Behind its type, length, version and random number.
    try:
        at += 1 + message[at]  # The session's identifier.
        at += 2 + TWO_BYTES.unpack_from(message, at)[0]  # Cipher suites.
        at += 1 + message[at] + 2  # Compression methods, and the length of the extensions.
        for _ in range(MOST_EXTENSIONS):
            if at >= end:
                return ClientHello(name, protocols, is_quick)
            kind, length = TYPE_AND_LENGTH.unpack_from(message, at)
            start = at + 4
            at = start + length
            if kind not in EXTENSIONS:
                continue
            if kind == SERVER_NAME:  # A list whose only entry is a host name (RFC 6066 section 3).
                name = message[start + 5 : at].decode("latin-1")
            elif kind == ALPN:
                protocols = message[start + 2 : at]
            elif kind == SUPPORTED_GROUPS:
                groups = _few(_groups(message[start + 2 : at]))
                _check_has_curve(groups)
                is_quick = is_quick and _is_quick(groups)
            else:
                groups = _few(_groups_of_shares(message[start + 2 : at]))
                _check_begins_with_curve(groups)
                is_quick = is_quick and _is_quick(groups)
    except (IndexError, struct.error):
        raise HandshakeAlert(ssl.ALERT_DESCRIPTION_DECODE_ERROR) from None
    raise HandshakeAlert(ssl.ALERT_DESCRIPTION_ILLEGAL_PARAMETER)


def _groups(data: bytes) -> Iterator[int]:
    for at in range(0, len(data), 2):
        yield TWO_BYTES.unpack_from(data, at)[0]


def _groups_of_shares(data: bytes) -> Iterator[int]:
    at = 0
    while at < len(data):
        group, length = TYPE_AND_LENGTH.unpack_from(data, at)
        yield group
        at += 4 + length


def _few(groups: Iterator[int]) -> Sequence[int]:
    few = list(islice(groups, MOST_GROUPS + 1))
    if len(few) > MOST_GROUPS:
        raise HandshakeAlert(ssl.ALERT_DESCRIPTION_ILLEGAL_PARAMETER)
    return few


def _check_has_curve(groups: Sequence[int]) -> None:
    """Without a suitable key share, OpenSSL takes the group that it likes best: any curve."""
    if CURVES.isdisjoint(groups) and not FINITE_FIELDS.isdisjoint(groups):
        raise HandshakeAlert(ssl.ALERT_DESCRIPTION_HANDSHAKE_FAILURE)


def _check_begins_with_curve(groups: Sequence[int]) -> None:
    """Of key shares, OpenSSL takes the first of a group that it knows."""
    known = (group for group in groups if group in CURVES or group in FINITE_FIELDS)
    if next(known, None) in FINITE_FIELDS:
        raise HandshakeAlert(ssl.ALERT_DESCRIPTION_HANDSHAKE_FAILURE)


def _is_quick(groups: Sequence[int]) -> bool:
    """Whether OpenSSL takes a quick group from this list: it takes the first one that it knows.

    From an empty list of key shares, or one that it knows none of, it goes on to its own favourite,
    x25519 or a hybrid of it, if the client has that.
    """
    for group in groups:
        is_skipped = group in HYBRID_GROUPS or group & 0x0F0F == 0x0A0A  # RFC 8701: GREASE.
        if not is_skipped:
            return group in QUICK_GROUPS
    return True
