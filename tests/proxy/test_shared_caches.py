"""Responses that shared caches may store, and those that they must not."""

import pytest

from blue_green.http.heads import Framing
from blue_green.http.response import Response
from blue_green.proxy import shared_caches


def a_response(*lines: bytes) -> Response:
    return Response(200, b"OK", b"".join(b"%b\r\n" % line for line in lines), Framing.LENGTH)


@pytest.mark.parametrize(
    ("lines", "allowed"),
    [
        ([], None),
        ([b"X-Cache-Control-Of-Ours: public", b"ETag: 1"], None),
        ([b"Cache-Control: private"], False),
        ([b"Cache-Control: max-age=9", b"Cache-Control: no-store"], False),
        ([b"Cache-Control: private", b"CDN-Cache-Control: no-store"], False),
        ([b"Cache-Control: public, max-age=9"], True),
        ([b'Cache-Control: max-age=9, x="a, private"'], True),
        ([b"CDN-Cache-Control: max-age=9"], True),
        ([b"Cache-Control: private", b"CDN-Cache-Control: max-age=9"], True),
        ([b"Cache-Control: private", b"example-cdn-cache-control: max-age=9"], True),
        ([b"Cache-Control: no-store", b"Surrogate-Control: max-age=9"], True),
        ([b"Cache-Control: no-store", b"X-Accel-Expires: 9"], True),
    ],
)
def test_storage_is_allowed_by_the_fields_that_shared_caches_obey(
    lines: list[bytes], allowed: bool | None
) -> None:
    assert shared_caches.are_allowed(a_response(*lines)) is allowed


def test_storage_is_ruled_out_whatever_the_app_says() -> None:
    given = a_response(
        b"ETag: 1", b"Cache-Control: public", b"cache-control: max-age=9", b"Expires: 0",
        b"Pragma: public", b"CDN-Cache-Control: max-age=9", b"Surrogate-Control: max-age=9",
        b"X-Example-Cache-Control: public", b"X-Accel-Expires: 9", b"X-Expires: 1",
    )  # fmt: skip
    ruled_out = shared_caches.rule_out(given)
    kept = b"ETag: 1\r\nX-Expires: 1\r\nCache-Control: private, no-store\r\n"
    assert ruled_out.start == b"HTTP/1.1 200 OK\r\n" + kept
