"""An encoder that remembers does what that of hpack does, with less work."""

from typing import Any

import hpack
import pytest
from hpack import HeaderTuple, NeverIndexedHeaderTuple
from hypothesis import example, given, settings
from hypothesis import strategies as st

from blue_green.http2.header_encoder import LARGEST_TABLE, NOT_INDEXED, RememberingEncoder

FIELDS = [
    HeaderTuple(*field)
    for field in ((b":status", b"200"), (b"server", b"x"), (b"x", b"y"), (b"vary", b"cookie"))
]

A_FIELD = st.builds(
    lambda kind, name, value: kind(name, value),
    st.sampled_from([HeaderTuple, HeaderTuple, HeaderTuple, NeverIndexedHeaderTuple]),
    st.sampled_from([b":status", b"x", b"set-cookie", b"a-longer-name", b"etag", b"date"]),
    st.sampled_from([b"", b"200", b"y", b"z" * 60, b"w" * 300]),
)
LISTS = st.lists(st.lists(A_FIELD, max_size=4), min_size=1, max_size=4)
STEPS = st.lists(
    st.one_of(st.integers(0, 3), st.sampled_from([0, 40, 100, 4096]).map(lambda s: -s - 1)),
    max_size=25,
)


def test_an_identical_field_is_encoded_once_while_the_table_is_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoded: list[Any] = []
    add = hpack.Encoder.add

    def counted_add(encoder: hpack.Encoder, field: Any, *more: Any, **named: Any) -> bytes:
        encoded.append(field)
        return add(encoder, field, *more, **named)

    monkeypatch.setattr(hpack.Encoder, "add", counted_add)
    encoder, decoder = RememberingEncoder(), hpack.Decoder()
    blocks = [encoder.encode(FIELDS) for _ in range(4)]
    assert [decoder.decode(block, raw=True) for block in blocks] == [FIELDS] * 4
    assert len(encoded) == 2 * len(FIELDS)  # The first block fills the table.
    assert len(blocks[1]) == len(FIELDS)


@pytest.mark.parametrize("name", sorted(NOT_INDEXED))
def test_a_field_that_differs_in_every_response_stays_out_of_the_table(name: bytes) -> None:
    encoder, decoder = RememberingEncoder(), hpack.Decoder()
    for value in (b"1", b"2", b"x" * 500):
        field = HeaderTuple(name, value)
        assert decoder.decode(encoder.encode([field]), raw=True) == [field]
    assert not encoder.header_table.dynamic_entries


def test_a_field_that_is_never_indexed_stays_one() -> None:
    """Section 6.2.3 of RFC 7541: also if an equal field was indexed before, or is later."""
    plain, secret = HeaderTuple(b"x", b"y"), NeverIndexedHeaderTuple(b"x", b"y")
    encoder, decoder = RememberingEncoder(), hpack.Decoder()
    for _ in range(3):
        (field,) = decoder.decode(encoder.encode([secret]), raw=True)
        assert not field.indexable
    for _ in range(3):
        (field,) = decoder.decode(encoder.encode([plain]), raw=True)
        assert field.indexable


def test_the_table_for_responses_stays_small_whatever_the_client_allows() -> None:
    encoder = RememberingEncoder()
    encoder.header_table_size = 2**32 - 1
    assert encoder.header_table_size == LARGEST_TABLE
    for number in range(1000):
        encoder.encode([HeaderTuple(b"x", b"%d" % number)])
    entries = encoder.header_table.dynamic_entries
    assert sum(len(n) + len(v) + 32 for n, v in entries) <= LARGEST_TABLE


def test_changes_of_the_table_size_are_signalled_as_the_smallest_and_the_last() -> None:
    """RFC 7541 section 4.2. A client may repeat them as often as it likes."""
    encoder, decoder = RememberingEncoder(), hpack.Decoder()
    decoder.decode(encoder.encode(FIELDS))
    for _ in range(100):
        for size in (2000, 2000, 50, 3000, 3000):
            encoder.header_table_size = size
    block = encoder.encode(FIELDS)
    assert block.startswith(b"\x3f\x13\x3f\x99\x17")  # 50, 3000
    assert decoder.decode(block, raw=True) == FIELDS
    assert decoder.header_table_size == 3000
    assert decoder.decode(encoder.encode(FIELDS), raw=True) == FIELDS


def test_each_change_of_the_table_size_is_signalled_once() -> None:
    encoder, status = RememberingEncoder(), [HeaderTuple(b":status", b"200")]
    assert encoder.encode(status) == b"\x88"
    for size in (50, 4096):
        encoder.header_table_size = size
    assert encoder.encode(status) == b"\x3f\x13\x3f\xe1\x1f\x88"
    assert encoder.encode(status) == b"\x88"


def test_a_field_larger_than_the_table_does_not_clear_it() -> None:
    large = HeaderTuple(b"content-security-policy", b"x" * LARGEST_TABLE)
    encoder, decoder = RememberingEncoder(), hpack.Decoder()
    for _ in range(4):
        assert decoder.decode(encoder.encode([*FIELDS, large]), raw=True) == [*FIELDS, large]
    assert len(encoder.header_table.dynamic_entries) == len(FIELDS) - 1  # One is static.


def test_values_are_sent_without_huffman_code() -> None:
    """That of hpack would take 0.4 s for 60 KB."""
    value = b"a" * 60_000
    assert value in RememberingEncoder().encode([HeaderTuple(b"x", value)])


@settings(max_examples=200)
@given(LISTS, STEPS)
@example([[HeaderTuple(b"x", b"")]], [0, -1, -4097, 0])  # The table is empty again.
def test_what_the_encoder_says_is_read_as_it_was_meant(
    lists: list[list[HeaderTuple]], steps: list[int]
) -> None:
    encoder, decoder = RememberingEncoder(), hpack.Decoder()
    for step in steps:
        if step < 0:
            encoder.header_table_size = -step - 1
            decoder.max_allowed_table_size = max(-step - 1, decoder.header_table_size)
            continue
        fields = lists[step % len(lists)]
        assert list(decoder.decode(encoder.encode(fields), raw=True)) == fields
        assert decoder.header_table.dynamic_entries == encoder.header_table.dynamic_entries
