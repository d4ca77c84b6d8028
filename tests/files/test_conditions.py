"""Conditions and ranges are evaluated in the order of RFC 9110, section 13.2.2."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blue_green.files.conditions import Evaluation, Validators, evaluate
from blue_green.http.heads import CONDITIONS, fields_of

DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"
FILE = Validators(b'"tag"', 784111777, DATE)
SIZE = 100


def evaluation(*lines: str, method: str = "GET", size: int = SIZE) -> tuple[Evaluation, range]:
    fields = fields_of("".join(f"{line}\r\n" for line in lines).encode("latin-1"))
    return evaluate(fields, FILE, size, is_get=method == "GET")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (['If-Match: "other"', 'If-None-Match: "tag"'], Evaluation.FAILED),
        (['If-Match: "other", "tag"'], Evaluation.SEND),
        (["If-Match: *"], Evaluation.SEND),
        (['If-Match: W/"tag"'], Evaluation.FAILED),
        (
            ['If-Match: "tag"', "If-Unmodified-Since: Sat, 05 Nov 1994 08:49:37 GMT"],
            Evaluation.SEND,
        ),
        (["If-Unmodified-Since: Sat, 05 Nov 1994 08:49:37 GMT"], Evaluation.FAILED),
        (["If-Unmodified-Since: Sunday, 06-Nov-94 08:49:37 GMT"], Evaluation.SEND),
        (["If-Unmodified-Since: Sun Nov  6 08:49:36 1994"], Evaluation.FAILED),
        (["If-Unmodified-Since: Sun Nov 32 08:49:36 1994"], Evaluation.SEND),
        (['If-None-Match: W/"tag"'], Evaluation.NOT_MODIFIED),
        (['If-None-Match: "a,b", "tag"'], Evaluation.NOT_MODIFIED),
        (["If-None-Match: tag"], Evaluation.SEND),
        (['If-None-Match: "other"', f"If-Modified-Since: {DATE.decode()}"], Evaluation.SEND),
        ([f"If-Modified-Since: {DATE.decode()}"], Evaluation.NOT_MODIFIED),
        (["If-Modified-Since: Mon, 07 Nov 1994 08:49:37 GMT"], Evaluation.SEND),
        (['If-None-Match: "tag"', "Range: bytes=0-1"], Evaluation.NOT_MODIFIED),
    ],
)
def test_conditions_are_evaluated_in_the_order_of_the_standard(
    lines: list[str], expected: Evaluation
) -> None:
    assert evaluation(*lines)[0] is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("bytes=0-9", range(10)),
        ("bytes=90-", range(90, 100)),
        ("bytes=-5", range(95, 100)),
        ("bytes=-500", range(100)),
        ("BYTES=99-200", range(99, 100)),
        ("bytes=0-99999999999999999999999999", range(100)),
        ("bytes=000-000", range(1)),
    ],
)
def test_one_range_is_sent(value: str, expected: range) -> None:
    assert evaluation(f"Range: {value}") == (Evaluation.SEND_PART, expected)


@pytest.mark.parametrize(
    "value", ["bytes=100-", "bytes=-0", "bytes=99999999999999999999999-", "bytes=100-200"]
)
def test_a_range_of_nothing_is_unsatisfiable(value: str) -> None:
    assert evaluation(f"Range: {value}")[0] is Evaluation.UNSATISFIABLE


@pytest.mark.parametrize(
    "lines",
    [
        ["Range: bytes=0-1,5-6"],
        ["Range: bytes=0-1", "Range: bytes=5-6"],
        ["Range: bytes=5-4"],
        ["Range: bytes=-"],
        ["Range: bytes=1"],
        ["Range: bytes=+1-2"],
        ["Range: pages=1-2"],
        ["Range: bytes=0-1", 'If-Range: "other"'],
        ["Range: bytes=0-1", 'If-Range: W/"tag"'],
        ["Range: bytes=0-1", "If-Range: Mon, 07 Nov 1994 08:49:37 GMT"],
    ],
)
def test_other_ranges_are_ignored(lines: list[str]) -> None:
    assert evaluation(*lines) == (Evaluation.SEND, range(SIZE))


def test_a_range_is_sent_if_the_file_is_still_the_same() -> None:
    for validator in ('"tag"', DATE.decode()):
        found = evaluation("Range: bytes=0-1", f"If-Range: {validator}")
        assert found == (Evaluation.SEND_PART, range(2))


def test_a_range_is_for_get_only() -> None:
    assert evaluation("Range: bytes=0-1", method="HEAD") == (Evaluation.SEND, range(SIZE))


def test_an_empty_file_has_no_ranges() -> None:
    assert evaluation("Range: bytes=0-", size=0) == (Evaluation.SEND, range(0))


NAMES = [
    "If-Match",
    "if-none-match",
    "If-Modified-Since",
    "If-Unmodified-Since",
    "If-Range",
    "Range",
]


@given(
    st.lists(
        st.tuples(st.sampled_from(NAMES), st.text('"bytes=-0123456789,W/*GMT aé', max_size=30))
    )
)
def test_any_values_give_a_verdict_and_bytes_of_the_file(headers: list[tuple[str, str]]) -> None:
    lines = [f"{name}: {value}" for name, value in headers]
    found, part = evaluation(*lines)
    assert 0 <= part.start <= part.stop <= SIZE
    if found is not Evaluation.SEND or part != range(SIZE):
        assert {name.lower().encode() for name, _ in headers} & CONDITIONS
