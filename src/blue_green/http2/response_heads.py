"""The head of a response as fields of HTTP/2 (RFC 9113 section 8.3.2)."""

from collections.abc import Iterable
from functools import lru_cache

from hpack import HeaderTuple, NeverIndexedHeaderTuple

from blue_green.http.fast_path import LONGEST_HEAD, MOST_CACHED, SECRETS
from blue_green.http.heads import Fields, fields_of
from blue_green.http.response import Response

NOT_SENT = {
    b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade",
    b"sec-websocket-accept",
}  # fmt: skip
"""Fields about an HTTP/1.1 connection (section 8.2.2; RFC 8441 section 5)."""

HeaderFields = tuple[HeaderTuple, ...]

cached_fields: dict[tuple[int, bytes], HeaderFields] = {}


def response_fields(response: Response, more: bytes = b"") -> HeaderFields:
    """The fields of a response; `more` are header lines that the proxy adds."""
    key = (response.status, response.lines)
    fields = cached_fields.get(key)
    if fields is None:
        status = HeaderTuple(b":status", b"%d" % response.status)
        fields = (status, *_translated(response.fields))
        if len(response.lines) <= LONGEST_HEAD and all(field.indexable for field in fields):
            if len(cached_fields) >= MOST_CACHED:
                cached_fields.clear()
            cached_fields[key] = fields
    return fields + _added(more) if more else fields


def trailer_fields(trailers: Fields) -> HeaderFields:
    """The fields of a response's trailers."""
    return tuple(_translated((name.lower(), value) for name, value in trailers))


@lru_cache(64)
def _added(lines: bytes) -> HeaderFields:
    return tuple(_translated(fields_of(lines)))


def _translated(fields: Iterable[tuple[bytes, bytes]]) -> Iterable[HeaderTuple]:
    for name, value in fields:
        if name not in NOT_SENT:
            # HPACK must not index a secret, which would otherwise be found by guessing (7541, 7.1).
            kind = NeverIndexedHeaderTuple if name in SECRETS else HeaderTuple
            yield kind(name, value)
