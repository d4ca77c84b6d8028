"""What check says about a site that is in maintenance."""

from pathlib import Path

import pytest

from blue_green.config import parsing
from blue_green.preflight.checks.context import RunningSupervisor
from blue_green.preflight.checks.finding import Finding
from blue_green.preflight.checks.maintenance import current
from tests.support.check_context import CheckedSite, only

ON = {"since": "2026-11-27T20:00:00+00:00", "until": None}


def found(label: str = "", **differing: object) -> list[Finding]:
    document = {"app": {"command": ["x"]}}
    site = parsing.parse(document, Path("/srv/blog/supervisor.toml")).sites[0]
    running = RunningSupervisor(
        5, frozenset(), {}, {}, {site.name: {**ON, **differing}} if differing else {}
    )
    return list(current(site, running, label))


@pytest.mark.parametrize(
    ("until", "words"),
    [
        (None, "new requests get 503 until further notice, since 2026-11-27T20:00:00+00:00"),
        ("2026-11-28", "new requests get 503 until 2026-11-28, since 2026-11-27T20:00:00+00:00"),
    ],
)
def test_a_site_in_maintenance_is_named_with_the_command_that_ends_it(
    until: str | None, words: str
) -> None:
    [finding] = found("blog", until=until)
    assert (finding.verdict, finding.text) == ("warned", words)
    assert finding.advice == "to end it: blue-green maintenance off --site blog"


def test_of_any_other_site_nothing_is_said() -> None:
    assert found() == []


def test_a_page_that_does_not_show_the_message_is_reported(
    subject: CheckedSite,
) -> None:
    pages = subject.directory / "pages"
    pages.mkdir()
    (pages / "maintenance.html").write_text("<p>Back soon.")
    (pages / "maintenance.txt").write_text("{message}")
    finding = only(subject.check(proxy={"error_pages": str(pages)}))
    assert finding.verdict == "warned"
    assert finding.text.startswith("maintenance.html lacks {message}")
