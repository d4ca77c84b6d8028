"""TLS records, read in portions."""

from hypothesis import given
from hypothesis import strategies as st

from blue_green.http.records import MOST_AT_ONCE, Records


@given(st.lists(st.integers(0, 40), max_size=30), st.data())
def test_records_are_read_a_few_at_a_time(lengths: list[int], data: st.DataObject) -> None:
    whole = [b"\x17\x03\x03" + length.to_bytes(2) + b"x" * length for length in lengths]
    stream = b"".join(whole)
    ends = [sum(map(len, whole[: count + 1])) for count in range(len(whole))]
    records, given, at = Records(), b"", 0
    while at < len(stream):
        upto = data.draw(st.integers(at + 1, len(stream)))
        records.add(stream[at:upto])
        at = upto
        while records.have_more:
            before = len(given)
            given += records.portion()
            ended = [end for end in ends if before < end <= len(given)]
            assert len(ended) <= MOST_AT_ONCE + 1, "the one that was begun, and a few more"
            assert records.completed == bool(ended)
    assert given == stream
