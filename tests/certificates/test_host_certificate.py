"""What people are told about a certificate, and when it needs attention."""

from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve

from blue_green.certificates.host_certificate import HostCertificate

NOW = datetime(2026, 11, 27, tzinfo=UTC)
HOST = "blog.example.com"
DNS = "no address found for blog.example.com: add an A record"


def certificate(*, life: float = 90, left: float = 60) -> HostCertificate:
    """A certificate with this life, and this part of it left, in days."""
    end = NOW + timedelta(days=left)
    return HostCertificate(HOST, "acme", end, valid_from=end - timedelta(days=life))


@pytest.mark.parametrize(
    ("life", "left", "is_soon"),
    [(90, 15, False), (90, 13, True), (6, 2, False), (6, 1, True), (3650, 15, False)],
)
def test_a_certificate_expires_soon_14_days_before_its_end_or_in_the_last_fifth_of_its_life(
    life: float, left: float, is_soon: bool
) -> None:
    assert certificate(life=life, left=left).state(NOW) == ("expiring" if is_soon else "valid")


def test_a_valid_certificate_needs_no_attention() -> None:
    assert certificate().concern(NOW) == ""


def test_a_notice_about_the_authority_needs_attention_until_something_worse_happens() -> None:
    noticed = evolve(certificate(), notice="install the new root")
    assert (noticed.state(NOW), noticed.concern(NOW)) == ("valid", "install the new root")
    assert "valid until" in evolve(noticed, problem=DNS).concern(NOW)


def test_a_first_certificate_that_is_on_its_way_needs_no_attention() -> None:
    coming = HostCertificate(HOST, "acme")
    assert (coming.state(NOW), coming.concern(NOW)) == ("coming", "")


def test_a_certificate_that_cannot_be_obtained_is_reported_with_what_to_do() -> None:
    failing = HostCertificate(HOST, "acme", problem=DNS, failures=3)
    assert failing.state(NOW) == "failing"
    assert failing.concern(NOW) == f"no certificate after 3 attempts: {DNS}"


def test_a_failed_renewal_says_how_long_the_current_certificate_is_valid() -> None:
    failing = evolve(certificate(), problem=DNS, failures=2)
    assert failing.concern(NOW) == (
        f"valid until 2027-01-26, but no new certificate after 2 attempts: {DNS}"
    )


def test_new_files_that_cannot_be_used_are_reported() -> None:
    failing = evolve(certificate(), source="files", problem="key: it cannot be read")
    assert failing.concern(NOW) == (
        "valid until 2027-01-26, but the new files cannot be used: key: it cannot be read"
    )


def test_an_expired_certificate_is_reported_as_refused_by_browsers() -> None:
    expired = evolve(certificate(left=-1), source="files")
    assert expired.state(NOW) == "expired"
    assert expired.concern(NOW).startswith("browsers refuse the certificate, which expired on 2026")


def test_a_certificate_in_files_that_nobody_can_use_is_reported() -> None:
    assert HostCertificate(HOST, "files").concern(NOW).startswith("no certificate: browsers refuse")


def test_times_in_json_are_in_iso_8601() -> None:
    shown = certificate().as_dict(NOW)
    assert shown == {
        "host": HOST,
        "source": "acme",
        "state": "valid",
        "valid_until": "2027-01-26T00:00:00+00:00",
        "renews_at": None,
        "failures": 0,
        "problem": "",
    }
