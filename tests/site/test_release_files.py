"""Which releases files are served from."""

import os
from pathlib import Path

import attrs
import pytest

from blue_green.config.files_settings import FilesSettings
from blue_green.config.hosts import PathPrefix
from blue_green.config.release_kinds import ReleasePath
from blue_green.site import release_files
from blue_green.site.site import Site
from blue_green.source.build_record import BuildRecord
from blue_green.source.release import Release
from tests.support.repository import Repository
from tests.support.site_parts import make_single


@pytest.fixture
async def site(tmp_path: Path) -> Site:
    checkout = Repository(tmp_path / "checkout").path
    [site] = make_single(tmp_path / "state", checkout, files={"/static/": "static"})
    return site


def release(site: Site, digit: str) -> Release:
    revision = digit * 40
    path = site.releases.builds.first(revision)
    path.mkdir(exist_ok=True)
    return Release(revision, path)


def go_live(site: Site, slot: str, digit: str) -> None:
    site.slots.by_name(slot).release = release(site, digit)
    site.slots.go_live(site.slots.by_name(slot))


def served(site: Site) -> str:
    """The first digits of the revisions whose files are served."""
    roots = site.served.files
    return "".join(release.revision[0] for release in roots.releases) if roots else ""


async def test_nothing_is_served_before_the_first_release_is_live(site: Site) -> None:
    assert served(site) == ""


async def test_earlier_releases_follow_the_live_one_newest_first(site: Site) -> None:
    go_live(site, "blue", "1")
    go_live(site, "green", "2")
    go_live(site, "blue", "3")
    assert served(site) == "321"


async def test_a_release_that_was_reverted_is_served_behind_the_live_one(site: Site) -> None:
    go_live(site, "blue", "1")
    go_live(site, "green", "2")
    site.slots.go_live(site.slots.blue)
    assert served(site) == "12"


async def test_a_release_that_never_was_live_is_not_served(site: Site) -> None:
    go_live(site, "blue", "1")
    site.slots.green.release = release(site, "2")
    go_live(site, "blue", "3")
    assert served(site) == "31"


async def test_a_deleted_release_is_not_served(site: Site) -> None:
    go_live(site, "blue", "1")
    go_live(site, "green", "2")
    await site.releases.pruning.remove(release(site, "1").path)
    assert served(site) == "2"
    go_live(site, "blue", "3")
    assert served(site) == "32"


async def test_releases_leave_the_list_before_their_files_are_deleted(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_live(site, "blue", "1")
    go_live(site, "green", "2")
    seen: list[str] = []

    async def remove(path: Path, *, owners: object) -> None:
        assert path.is_dir()
        seen.append(served(site))

    monkeypatch.setattr("blue_green.source.pruning.trees.remove", remove)
    await site.releases.pruning.remove(release(site, "1").path)
    assert seen == ["2"]


async def test_the_list_survives_a_restart(site: Site) -> None:
    go_live(site, "blue", "1")
    go_live(site, "green", "2")
    await site.save()
    again = Site(site.settings, owner=site.user, user=site.user)
    go_live(again, "green", "2")
    assert served(again) == "21"


async def test_a_release_that_is_gone_at_a_restart_is_forgotten(site: Site) -> None:
    go_live(site, "blue", "1")
    go_live(site, "green", "2")
    release(site, "1").path.rmdir()
    await site.files.restore()
    go_live(site, "green", "2")
    assert served(site) == "2"


async def test_without_the_state_the_releases_are_known_that_were_promoted(site: Site) -> None:
    for number, digit in enumerate("123"):
        made = release(site, digit)
        status = "built" if digit == "2" else "promoted"
        BuildRecord(made.revision, status).write(site.releases.builds.record_of(made.path))
        os.utime(site.releases.builds.record_of(made.path), (number, number))
    await site.files.restore()
    go_live(site, "green", "3")
    assert served(site) == "31"


async def test_the_number_of_releases_is_bounded(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release_files, "MOST_RELEASES", 3)
    for number in range(1, 7):
        go_live(site, "blue", str(number))
    assert served(site) == "654"
    assert len(site.state.served) == 3


async def test_in_place_there_are_no_earlier_releases(site: Site) -> None:
    for digit in "12":
        site.slots.blue.release = Release(digit * 40, site.git.checkout)
        site.slots.go_live(site.slots.blue)
    assert served(site) == "2"
    assert site.state.served == {}


async def test_new_settings_apply_from_the_next_switch_on(site: Site) -> None:
    go_live(site, "blue", "1")
    files = FilesSettings({PathPrefix("/assets"): ReleasePath("assets")})
    site.use(attrs.evolve(site.settings, files=files))
    roots = site.served.files
    assert roots
    assert roots.settings.directories == {"/static": "static"}
    site.slots.green.settings = site.settings
    go_live(site, "green", "2")
    assert site.served.files
    assert site.served.files.settings is files


async def test_earlier_releases_can_be_left_out(site: Site) -> None:
    go_live(site, "blue", "1")
    files = attrs.evolve(site.settings.files, earlier_releases=False)
    site.slots.green.settings = attrs.evolve(site.settings, files=files)
    go_live(site, "green", "2")
    assert served(site) == "2"
    site.slots.green.settings = site.settings
    go_live(site, "green", "3")
    assert served(site) == "321"


async def test_without_the_section_no_files_are_served(site: Site) -> None:
    site.slots.blue.settings = attrs.evolve(site.settings, files=FilesSettings())
    go_live(site, "blue", "1")
    assert site.served.files is None


async def test_on_trial_both_groups_have_the_files_of_both_releases(site: Site) -> None:
    go_live(site, "green", "0")
    go_live(site, "blue", "1")
    site.slots.green.release = release(site, "2")
    roots = site.files.begin_trial(site.slots.green)
    assert roots is not None
    assert "".join(one.revision[0] for one in roots.releases) == "210"
    assert served(site) == "120"


async def test_a_release_that_was_on_trial_is_served_behind_the_live_one(site: Site) -> None:
    go_live(site, "blue", "1")
    site.slots.green.release = release(site, "2")
    site.files.begin_trial(site.slots.green)
    go_live(site, "blue", "3")
    assert served(site) == "312"


async def test_only_those_who_see_a_preview_have_its_files(site: Site) -> None:
    go_live(site, "blue", "1")
    site.slots.green.release = release(site, "2")
    roots = site.files.begin_trial(site.slots.green, is_secret=True)
    assert roots is not None
    assert "".join(one.revision[0] for one in roots.releases) == "21"
    assert served(site) == "1"
    go_live(site, "blue", "3")
    assert served(site) == "31"
