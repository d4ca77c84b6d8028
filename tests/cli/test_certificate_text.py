"""The certificates of a site on a terminal: a line if all is well, else a line for each problem."""

from datetime import datetime
from typing import Any

from blue_green.cli import certificate_text, site_list
from blue_green.cli.terminal import Style
from tests.support.answers import ago, certificate, status

WIDE = Style(unicode=True, width=200)
IN_89_DAYS = ago(days=-89, hours=-1)
DAY = f"{datetime.fromisoformat(IN_89_DAYS).astimezone():%Y-%m-%d}"
NO_DNS = {
    "state": "failing",
    "valid_until": None,
    "renews_at": ago(minutes=-5),
    "failures": 2,
    "problem": "no certificate after 2 attempts: no address found: add an A record",
}


def site(*certificates: dict[str, Any]) -> dict[str, Any]:
    return status(certificates=list(certificates))


def test_one_line_says_until_when_the_certificate_is_valid() -> None:
    lines = site_list.status(site(certificate("blog.example.com")), WIDE)
    assert f"       https  1 certificate: valid until {DAY} (89 days)" in lines


def test_several_certificates_are_one_line_with_the_first_to_expire() -> None:
    late = certificate("b.example.com", valid_until=ago(days=-99))
    text = certificate_text.summary(site(certificate("a.example.com"), late))
    assert text == f"2 certificates: valid until {DAY} (89 days) or later"


def test_certificates_that_are_missing_are_counted() -> None:
    coming = certificate("b.example.com", state="coming", valid_until=None)
    text = certificate_text.summary(
        site(certificate("a.example.com"), coming, certificate("c.example.com", **NO_DNS))
    )
    assert text == (f"3 certificates: 1 valid until {DAY} (89 days), 1 being obtained, 1 missing")


def test_a_certificate_that_ends_within_two_days_is_shown_in_hours() -> None:
    text = certificate_text.summary(site(certificate("a", valid_until=ago(hours=-30, minutes=-5))))
    assert text.endswith(" (30 h)")


def test_without_tls_nothing_is_said_of_certificates() -> None:
    assert certificate_text.summary(status()) == ""
    older = status()
    del older["certificates"]
    assert not any("https" in line for line in site_list.status(older, WIDE))


def test_a_problem_is_shown_with_its_host() -> None:
    lines = site_list.status(site(certificate("blog.example.com", **NO_DNS)), WIDE)
    [line] = [line for line in lines if "blog.example.com" in line]
    assert line.strip() == f"blog.example.com: {NO_DNS['problem']}"


def test_of_500_problems_five_are_shown_and_the_others_counted() -> None:
    many = [certificate(f"{number}.example.com", **NO_DNS) for number in range(500)]
    problems = certificate_text.problems(site(*many))
    assert len(problems) == 6
    assert problems[-1] == "495 more hosts: see blue-green status --json"


def test_the_list_of_sites_has_a_line_for_certificates_that_need_attention() -> None:
    bad = site(certificate("a.example.com", **NO_DNS), certificate("b.example.com", **NO_DNS))
    sites = {"good": site(certificate("c.example.com")), "bad": bad}
    lines = site_list.status({"sites": sites, "supervisor": status()["supervisor"]}, WIDE)
    assert lines[3] == f"    a.example.com (and 1 more host): {NO_DNS['problem']}"
    assert not any("c.example.com" in line for line in lines)
