"""A decoder that remembers does what that of hpack does, with less work."""

from typing import Any

import hpack
import pytest
from hpack import HeaderTuple, NeverIndexedHeaderTuple, OversizedHeaderListError
from hypothesis import given, settings
from hypothesis import strategies as st

from blue_green.http2.header_blocks import (
    MOST_FIELDS,
    MOST_LITERALS,
    RememberingDecoder,
    TooManyFields,
    split_at_path,
)
from blue_green.http2.header_encoder import RememberingEncoder

FIELDS = [
    HeaderTuple(*field)
    for field in ((b":method", b"GET"), (b":path", b"/"), (b"x", b"y"), (b"cookie", b"a=b"))
]


class CountedWork:
    """How often hpack itself has worked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.decoded = 0
        decode = hpack.Decoder.decode

        def counted_decode(decoder: hpack.Decoder, data: bytes, raw: bool = False) -> Any:
            self.decoded += 1
            return decode(decoder, data, raw)

        monkeypatch.setattr(hpack.Decoder, "decode", counted_decode)


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
        blocks_seen.append(decoder.block.known)
    assert work.decoded == 2
    assert blocks_seen[0] is blocks_seen[1] is blocks_seen[2]
    decoder.decode(encoder.encode([(b"new", b"field")]))
    assert decoded(decoder, encoder.encode(FIELDS)) == FIELDS
    assert decoder.block.known is not blocks_seen[0]


def test_the_bound_of_literal_fields_is_one_of_each_block() -> None:
    literals = [NeverIndexedHeaderTuple(b"x", b"") for _ in range(MOST_LITERALS + 1)]
    encoder, decoder = hpack.Encoder(), RememberingDecoder()
    for number in range(3):
        most = [NeverIndexedHeaderTuple(b"n", b"%d" % number), *literals[2:]]
        assert decoded(decoder, encoder.encode(most)) == most
    with pytest.raises(TooManyFields):
        decoder.decode(encoder.encode(literals))


GET, HTTPS = b"\x82", b"\x87"
"""Fields of the static table."""


def path_literal(path: bytes, first: int = 0x04) -> bytes:
    """A path that is spelled out."""
    return bytes([first, len(path)]) + path


def test_blocks_that_differ_in_their_path_are_decoded_once(work: CountedWork) -> None:
    decoder = RememberingDecoder()
    huffman = hpack.Encoder().encode([NeverIndexedHeaderTuple(b":path", b"/huffman")])
    assert huffman[1] & 0x80
    for literal, path in (
        (path_literal(b"/one"), b"/one"),
        (path_literal(b"/two", 0x15), b"/two"),
        (huffman, b"/huffman"),
    ):
        fields = [(b":method", b"GET"), (b":path", path), (b":scheme", b"https")]
        assert decoded(decoder, GET + literal + HTTPS) == fields
    assert work.decoded == 1


def test_a_block_without_a_path_is_not_taken_for_one_with_a_path() -> None:
    decoder = RememberingDecoder()
    assert len(decoded(decoder, GET + path_literal(b"/a"))) == 2
    assert len(decoded(decoder, GET)) == 1
    assert len(decoded(decoder, GET + path_literal(b"/b"))) == 2


def test_the_limit_of_a_header_list_holds_for_the_path_of_a_known_block() -> None:
    decoder = RememberingDecoder(100)
    decoder.decode(GET + path_literal(b"/"))
    with pytest.raises(OversizedHeaderListError):
        decoder.decode(GET + path_literal(b"/" * 60))


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(b"", id="an empty one"),
        pytest.param(GET, id="no path"),
        pytest.param(GET + b"\x84", id="the path in the static table"),
        pytest.param(GET + b"\x44\x01/", id="a path to be indexed"),
        pytest.param(GET + b"\x04", id="no length"),
        pytest.param(GET + b"\x04\x00", id="an empty path"),
        pytest.param(GET + b"\x04\x05/a", id="a path that is cut off"),
        pytest.param(GET + b"\x04\x7f\x00" + b"/" * 127, id="a long path"),
        pytest.param(b"\xff\x00" + path_literal(b"/"), id="an index of two bytes"),
        pytest.param(b"\x00\x01x\x01y" + path_literal(b"/"), id="after another literal"),
    ],
)
def test_other_blocks_are_not_divided(block: bytes) -> None:
    assert split_at_path(block) == (block, b"", False, b"")


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
PIECES = [
    GET, HTTPS, b"\x84", b"\xbe", b"\xbf", b"\x80", b"\xff\x00", path_literal(b"/a"),
    path_literal(b"/bc", 0x05), path_literal(b"/d", 0x14), path_literal(b"/e" * 50),
    b"\x04\x82\x60\x7f", b"\x04\x81\xff", b"\x04\x00", b"\x44\x02/i", b"\x40\x01x\x01y",
    b"\x00\x01x\x01z", b"\x10\x01s\x01t", b"\x20", b"\x3f\xe1\x1f", b"\x04\x7f\x00",
]  # fmt: skip
"""Representations of fields, proper ones and others, and changes of the table's size."""


def check_agreement(plain: hpack.Decoder, ours: RememberingDecoder, block: bytes) -> bool:
    """Check that both decode this block in the same way; False if neither can."""
    try:
        expected = plain.decode(block, raw=True)
    except hpack.HPACKError as error:
        with pytest.raises(type(error)):
            ours.decode(block, raw=True)
        return False
    ours.decode(block, raw=True)
    assert list(ours.block.fields) == list(expected)
    return True


@settings(max_examples=300)
@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=5).map(b"".join), max_size=12))
def test_the_decoder_agrees_on_all_kinds_of_fields(blocks: list[bytes]) -> None:
    plain, remembering = hpack.Decoder(300), RememberingDecoder(300)
    for block in blocks:
        if not check_agreement(plain, remembering, block):
            return  # The connection ends.
        assert remembering.header_table.dynamic_entries == plain.header_table.dynamic_entries


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
        assert list(remembering.block.fields) == list(plain.decode(block, raw=True))
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
        if not check_agreement(plain, remembering, block):
            return  # The connection ends.


def test_a_block_of_tiny_fields_has_a_bound() -> None:
    decoder = RememberingDecoder(10**6)
    decoder.decode(GET * MOST_FIELDS)
    with pytest.raises(OversizedHeaderListError, match="more than"):
        decoder.decode(GET * (MOST_FIELDS + 1))
