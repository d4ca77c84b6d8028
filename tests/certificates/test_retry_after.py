"""The field Retry-After, as authorities write it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blue_green.certificates import retry_after

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("0", NOW),
        ("120", NOW + timedelta(minutes=2)),
        ("604800", NOW + timedelta(days=7)),
        ("604801", NOW + timedelta(days=7)),
        ("9" * 5000, NOW + timedelta(days=7)),
        ("Fri, 27 Nov 2026 13:00:00 GMT", NOW + timedelta(hours=1)),
        ("Fri, 27 Nov 2026 13:00:00 -0000", NOW + timedelta(hours=1)),
        ("Fri, 27 Nov 2026 11:00:00 GMT", NOW),
        ("Fri, 31 Dec 9999 23:59:59 GMT", NOW + timedelta(days=7)),
        ("Mon, 01 Jan 0001 00:00:00 GMT", NOW),
        (None, None),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("\u0661", None),
        ("tomorrow", None),
        ("Fri, 32 Nov 2026 13:00:00 GMT", None),
    ],
)
def test_a_moment_is_bounded(field: str | None, expected: datetime | None) -> None:
    assert retry_after.moment(field, NOW) == expected


FIELDS = st.text() | st.builds(
    "Fri, {} {} {} {}:00:{} {}".format,
    st.integers(),
    st.sampled_from(["Nov", "Feb", "Foo"]),
    st.integers(),
    st.integers(),
    st.integers(),
    st.sampled_from(["GMT", "-0000", "+9999", "PST", ""]),
)


@given(FIELDS)
def test_whatever_the_field_is_the_moment_is_bounded_or_none(field: str) -> None:
    found = retry_after.moment(field, NOW)
    assert found is None or NOW <= found <= NOW + timedelta(days=7)


def test_seconds_are_bounded() -> None:
    assert retry_after.seconds("1000", 10) == pytest.approx(10, abs=0.1)
    assert retry_after.seconds("-", 10) is None
