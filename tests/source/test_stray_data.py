"""Files that a running app wrote into its release are found, and no others."""

import os
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from blue_green.source import build_record, stray_data, stray_scan, stray_text
from blue_green.source.stray_scan import Found

NOW = 0
"""Everything that is there came after that."""


def make_database(file: Path, *, wal: bool = False) -> sqlite3.Connection:
    file.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(file)
    if wal:
        connection.execute("pragma journal_mode = wal")
    connection.execute("create table if not exists words (word text)")
    connection.execute("insert into words values ('hello')")
    connection.commit()
    return connection


@pytest.fixture
def release(tmp_path: Path) -> Path:
    path = tmp_path / "release"
    path.mkdir()
    return path


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    path = tmp_path / "checkout"
    path.mkdir()
    return path


def write(release: Path, *names: str) -> None:
    for name in names:
        (release / name).parent.mkdir(parents=True, exist_ok=True)
        (release / name).write_text("something")


@pytest.mark.parametrize("wal", [False, True])
def test_a_database_is_recognised_by_its_header_whatever_its_name(release: Path, wal: bool) -> None:
    write(release, "really.db", "notes.txt")
    for name in ("db.sqlite3", "tmp/data", ".tmp/data.db", "a/b/c/words"):
        make_database(release / name, wal=wal).close()
    found = stray_scan.scan(release)
    assert list(found.databases) == [".tmp/data.db", "a/b/c/words", "db.sqlite3", "tmp/data"]
    assert found.files == []


def test_reproducible_files_do_not_count(release: Path) -> None:
    names = (
        ".git/index", "node_modules/x/data.db", "node_modules/.cache/x", "__pycache__/a.pyc",
        ".cache/http", "http_cache.sqlite", "log/production.log", "server.pid", "a.pyc",
        "tmp/restart.txt", ".next/server/page.html", ".git/objects/x",
    )  # fmt: skip
    write(release, *names, "uploads/photo.jpg", "state.json")
    for name in (".git/y.db", "__pycache__/y.db", "var/cache/http.sqlite", "web_cache.db"):
        make_database(release / name).close()
    (release / "empty").touch()
    os.mkfifo(release / "fifo")
    found = stray_scan.scan(release, NOW)
    assert (found.databases, found.files) == ({}, ["state.json", "uploads/photo.jpg"])


def test_only_files_newer_than_the_build_count(release: Path) -> None:
    write(release, "built.css")
    time.sleep(0.02)  # The kernel's clock for files is a coarse one.
    since = time.time_ns()
    time.sleep(0.02)
    os.link(release / "built.css", release.parent / "elsewhere.css")  # As uv and pnpm do.
    write(release, "later.css")
    assert stray_scan.scan(release, since).files == ["later.css"]


def test_links_are_not_followed_and_a_databases_companions_belong_to_it(
    release: Path, tmp_path: Path
) -> None:
    make_database(tmp_path / "shared" / "db.sqlite3").close()
    (release / "db.sqlite3").symlink_to(tmp_path / "shared" / "db.sqlite3")
    (release / "shared").symlink_to(tmp_path / "shared")
    assert not stray_scan.scan(release, NOW)
    with closing(make_database(release / "own.db", wal=True)):
        found = stray_scan.scan(release, NOW)
        assert (list(found.databases), found.files) == (["own.db"], [])


def test_a_database_made_by_the_build_counts_once_it_is_written_to(
    release: Path, checkout: Path
) -> None:
    with closing(make_database(release / "site.db", wal=True)) as connection:
        built = build_record.complete("a" * 40, stray_scan.scan(release))
        assert not stray_data.find(release, built, checkout, ())
        connection.execute("insert into words values ('more')")
        connection.commit()  # Into its log, and not yet into the file.
        found = stray_data.find(release, built, checkout, ())
    assert found.databases == ["site.db"]
    assert "git rm --cached site.db" in stray_text.refusal(found)


def test_a_file_copied_into_the_checkout_and_linked_is_not_stray(
    release: Path, checkout: Path
) -> None:
    empty = build_record.complete("a" * 40, Found())
    make_database(release / "db.sqlite3").close()
    write(release, "media/photo")
    links = ("db.sqlite3", "media/")
    assert stray_data.find(release, empty, checkout, links).databases == ["db.sqlite3"]
    write(checkout, "media/photo")
    make_database(checkout / "db.sqlite3").close()
    assert stray_data.find(release, empty, checkout, ()).databases == ["db.sqlite3"]
    assert not stray_data.find(release, empty, checkout, links)
    future = time.time() + 10
    os.utime(release / "db.sqlite3", (future, future))
    assert stray_data.find(release, empty, checkout, links).databases == ["db.sqlite3"], (
        "written since"
    )


def test_the_scan_is_bounded(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(release, *(f"{number}.txt" for number in range(20)))
    monkeypatch.setattr(stray_scan, "MAX_ENTRIES", 10)
    found = stray_scan.scan(release, NOW)
    assert (len(found.files), found.is_partial) == (10, True)
    monkeypatch.setattr(stray_scan, "MAX_ENTRIES", 1000)
    assert stray_scan.scan(release, NOW, seconds=0).is_partial
    assert not stray_scan.scan(release, NOW).is_partial
    make_database(release / "/".join("d" * 40) / "deep.db").close()
    assert stray_scan.scan(release, NOW).databases
    write(release, "/".join("d" * 80) + "/deep.txt")
    assert stray_scan.scan(release, NOW).is_partial


def test_a_release_too_large_to_be_scanned_is_judged_by_timestamps(
    release: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise what the build has put there, and was not seen then, would stop every swap."""
    for number in range(5):
        make_database(release / f"{number}.db").close()
    monkeypatch.setattr(stray_scan, "MAX_ENTRIES", 2)
    built = build_record.complete("a" * 40, stray_scan.scan(release))
    assert built.is_partial
    monkeypatch.undo()
    assert not stray_data.find(release, built, checkout, ())
    time.sleep(0.02)  # The kernel's clock for files is a coarse one.
    make_database(release / "3.db").close()
    assert stray_data.find(release, built, checkout, ()).databases == ["3.db"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read all")
def test_an_unreadable_directory_makes_the_scan_partial(release: Path) -> None:
    (release / "locked").mkdir(mode=0)
    assert stray_scan.scan(release, NOW).is_partial


def test_an_unscanned_release_is_not_known_to_be_empty(release: Path, checkout: Path) -> None:
    write(release, "/".join("d" * 80) + "/deep.txt")
    found = stray_data.find(release, build_record.complete("a" * 40, Found()), checkout, ())
    assert found
    assert "cannot scan all of" in stray_text.warning(found)
    assert "delete it by hand" in stray_text.kept(found)


@pytest.mark.parametrize("where", ["", "env/", "a/b/"])
def test_a_virtual_environment_hides_only_the_files_installed_in_it(
    release: Path, where: str
) -> None:
    write(release, f"{where}pyvenv.cfg", f"{where}lib/thing.py", f"{where}bin/python")
    make_database(release / f"{where}lib/installed.db").close()
    time.sleep(0.02)  # The kernel's clock for files is a coarse one.
    built = build_record.complete("a" * 40, stray_scan.scan(release))
    time.sleep(0.02)
    assert not stray_scan.scan(release, built.completed)
    for name in ("data.sqlite", "var/data.sqlite", "lib/written.db"):
        make_database(release / where / name).close()
    write(release, f"{where}lib/late.pyc", f"{where}uploads/photo.jpg")
    found = stray_scan.scan(release, built.completed)
    names = ("data.sqlite", "lib/written.db", "var/data.sqlite")
    assert list(found.databases) == [f"{where}{name}" for name in names]
    assert found.files == [f"{where}uploads/photo.jpg"]


def test_a_database_written_among_dependencies_counts_and_one_installed_there_does_not(
    release: Path,
) -> None:
    make_database(release / "node_modules/x/installed.db").close()
    time.sleep(0.02)
    since = time.time_ns()
    time.sleep(0.02)
    make_database(release / "node_modules/x/written.db").close()
    write(release, "node_modules/x/late.js")
    found = stray_scan.scan(release, since)
    assert (list(found.databases), found.files) == (["node_modules/x/written.db"], [])


def test_a_missing_release_or_a_link_has_no_stray_data(release: Path, tmp_path: Path) -> None:
    write(release, "a.txt")
    (tmp_path / "link").symlink_to(release)
    assert not stray_scan.scan(tmp_path / "link", NOW)
    assert not stray_scan.scan(tmp_path / "nowhere", NOW)


@pytest.mark.parametrize(
    "torn",
    [
        pytest.param("", id="empty"),
        pytest.param("aaaa", id="half a line"),
        pytest.param("\0" * 100, id="zeros"),
    ],
)
def test_a_release_with_a_damaged_build_record_is_not_known_to_be_empty(
    tmp_path: Path, torn: str
) -> None:
    """So it must not be deleted."""
    file, release = tmp_path / "mark", tmp_path / "release"
    file.write_text(torn)
    release.mkdir()
    assert stray_data.find(
        release, build_record.read(file), tmp_path, (), before_deleting=True
    ).is_partial


def test_a_copy_of_a_database_with_its_log_is_recognised(release: Path, checkout: Path) -> None:
    """As `cp -a` makes it: then the release may be deleted; and not when its log is another."""
    built = build_record.complete("a" * 40, Found())
    with closing(make_database(release / "data.db", wal=True)):
        for file in release.iterdir():
            shutil.copy2(file, checkout)
        links = ("data.db",)
        assert not stray_data.find(release, built, checkout, links, before_deleting=True)
        (checkout / "data.db-wal").write_bytes(b"of another time")
        assert stray_data.find(release, built, checkout, links, before_deleting=True).databases
