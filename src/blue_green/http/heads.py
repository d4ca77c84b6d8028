"""Rules for header fields that apply to requests and responses alike.

A head is parsed, by h11 and then by us, and written anew from its parsed fields. It is never copied
through, so the other side reads what we understood. Sections are those of RFC 9112 unless RFC 9110
is named.
"""

import re
from collections.abc import Iterable
from enum import Enum

import h11

MAX_LINES = 100
LARGEST_LENGTH = 2**63 - 1

Fields = list[tuple[bytes, bytes]]

HOP_BY_HOP = {
    b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate",
    b"proxy-authorization", b"te", b"transfer-encoding", b"upgrade", b"http2-settings",
}  # fmt: skip
"""Fields about one connection, which are not forwarded (RFC 9110 section 7.6.1)."""

REWRITTEN = {
    b"host", b"content-length", b"expect", b"proxy", b"via", b"x-request-id", b"forwarded",
    b"x-real-ip", b"x-client-ip", b"x-cluster-client-ip", b"true-client-ip", b"fastly-client-ip",
    b"cf-connecting-ip", b"cf-connecting-ipv6", b"client-cert", b"client-cert-chain",
}  # fmt: skip
"""Request fields that are forwarded, if at all, as we write them; see `is_rewritten`.

With most of them a proxy names the client to an app: its address, by the names that the large
content delivery networks use, and its certificate (RFC 9440).
"""
FORWARDED = b"x-forwarded-"
"""All fields with this prefix are rewritten, too: -For, -User, -Client-Cert, and others."""

OURS_ALONE = {b"host", b"content-length", b"expect", b"proxy"}
"""Rewritten fields whose value is ours even behind a trusted proxy."""

CONDITIONS = {
    b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since", b"if-range",
    b"range",
}  # fmt: skip
"""Fields that make a request conditional or partial (RFC 9110 sections 13 and 14)."""

NOT_IN_TRAILERS = HOP_BY_HOP | REWRITTEN | {
    b"authorization", b"cookie", b"set-cookie", b"cache-control", b"content-encoding",
    b"content-type", b"content-range", b"trailer", b"range", b"max-forwards", b"age", b"date",
    b"expires", b"location", b"retry-after", b"vary", b"warning",
}  # fmt: skip
"""Fields that could change what a message means when merged from its trailers (9110, 6.5.1)."""

ODD = re.compile(rb"[^0-9a-z]")
CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
NAME = re.compile(rb"([!-9;-~]{1,60}):")
HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]+)(?::[0-9]{0,5})?")


class Framing(Enum):
    """What ends a body."""

    NONE = "there is none"
    LENGTH = "its length"
    CHUNKED = "the last chunk"
    CLOSE = "the end of the connection"


def split_head(data: bytes, known: int = 0) -> tuple[bytes, bytes] | None:
    """The head and the bytes after it; None if the head is not complete.

    The first `known` bytes were searched before. Raises ValueError on a line that ends in LF alone:
    other parsers might see another end.
    """
    start = max(0, known - 3)
    end = data.find(b"\r\n\r\n", start)
    if data[start : start + 1] == b"\n" and known:
        start += 1  # The CR of this line end is before it.
    stop = len(data) if end < 0 else end + 4
    if data.count(b"\n", start, stop) != data.count(b"\r\n", start, stop):
        raise ValueError("a line does not end in CR LF")
    return None if end < 0 else (data[:stop], data[stop:])


def check_lines(lines: Iterable[bytes]) -> None:
    """Raise ValueError if one of a head's lines has a control character.

    h11 would refuse some of them, too, but would take minutes for it: its pattern for a field
    divides the spaces before one in every possible way.
    """
    for line in lines:
        if CONTROL.search(line):
            name = NAME.match(line)
            if name is None:
                raise ValueError("a line has a control character")
            raise ValueError(f"{name[1].decode()} has a control character in its value")


def in_words(error: h11.RemoteProtocolError) -> str:
    """The error in words. After the colon h11 repeats the input, which may be a secret."""
    return re.sub(r": (?:bytearray|b['\"]).*", "", str(error)).replace(":", "")


def header_of(error: h11.RemoteProtocolError) -> str:
    """The name of the header that the error is about, if it repeats a line, without the value."""
    name = re.search(r"bytearray\(b['\"]([ -9;-~]{1,60}):", str(error))
    return name[1] if name else ""


def trailers(fields: Fields) -> Fields:
    """The fields that may be forwarded as trailers."""
    return [
        (name, value)
        for name, value in fields
        if (meant := ODD.sub(b"-", name.lower())) not in NOT_IN_TRAILERS
        and not is_rewritten(meant)
        and not CONTROL.search(value)
    ]


def lines_of(fields: Fields) -> bytes:
    return b"".join([b"%b: %b\r\n" % field for field in fields])


def fields_of(lines: bytes) -> Fields:
    """The fields in these lines: names in lower case, and values."""
    parts = (line.partition(b":") for line in lines.split(b"\r\n") if line)
    return [(name.lower(), value.strip()) for name, _, value in parts]


def joined(fields: Fields, wanted: bytes) -> bytes | None:
    values = [value for name, value in fields if name.lower() == wanted]
    return b", ".join(values) if values else None


def connection_options(fields: Fields) -> set[bytes]:
    connection = joined(fields, b"connection") or b""
    options = {option.strip().lower() for option in connection.split(b",")}
    return options - {b""}


def keeps_alive(version: bytes, options: set[bytes]) -> bool:
    """Section 9.3."""
    if b"close" in options:
        return False
    return version != b"1.0" or b"keep-alive" in options


def is_rewritten(name: bytes) -> bool:
    """Whether a request field of this name, in lower case, is forwarded only as we write it."""
    return name in REWRITTEN or name.startswith(FORWARDED)


def without(fields: Fields, names: set[bytes]) -> Fields:
    """The fields without these names, and without lookalikes of fields that we rewrite.

    To CGI X_Forwarded_For is the same name as X-Forwarded-For, and to some servers so is any other
    that differs from it only in what is neither a letter nor a digit.
    """
    return [
        (name, value)
        for name, value in fields
        if (lower := name.lower()) not in names and not _is_lookalike(lower)
    ]


def _is_lookalike(name: bytes) -> bool:
    meant = ODD.sub(b"-", name)
    return meant != name and (meant in HOP_BY_HOP or is_rewritten(meant))
