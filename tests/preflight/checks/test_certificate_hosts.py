"""Hosts that the certificate is not for are reported."""

import pytest

from tests.raw.tls_client import write_pair
from tests.support.check_context import CheckedSite, troubles

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
