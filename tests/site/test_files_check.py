"""Whether a release has what `[files]` serves of it."""

from pathlib import Path
from typing import Any

import pytest

from blue_green.config import parsing
from blue_green.config.settings import SiteSettings
from blue_green.site import files_check
from blue_green.system.users import owner_of


def settings(tmp_path: Path, files: dict[str, str], **release: Any) -> SiteSettings:
    checkout = tmp_path / "checkout"
    checkout.mkdir(exist_ok=True)
    document = {"files": files, "release": release}
    return parsing.parse(document, checkout / "supervisor.toml").sites[0]


@pytest.fixture
def release(tmp_path: Path) -> Path:
    path = tmp_path / "release"
    path.mkdir()
    return path


def problem(release: Path, settings: SiteSettings) -> str:
    return files_check.first_problem(release, settings, owner_of(release))


def test_a_release_with_all_directories_can_be_served(tmp_path: Path, release: Path) -> None:
    (release / "dist" / "assets").mkdir(parents=True)
    (release / "dist" / "404.html").touch()
    site = settings(tmp_path, {"/a/": "dist/assets", "/": "dist", "not_found": "dist/404.html"})
    assert problem(release, site) == ""


def test_a_missing_directory_hints_at_a_forgotten_command(tmp_path: Path, release: Path) -> None:
    site = settings(tmp_path, {"/static/": "staticfiles"}, build=["true"])
    assert problem(release, site) == (
        '"/static": the release has no directory staticfiles: does build in [release] run the '
        "command that makes it, such as collectstatic?"
    )


def test_without_a_build_nothing_could_make_the_directory(tmp_path: Path, release: Path) -> None:
    site = settings(tmp_path, {"/static/": "staticfiles"})
    assert "it is not in git, and there is no build" in problem(release, site)


def test_a_path_may_be_that_of_a_file(tmp_path: Path, release: Path) -> None:
    (release / "icon.ico").touch()
    assert problem(release, settings(tmp_path, {"/favicon.ico": "icon.ico"})) == ""


def test_a_directory_is_no_page(tmp_path: Path, release: Path) -> None:
    (release / "public").mkdir()
    site = settings(tmp_path, {"/": "public", "fallback": "public"})
    assert problem(release, site) == "fallback: public is a directory"


def test_a_missing_page_is_named(tmp_path: Path, release: Path) -> None:
    (release / "public").mkdir()
    site = settings(tmp_path, {"/": "public", "fallback": "public/app.html"})
    assert problem(release, site).startswith("fallback: the release has no file public/app.html")


def test_a_symbolic_link_out_of_the_release_is_not_served(tmp_path: Path, release: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (release / "public").symlink_to(tmp_path / "elsewhere")
    assert "is a symbolic link out of the release" in problem(
        release, settings(tmp_path, {"/": "public"})
    )


def test_a_linked_directory_may_be_served(tmp_path: Path, release: Path) -> None:
    site = settings(tmp_path, {"/media/": "media"}, link=["media/"])
    (site.git.checkout / "media").mkdir()
    (release / "media").symlink_to(site.git.checkout / "media")
    assert problem(release, site) == ""


def test_a_symbolic_link_within_the_release_may_be_served(tmp_path: Path, release: Path) -> None:
    (release / "build-7").mkdir()
    (release / "public").symlink_to("build-7")
    assert problem(release, settings(tmp_path, {"/": "public"})) == ""
