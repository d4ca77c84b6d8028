"""Which news of certificates are reported, and when."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from attrs import Factory, define, evolve

from blue_green.certificates.host_certificate import HostCertificate
from blue_green.site.certificate_reports import LOOK_EVERY, REPORT_EVERY, CertificateReports

BEGIN = datetime(2026, 11, 27, tzinfo=UTC)
HOST = "blog.example.com"
NO_DNS = "no address found: add an A record"
MISSING = HostCertificate(HOST, "acme", problem=NO_DNS, failures=1)
DAY = 86400.0
SOON = 2 * LOOK_EVERY


def good(host: str = HOST, *, days: float = 60, life: float = 90) -> HostCertificate:
    end = BEGIN + timedelta(days=days)
    return HostCertificate(host, "files", end, valid_from=end - timedelta(days=life))


def failing(*, failures: int) -> HostCertificate:
    return evolve(good(), source="acme", problem=NO_DNS, failures=failures)


@define
class Watching:
    """The reports about certificates that a test sets, at times that it chooses."""

    current: Sequence[HostCertificate] = ()
    clock: float = 0.0
    sent: list[tuple[str, str]] = Factory(list)
    reports: CertificateReports = Factory(
        lambda self: CertificateReports(lambda: self.current, self.take), takes_self=True
    )

    def take(
        self, outcome: str, reason: str, certificates: Sequence[HostCertificate], now: datetime
    ) -> None:
        assert certificates
        self.sent.append((outcome, reason))

    def after(self, seconds: float, *certificates: HostCertificate) -> list[tuple[str, str]]:
        """Outcome and reason of what is reported in this time about these certificates."""
        self.current = certificates or self.current
        end = self.clock + seconds
        while self.clock < end:
            self.look(min(LOOK_EVERY, end - self.clock))
        sent, self.sent = self.sent, []
        return sent

    def look(self, seconds: float = LOOK_EVERY) -> None:
        self.clock += seconds
        self.reports.look(BEGIN + timedelta(seconds=self.clock), self.clock)

    def outcomes(self, seconds: float, *certificates: HostCertificate) -> list[str]:
        return [outcome for outcome, _ in self.after(seconds, *certificates)]


@pytest.fixture
def watch() -> Watching:
    return Watching()


def test_valid_certificates_are_not_reported(watch: Watching) -> None:
    assert watch.after(DAY, good(), HostCertificate("new.example.com", "acme")) == []


def test_a_first_certificate_that_cannot_be_obtained_is_reported_once(watch: Watching) -> None:
    assert watch.after(SOON, MISSING) == [("failing", f"{HOST}: no certificate: {NO_DNS}")]
    assert watch.after(DAY, evolve(MISSING, failures=9)) == []


def test_a_single_failed_renewal_is_not_reported(watch: Watching) -> None:
    assert watch.after(DAY, failing(failures=1)) == []
    assert watch.after(SOON, good()) == []


def test_a_second_failed_renewal_in_a_row_is_reported_and_its_success_too(watch: Watching) -> None:
    assert watch.outcomes(SOON, failing(failures=2)) == ["failing"]
    assert watch.outcomes(DAY, failing(failures=1)) == []
    assert watch.after(SOON, good()) == [
        ("valid", f"{HOST}: the certificate is valid until 2027-01-26")
    ]


def test_files_that_cannot_be_used_for_a_moment_are_not_reported(watch: Watching) -> None:
    unusable = evolve(good(), problem="key: it is not the key of the certificate")
    watch.current = [unusable]
    watch.look()
    assert watch.after(SOON, good()) == []
    assert watch.outcomes(SOON, unusable) == ["failing"]


def test_files_that_nobody_renews_are_reported_14_and_3_days_before_the_end_and_at_the_end(
    watch: Watching,
) -> None:
    assert watch.outcomes(5.9 * DAY, good(days=20)) == []
    watch.clock = 6 * DAY
    [(outcome, reason)] = watch.after(SOON)
    assert (outcome, reason.partition("; ")[0]) == (
        "expiring", f"{HOST}: the certificate expires on 2026-12-17: renew the files"
    )  # fmt: skip
    watch.clock = 16.9 * DAY
    assert watch.after(SOON) == []
    watch.clock = 17 * DAY
    assert watch.outcomes(SOON) == ["expiring"]
    watch.clock = 20 * DAY
    assert watch.outcomes(SOON) == ["expired"]
    assert watch.outcomes(SOON, good(days=110)) == ["valid"]


def test_a_certificate_for_six_days_is_reported_in_the_last_fifth_of_its_life(
    watch: Watching,
) -> None:
    assert watch.after(0.7 * DAY, good(days=2, life=6)) == []
    assert watch.outcomes(0.2 * DAY) == ["expiring"]


def test_many_hosts_with_the_same_news_are_one_report(watch: Watching) -> None:
    many = [evolve(MISSING, host=f"{number}.example.com") for number in range(500)]
    [(_, reason)] = watch.after(SOON, *many)
    assert reason == f"0.example.com (and 499 more hosts): no certificate: {NO_DNS}"


def test_hosts_that_fail_one_after_the_other_are_reported_together_later(watch: Watching) -> None:
    hosts = [evolve(MISSING, host=f"{number}.example.com") for number in range(30)]
    sent = []
    for count in range(1, 31):
        sent += watch.after(SOON, *hosts[:count])
    sent += watch.after(REPORT_EVERY)
    assert [reason.partition(":")[0] for _, reason in sent] == [
        "0.example.com", "1.example.com (and 28 more hosts)"
    ]  # fmt: skip


def test_a_host_that_was_removed_is_reported_anew_when_it_is_back(watch: Watching) -> None:
    assert watch.outcomes(SOON, MISSING) == ["failing"]
    assert watch.outcomes(REPORT_EVERY, good("other.example.com")) == []
    assert watch.outcomes(SOON, MISSING) == ["failing"]


def test_an_expiry_is_also_logged(watch: Watching, caplog: pytest.LogCaptureFixture) -> None:
    watch.after(SOON, good(days=2))
    [line] = caplog.messages
    assert line.startswith(f"{HOST}: the certificate expires on 2026-11-29: ")
