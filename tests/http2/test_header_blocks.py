"""A decoder and an encoder that remember do what those of hpack do, with less work."""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import hpack
import pytest
from hpack import HeaderTuple, NeverIndexedHeaderTuple, OversizedHeaderListError
from hpack.table import HeaderTable, table_entry_size
from hypothesis import given, settings
from hypothesis import strategies as st

from blue_green.http2.header_blocks import (
    LARGEST_TABLE,
    MOST_BYTES,
    MOST_KNOWN,
    MOST_LITERALS,
    KnownBlocks,
    RememberingDecoder,
    RememberingEncoder,
)

FIELDS = [
    HeaderTuple(*field)
    for field in ((b":method", b"GET"), (b":path", b"/"), (b"x", b"y"), (b"cookie", b"a=b"))
]


class CountedWork:
    """How often hpack itself has worked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.decoded = self.encoded = 0
        decode, encode = hpack.Decoder.decode, hpack.Encoder.encode

        def counted_decode(decoder: hpack.Decoder, data: bytes, raw: bool = False) -> Any:
            self.decoded += 1
            return decode(decoder, data, raw)

        def counted_encode(encoder: hpack.Encoder, fields: Any, huffman: bool = True) -> bytes:
            self.encoded += 1
            return encode(encoder, fields, huffman)

        monkeypatch.setattr(hpack.Decoder, "decode", counted_decode)
        monkeypatch.setattr(hpack.Encoder, "encode", counted_encode)


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> CountedWork:
    return CountedWork(monkeypatch)


def decoded(decoder: RememberingDecoder, block: bytes) -> list[tuple[bytes, bytes]]:
    assert list(decoder.decode(block, raw=True)) == []
    return list(decoder.block.fields)


def test_an_identical_block_is_decoded_once_while_the_table_is_the_same(work: CountedWork) -> None:
    encoder, decoder = hpack.Encoder(), RememberingDecoder()
    first, *blocks = [encoder.encode(FIELDS) for _ in range(4)]
    assert decoded(decoder, first) == FIELDS  # This fills the table.
    blocks_seen = []
    for block in blocks:
        assert decoded(decoder, block) == FIELDS
        blocks_seen.append(decoder.block)
    assert work.decoded == 2
    assert blocks_seen[0] is blocks_seen[1] is blocks_seen[2]
    decoder.decode(encoder.encode([(b"new", b"field")]))
    assert decoded(decoder, encoder.encode(FIELDS)) == FIELDS
    assert decoder.block is not blocks_seen[0]


def test_a_block_that_changes_the_table_is_not_remembered(work: CountedWork) -> None:
    literal = hpack.Encoder().encode([(b"a", b"b")])
    decoder = RememberingDecoder()
    for _ in range(3):
        assert decoded(decoder, literal) == [(b"a", b"b")]
    assert len(decoder.header_table.dynamic_entries) == work.decoded == 3


def test_the_limit_of_a_header_list_holds_as_in_hpack() -> None:
    block = hpack.Encoder().encode([NeverIndexedHeaderTuple(b"x", b"y" * 100)])
    decoder = RememberingDecoder()
    decoder.decode(block)
    decoder.max_header_list_size = 100
    for _ in range(2):
        with pytest.raises(OversizedHeaderListError):
            decoder.decode(block)


def test_a_table_that_should_have_shrunk_is_an_error_also_for_a_known_block() -> None:
    decoder = RememberingDecoder()
    block = b"\x82"  # :method GET, from the static table
    decoder.decode(block)
    decoder.max_allowed_table_size = 100
    with pytest.raises(hpack.InvalidTableSizeError):
        decoder.decode(block)


def test_the_bound_of_literal_fields_is_one_of_each_block() -> None:
    literals = [NeverIndexedHeaderTuple(b"x", b"") for _ in range(MOST_LITERALS + 1)]
    encoder, decoder = hpack.Encoder(), RememberingDecoder()
    for number in range(3):
        most = [NeverIndexedHeaderTuple(b"n", b"%d" % number), *literals[2:]]
        assert decoded(decoder, encoder.encode(most)) == most
    with pytest.raises(OversizedHeaderListError, match="spelled out"):
        decoder.decode(encoder.encode(literals))


def test_identical_fields_are_encoded_once_while_the_table_is_the_same(work: CountedWork) -> None:
    encoder, decoder = RememberingEncoder(), hpack.Decoder()
    blocks = [encoder.encode(FIELDS) for _ in range(4)]
    assert [decoder.decode(block, raw=True) for block in blocks] == [FIELDS] * 4
    assert work.encoded == 2
    assert len(blocks[1]) == len(FIELDS)


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
        encoder.encode([(b"x", b"%d" % number)])
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
    assert len(encoder.header_table.dynamic_entries) == len(FIELDS) - 2  # Two are static.


def test_values_are_sent_without_huffman_code() -> None:
    """That of hpack would take 0.4 s for 60 KB."""
    value = b"a" * 60_000
    assert value in RememberingEncoder().encode([HeaderTuple(b"x", value)])


@pytest.mark.parametrize(("size", "most"), [(1, MOST_KNOWN), (MOST_BYTES // 3, 3)])
def test_what_is_remembered_is_bounded_in_number_and_bytes(size: int, most: int) -> None:
    known = KnownBlocks[int, int](HeaderTable())
    known.recall(0)
    for number in range(most):
        known.remember(number, number, size)
    assert [known.recall(number) for number in range(most)] == [*range(most)]
    known.remember(most, most, size)
    assert [known.recall(number) for number in range(most + 1)] == [None] * most + [most]
    known.remember(-1, -1, MOST_BYTES + 1)
    assert [known.recall(number) for number in (-1, most)] == [None, most]


CHANGES: dict[str, Callable[[HeaderTable], None]] = {
    "an entry comes": lambda table: table.add(b"new", b"entry"),
    "an equal entry comes, and another goes": lambda table: table.add(b"x", b"y"),
    "an entry goes": lambda table: set_sizes(table, 40),
    "an entry goes, and there is room again": lambda table: set_sizes(table, 40, 69),
    "all entries go": lambda table: table.add(b"large", b"x" * 100),
    "only the size changes": lambda table: set_sizes(table, 70),
}


def set_sizes(table: HeaderTable, *sizes: int) -> None:
    for size in sizes:
        table.maxsize = size


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_every_change_of_the_table_is_noticed(change: Callable[[HeaderTable], None]) -> None:
    table = HeaderTable()
    table.maxsize = table_entry_size(b"old", b"") + table_entry_size(b"x", b"y")
    table.add(b"old", b"")
    table.add(b"x", b"y")
    known = KnownBlocks[str, int](table)
    known.recall("key", 1)
    known.remember("key", 5, 1)
    assert known.recall("key", 1) == 5
    assert table.dynamic_entries == deque([(b"x", b"y"), (b"old", b"")])
    change(table)
    assert known.recall("key", 1) is None
    known.remember("key", 5, 1)
    assert known.recall("key", 1) == 5
    assert known.recall("key", 2) is None


# --- the same as hpack, whatever comes ---

A_FIELD = st.builds(
    lambda kind, name, value: kind(name, value),
    st.sampled_from([HeaderTuple, HeaderTuple, HeaderTuple, NeverIndexedHeaderTuple]),
    st.sampled_from([b":method", b":path", b"x", b"cookie", b"a-longer-name"]),
    st.sampled_from([b"", b"GET", b"/", b"y", b"z" * 60, b"w" * 300]),
)
LISTS = st.lists(st.lists(A_FIELD, max_size=4), min_size=1, max_size=4)
STEPS = st.lists(
    st.one_of(st.integers(0, 3), st.sampled_from([0, 40, 100, 4096]).map(lambda s: -s - 1)),
    max_size=25,
)


def with_flags(fields: Iterable[Any]) -> list[tuple[bytes, bytes, bool]]:
    return [(*field, field.indexable) for field in fields]


@settings(max_examples=200)
@given(LISTS, STEPS)
def test_the_decoder_agrees_with_that_of_hpack(
    lists: list[list[HeaderTuple]], steps: list[int]
) -> None:
    """A step is a list of fields or, if negative, a new size of the table."""
    encoder, plain, remembering = RememberingEncoder(), hpack.Decoder(), RememberingDecoder()
    for step in steps:
        if step < 0:
            encoder.header_table_size = -step - 1
            continue
        block = encoder.encode(lists[step % len(lists)])
        remembering.decode(block, raw=True)
        assert with_flags(remembering.block.fields) == with_flags(plain.decode(block, raw=True))
        tables = (remembering.header_table, plain.header_table)
        assert tables[0].dynamic_entries == tables[1].dynamic_entries


@settings(max_examples=200)
@given(
    st.lists(st.one_of(st.sampled_from(range(4)), st.binary(max_size=12)), max_size=12),
    st.lists(st.binary(max_size=8), min_size=4, max_size=4),
)
def test_the_decoder_agrees_on_any_bytes(steps: list[int | bytes], blocks: list[bytes]) -> None:
    plain, remembering = hpack.Decoder(200), RememberingDecoder(200)
    for step in steps:
        block = step if isinstance(step, bytes) else blocks[step]
        try:
            expected = plain.decode(block, raw=True)
        except hpack.HPACKError as error:
            with pytest.raises(type(error)):
                remembering.decode(block, raw=True)
            return  # The connection ends.
        remembering.decode(block, raw=True)
        assert with_flags(remembering.block.fields) == with_flags(expected)


@settings(max_examples=200)
@given(LISTS, STEPS)
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
