"""A client gets the encoding that it prefers, of those that are there."""

import pytest

from blue_green.files.encodings import IDENTITY, choose

ALL = (IDENTITY, b"gzip", b"br", b"zstd")


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        (b"", IDENTITY),
        (b"gzip, deflate, br, zstd", b"br"),
        (b"gzip, zstd", b"zstd"),
        (b"GZIP", b"gzip"),
        (b"x-gzip", b"gzip"),
        (b"gzip;q=1.0, br;q=0.9", b"gzip"),
        (b"gzip ; q=0.5 , identity;q=0.4", b"gzip"),
        (b"identity, gzip;q=0.5", IDENTITY),
        (b"identity;q=1, *;q=0", IDENTITY),
        (b"*", b"br"),
        (b"*;q=0", IDENTITY),
        (b"br;q=0, *", b"zstd"),
        (b"gzip;q=0", IDENTITY),
        (b"gzip;q=0.000", IDENTITY),
        (b"identity;q=0", IDENTITY),
        (b"gzip;q=2", IDENTITY),
        (b"gzip;level=9", IDENTITY),
        (b"deflate", IDENTITY),
        (b",,;q=1,", IDENTITY),
    ],
)
def test_the_preferred_encoding_is_chosen(accepted: bytes, expected: bytes) -> None:
    assert choose(accepted, ALL) == expected


def test_an_encoding_that_is_not_there_is_not_chosen() -> None:
    assert choose(b"br, gzip;q=0.1", (IDENTITY, b"gzip")) == b"gzip"
    assert choose(b"br, gzip", (IDENTITY,)) == IDENTITY
