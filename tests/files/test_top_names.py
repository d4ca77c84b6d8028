"""Requests for an app are told from those for files by the first name of their path."""

from pathlib import Path

import pytest

from blue_green.files import top_names
from blue_green.files.lookup import FoundFile
from tests.raw.files import roots, write


@pytest.fixture
def release(tmp_path: Path) -> Path:
    write(tmp_path, {"public/robots.txt": "", "public/about.html": "", "public/css/a.css": "a"})
    return tmp_path


async def test_only_names_that_are_not_there_are_those_of_the_app(release: Path) -> None:
    files = roots(release, served={"/": "public", "/media/": "media"}, has_app=True)
    assert not files.is_for_app(b"/login")  # Nothing is known yet.
    assert await files.find(b"/login") is None
    for path in (b"/login", b"/login/x?y", b"/", b"/?x", b"/rob", b"/.env", b"//robots.txt"):
        assert files.is_for_app(path), path
        assert await files.find(path.partition(b"?")[0]) is None
    for path in (b"/robots.txt", b"/about", b"/about.html", b"/css/no", b"/media", b"/media/x"):
        assert not files.is_for_app(path), path
    assert not files.is_for_app(b"/%72obots.txt?x")


async def test_an_index_is_at_the_root(release: Path) -> None:
    write(release, {"public/index.html": ""})
    files = roots(release, has_app=True)
    assert await files.find(b"/login") is None
    assert not files.is_for_app(b"/?x")
    assert isinstance(await files.find(b"/"), FoundFile)


async def test_earlier_releases_count(tmp_path: Path) -> None:
    write(tmp_path, {"new/public/a": "", "old/public/b.js": ""})
    files = roots(tmp_path / "new", tmp_path / "old", has_app=True)
    assert await files.find(b"/c") is None
    assert not files.is_for_app(b"/b.js")


async def test_a_new_name_is_found_after_a_while(
    release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = roots(release, has_app=True)
    assert await files.find(b"/new") is None
    assert files.is_for_app(b"/new")
    write(release, {"public/new": "new"})
    monkeypatch.setattr(top_names, "STAYS", 0.0)
    assert not files.is_for_app(b"/new")
    assert isinstance(await files.find(b"/new"), FoundFile)


async def test_without_a_directory_at_the_root_nothing_is_listed(release: Path) -> None:
    files = roots(release, served={"/css/": "public/css"}, has_app=True)
    assert files.is_for_app(b"/login") and not files.is_for_app(b"/css/a.css")
    assert not roots(release).is_for_app(b"/login")  # There is no app.


async def test_too_many_names_are_not_kept(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blue_green.files.lookup.MOST_NAMES", 2)
    files = roots(release, has_app=True)
    assert await files.find(b"/login") is None
    assert not files.is_for_app(b"/login")
