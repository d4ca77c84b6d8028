"""Certificates in files: their end, and hosts that they are not for."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.raw.tls_client import write_pair
from tests.support.check_context import CheckedSite, only, troubles

NAMES = ("blog.example.com", "*.shop.example.com", "127.0.0.1")


@pytest.mark.parametrize(
    ("hosts", "missing"),
    [
        (["blog.example.com", "a.shop.example.com", "*.shop.example.com", "127.0.0.1"], ""),
        (["*"], ""),
        (["*.example.com"], "*.example.com"),
        (["blog.example.com", "shop.example.com"], "shop.example.com"),
        (["a.b.shop.example.com", "127.0.0.2"], "a.b.shop.example.com, 127.0.0.2"),
    ],
)
def test_hosts_that_the_certificate_is_not_for_are_reported(
    subject: CheckedSite, hosts: list[str], missing: str
) -> None:
    tls = write_pair(subject.directory, *NAMES)
    subject.sections = {"hosts": hosts, **subject.sections}
    pair = {"certificate": str(tls.certificate), "key": str(tls.key)}
    found = troubles(subject.check(proxy={"tls": pair}))
    said = [f"the certificate is not for {missing}: browsers refuse it there"] if missing else []
    assert [one.text for one in found] == said
    assert [(one.verdict, one.about) for one in found] == [("warned", "hosts")] * len(said)


def test_without_tls_no_certificate_is_needed(subject: CheckedSite) -> None:
    subject.sections = {"hosts": ["blog.example.com"], **subject.sections}
    assert troubles(subject.check()) == []


@pytest.mark.parametrize(
    ("days", "verdict", "text"), [(-1, "failed", "expired on"), (13, "warned", "expires on")]
)
def test_a_certificate_in_files_that_has_expired_or_soon_will_is_reported(
    subject: CheckedSite, days: int, verdict: str, text: str
) -> None:
    now = datetime.now(UTC)
    tls = write_pair(
        subject.directory,
        *NAMES,
        not_before=now - timedelta(days=90),
        not_after=now + timedelta(days=days, hours=1),
    )
    pair = {"certificate": str(tls.certificate), "key": str(tls.key)}
    found = only(subject.check(proxy={"tls": pair}))
    assert (found.verdict, found.about) == (verdict, "[proxy.tls]")
    assert f"{tls.certificate} {text} " in found.text
    assert found.advice.startswith("renew it")


def test_the_files_of_a_site_are_checked_with_its_own_hosts(subject: CheckedSite) -> None:
    tls = write_pair(subject.directory, "blog.example.com")
    pair = {"certificate": str(tls.certificate), "key": str(tls.key)}
    subject.sections = {"hosts": ["blog.example.com", "shop.example.com"], **subject.sections}
    found = subject.check(proxy={"tls": {}}, tls=pair)
    assert "is not for shop.example.com" in only(found).text
    assert [one.verdict for one in found if one.about == "[tls]"] == ["passed"]
