"""What check says about the certificates of a running supervisor."""

from typing import Any

import pytest

from blue_green.config.settings import SiteSettings
from blue_green.preflight.checks.context import RunningSupervisor
from blue_green.preflight.checks.current_certificates import current
from blue_green.supervisor import settings_file
from tests.support.answers import ago, certificate
from tests.support.check_context import CheckedSite


@pytest.fixture
def site(subject: CheckedSite) -> SiteSettings:
    subject.configure()
    return settings_file.load(subject.file).sites[0]


def found(site: SiteSettings, *certificates: dict[str, Any]) -> list[tuple[str, str]]:
    running = RunningSupervisor(5, frozenset(), {}, {site.name: certificates})
    return [(one.verdict, one.text) for one in current(site, running)]


def test_valid_certificates_pass_with_the_first_to_expire(site: SiteSettings) -> None:
    late = certificate("b.example.com", valid_until=ago(days=-99))
    [(verdict, text)] = found(site, certificate("a.example.com"), late)
    assert (verdict, text) == ("passed", f"2 certificates, valid until {ago(days=-89)[:10]}")


def test_each_host_with_a_problem_is_named_up_to_a_limit(site: SiteSettings) -> None:
    bad = [certificate(f"{n}.example.com", problem="no DNS") for n in range(20)]
    said = found(site, *bad)
    assert said[0] == ("warned", "0.example.com: no DNS")
    assert said[5:] == [("warned", "15 more hosts with certificate problems")]


def test_without_a_supervisor_or_without_tls_nothing_is_said(site: SiteSettings) -> None:
    assert found(site) == []
    assert list(current(site, None)) == []
