"""What `check` finds out about `[files]`."""

from typing import Any

import pytest

from blue_green.preflight.checks.finding import Finding
from tests.support.check_context import CheckedSite, left_behind, only, troubles


def static(subject: CheckedSite, *, start: bool = False, **sections: Any) -> list[Finding]:
    """Check a static site, whose pages are in `public`."""
    del subject.sections["app"]
    return subject.check(start=start, **{"files": {"/": "public"}, **sections})


def commit(subject: CheckedSite, name: str) -> None:
    path = subject.checkout.path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("text")
    subject.checkout.commit()


def test_a_static_site_in_git_is_in_order(subject: CheckedSite) -> None:
    commit(subject, "public/index.html")
    found = static(subject)
    assert troubles(found) == []
    assert "public is in git" in [one.text for one in found]
    assert not any(one.about in ("[app] command", "[app] ports") for one in found)


def test_a_directory_that_no_release_can_have_is_an_error(subject: CheckedSite) -> None:
    found = only(subject.check(files={"/static/": "staticfiles"}))
    assert (found.verdict, found.about) == ("failed", '[files] "/static"')
    assert "no release has staticfiles" in found.text


def test_a_build_may_create_the_directory(subject: CheckedSite) -> None:
    release = {"build": ["touch", "x"]}
    assert troubles(subject.check(files={"/static/": "staticfiles"}, release=release)) == []


def test_a_site_without_a_first_page_is_warned_of(subject: CheckedSite) -> None:
    commit(subject, "public/about.html")
    found = only(static(subject))
    assert found.verdict == "warned"
    assert "public has no index.html" in found.text


@pytest.mark.long
def test_a_trial_builds_a_static_site_and_starts_nothing(subject: CheckedSite) -> None:
    build = ["sh", "-c", "mkdir public && touch public/index.html"]
    found = static(subject, start=True, release={"build": build})
    assert troubles(found) == []
    assert any("has all directories of [files]" in one.text for one in found)
    assert left_behind(subject) == []


def test_a_trial_finds_a_build_that_forgets_the_directory(subject: CheckedSite) -> None:
    found = only(static(subject, start=True, release={"build": ["true"]}))
    assert found.verdict == "failed"
    assert "the release has no directory public" in found.text


@pytest.mark.long
def test_a_trial_finds_a_build_without_a_first_page(subject: CheckedSite) -> None:
    found = only(static(subject, start=True, release={"build": ["mkdir", "public"]}))
    assert "public has no index.html" in found.text
