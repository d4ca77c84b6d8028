"""What a check finds about the machine."""

import resource

import pytest

from blue_green.config.process_settings import ProxySettings
from blue_green.preflight.checks import machine
from tests.support.check_context import CheckedSite, only, troubles


def test_the_default_of_max_connections_fits_the_descriptor_limit(
    subject: CheckedSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    default = ProxySettings().max_connections

    def limited(most: int) -> None:
        monkeypatch.setattr(resource, "getrlimit", lambda _: (most, most))

    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
    limited(20_000)
    assert troubles(subject.check(proxy={"max_connections": default})) == []
    found = only(subject.check(proxy={"max_connections": default - 1}))
    assert "allows 9413 of 9999" in found.text, "it was asked for"
    limited(1024)
    found = only(subject.check(proxy={"max_connections": default}))
    assert "allows 388 of 10000" in found.text


@pytest.mark.parametrize(
    ("version", "safe"),
    [((3, 40, 1), False), ((3, 51, 2), False), ((3, 51, 3), True), ((3, 44, 6), True)],
)
def test_versions_of_sqlite_are_classified_as_safe_or_not(
    version: tuple[int, int, int], safe: bool
) -> None:
    assert machine.is_safe(version) == safe
