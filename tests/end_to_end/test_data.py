"""Data that an app writes into its release is never lost silently."""

import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tests.support.site import RealSite
from tests.waiting import until

MakeSite = Callable[..., RealSite]

MIGRATE = """
import sqlite3
with sqlite3.connect("db.sqlite3") as data:
    data.execute("create table if not exists words (word text)")
"""


def release_of(site: RealSite, revision: str) -> Path:
    return site.state / "releases" / revision[:12]


def add(database: Path, word: str) -> None:
    with closing(sqlite3.connect(database)) as data, data:
        data.execute("create table if not exists words (word text)")
        data.execute("insert into words values (?)", [word])


def words(database: Path) -> list[str]:
    with closing(sqlite3.connect(database)) as data:
        return [word for (word,) in data.execute("select word from words")]


async def test_a_database_in_the_release_stops_the_swap_until_it_is_linked(
    make_site: MakeSite,
) -> None:
    site = make_site(release={"migrate": [sys.executable, "-c", MIGRATE]})
    one = site.commit("one")
    async with site.running(), site.steady_load():
        own = release_of(site, one) / "db.sqlite3"
        await site.until_logged("migrate wrote a database written inside of the release")
        add(own, "precious")
        two = site.commit("two")
        await site.until_logged("retrying in")
        status = await site.status()
        assert (status["live"]["revision"], status["quarantined"]) == (one, {})
        reason = status["last_swap"]["reason"]
        assert f"a database written inside of the release {one[:12]}: db.sqlite3" in reason
        assert reason.splitlines()[1:] == [
            '1. link = ["db.sqlite3"] in [release]',
            "2. blue-green reload",
            "3. blue-green pause --for 5m",
            f"4. cp -a {own}* {site.checkout}/",
            f"5. blue-green swap {two[:7]}",
            "6. blue-green resume",
        ]
        shown = (await site.cli("status")).out.splitlines()
        for number in range(1, 7):
            assert len([line for line in shown if line.strip().startswith(f"{number}. ")]) == 1
        assert site.releases() == [one[:12]], "nothing was built in vain"

        site.configure(release={"link": ["db.sqlite3"]})
        assert (await site.cli("reload")).code == 0
        done = await site.cli("swap", two)
        assert (done.code, "db.sqlite3" in done.out) == (1, True), "it was not copied yet"
        steps = [line.strip() for line in done.out.splitlines() if line.startswith("  ")]
        assert "1. blue-green pause --for 5m" in steps, "what was done is not asked for again"
        (site.checkout / ".git/info/exclude").write_text("db.sqlite3\n")
        shared = site.checkout / "db.sqlite3"
        await site.run("pause", "--config", str(site.config_file))
        # As the words say, with what a shell makes of the star.
        for file in own.parent.glob("db.sqlite3*"):
            shutil.copy2(file, site.checkout)
        add(own, "written after the copy")
        done = await site.cli("swap", two)
        assert (done.code, "db.sqlite3" in done.out) == (1, True), "the copy is older"
        for file in own.parent.glob("db.sqlite3*"):
            shutil.copy2(file, site.checkout)
        assert (await site.cli("swap", two)).code == 0
        await site.cli("resume")
        assert (release_of(site, two) / "db.sqlite3").resolve() == shared
        assert words(shared) == ["precious", "written after the copy"]

        three = site.commit("three")
        await site.until_live(three)
        add(release_of(site, three) / "db.sqlite3", "by the third")
        assert (await site.cli("rollback")).code == 0
        assert words(release_of(site, two) / "db.sqlite3")[-1] == "by the third"
        done = await site.cli("swap", one, "--retry")
        assert done.code == 0, "it is made again, with the link, beside the one that holds data"
        again = own.parent.with_name(f"{one[:12]}-2")
        assert words(again / "db.sqlite3")[-1] == "by the third"
        assert words(own)[-1] == "written after the copy"


async def test_a_release_that_holds_data_is_never_removed(make_site: MakeSite) -> None:
    site = make_site(release={"keep": 1}, swap={"stray_data": "warn"})
    one = site.commit("one")
    async with site.running():
        add(release_of(site, one) / "db.sqlite3", "precious")
        done = await site.cli("swap", two := site.draft("two"))
        assert done.code == 0
        assert "db.sqlite3" in done.out
        assert "is live now does not have" in (await site.cli("status")).out
        await site.until_logged("is live now does not have a database written inside")
        uploads = release_of(site, two) / "uploads"
        uploads.mkdir()
        (uploads / "photo.jpg").write_text("a photo")
        done = await site.cli("swap", site.draft("three"))
        assert 'link = ["uploads/"]' in done.out
        for number in range(3):
            assert (await site.cli("swap", site.draft(f"more, {number}"))).code == 0
        await until("it was pruned", lambda: len(site.releases()) <= 5)
        kept = (await site.status())["unremovable"]
        assert [one[:12] in "".join(kept), two[:12] in "".join(kept)] == [True, True], kept
        assert words(release_of(site, one) / "db.sqlite3") == ["precious"]
        (release_of(site, one) / "db.sqlite3").unlink()
        (uploads / "photo.jpg").unlink()
        assert (await site.cli("swap", site.draft("last"))).code == 0

        async def are_removed() -> bool:
            gone = not {one[:12], two[:12]} & set(site.releases())
            return gone and not (await site.status())["unremovable"]

        await until("both are removed", are_removed)


async def test_a_newer_database_in_the_checkout_is_no_copy_of_what_the_release_holds(
    make_site: MakeSite,
) -> None:
    site = make_site(release={"keep": 1, "link": ["db.sqlite3"]}, swap={"stray_data": "warn"})
    (site.checkout / ".git/info/exclude").write_text("db.sqlite3\n")
    one = site.commit("one")
    async with site.running():
        own = release_of(site, one) / "db.sqlite3"
        own.unlink()  # As some do that write a new file and rename it.
        add(own, "precious")
        add(site.checkout / "db.sqlite3", "of another time")
        done = await site.cli("swap", site.draft("two"))
        assert (done.code, f"{one[:12]} has the only copy of" in done.out) == (0, True)
        for number in range(3):
            assert (await site.cli("swap", site.draft(f"more, {number}"))).code == 0
        assert one[:12] in "".join((await site.status())["unremovable"])
        assert (await site.cli("swap", one, "--rebuild")).code == 0
        assert words(own) == ["precious"]


async def test_stray_files_that_are_no_database_are_named_and_do_not_stop_a_swap(
    make_site: MakeSite,
) -> None:
    site = make_site()
    one = site.commit("one")
    async with site.running(), site.steady_load():
        (release_of(site, one) / "report.csv").write_text("a,b\n")
        done = await site.cli("swap", site.draft("two"))
        assert done.code == 0
        assert "a file written inside of the release" in done.out
        assert "report.csv" in done.out


async def test_a_rollback_is_refused_too_when_it_would_leave_a_database_behind(
    make_site: MakeSite,
) -> None:
    site = make_site()
    one = site.commit("one")
    async with site.running(), site.steady_load():
        two = site.commit("two")
        await site.until_live(two)
        add(release_of(site, two) / "db.sqlite3", "precious")
        done = await site.cli("rollback")
        assert (done.code, "db.sqlite3" in done.out) == (1, True)
        assert (await site.status())["live"]["revision"] == two
        site.configure(swap={"stray_data": "warn"})
        assert (await site.cli("reload")).code == 0
        await site.until_live(one)  # It is tried again by itself.
        assert words(release_of(site, two) / "db.sqlite3") == ["precious"]


async def test_a_release_that_is_rolled_back_keeps_its_files_and_they_are_reported(
    make_site: MakeSite,
) -> None:
    site = make_site(
        release={"migrate": [sys.executable, "-c", MIGRATE]},
        swap={"soak": "600ms", "stray_data": "warn"},
    )
    site.commit("one", {".gitignore": "db.sqlite3\n"})
    async with site.running():
        bad = site.draft("bad", healthy_for=1)
        done = await site.cli("swap", bad)
        assert done.code == 1
        assert f"written inside of the release {bad[:12]}: db.sqlite3" in done.out
        assert (release_of(site, bad) / "db.sqlite3").exists()


async def test_links_to_missing_paths_are_made_and_lead_into_the_checkout(
    make_site: MakeSite,
) -> None:
    site = make_site(
        release={
            "link": ["media/", "var/data/", "db.sqlite3"],
            "migrate": [sys.executable, "-c", MIGRATE],
        }
    )
    one = site.commit("one", {".gitignore": "media\nvar\ndb.sqlite3\n"})
    async with site.running(), site.steady_load():
        assert (site.checkout / "media").is_dir()
        assert (site.checkout / "var" / "data").is_dir()
        assert words(site.checkout / "db.sqlite3") == []
        (release_of(site, one) / "media" / "photo").write_text("a photo")
        add(release_of(site, one) / "db.sqlite3", "precious")
        two = site.commit("two")
        await site.until_live(two)
        assert (release_of(site, two) / "media" / "photo").read_text() == "a photo"
        assert words(release_of(site, two) / "db.sqlite3") == ["precious"]
        assert (await site.status())["last_swap"]["warning"] == ""


async def test_a_file_that_replaced_its_link_is_noticed(make_site: MakeSite) -> None:
    """As by a program that writes beside it and renames: the link is gone then."""
    site = make_site(release={"link": ["settings.json"]})
    one = site.commit("one", {".gitignore": "settings.json\n"})
    async with site.running():
        release = release_of(site, one)
        (release / "settings.json.new").write_text("{}")
        (release / "settings.json.new").rename(release / "settings.json")
        done = await site.cli("swap", site.draft("two"))
        assert "settings.json" in done.out


async def test_a_rollback_works_to_a_revision_that_has_a_linked_path_in_git(
    make_site: MakeSite,
) -> None:
    site = make_site()
    one = site.commit("one", {"words.txt": "committed"})
    async with site.running():
        (site.checkout / "words.txt").unlink()
        two = site.commit("two", {".gitignore": "words.txt\n"})
        await site.until_live(two)
        (site.checkout / "words.txt").write_text("of this machine")
        site.configure(release={"link": ["words.txt"]})
        assert (await site.cli("reload")).code == 0
        assert (await site.cli("rollback")).code == 0
        assert (release_of(site, one) / "words.txt").read_text() == "committed"
        assert (await site.cli("rollback")).code == 0, "and forward, to one that is made again"
        assert (release_of(site, two) / "words.txt").read_text() == "of this machine"


async def test_a_release_too_deep_to_be_scanned_is_kept_and_named(
    make_site: MakeSite,
) -> None:
    site = make_site(release={"keep": 1}, swap={"soak": "0s"})
    one = site.commit("one")
    async with site.running():
        deep = release_of(site, one) / "/".join("d" * 70)
        deep.mkdir(parents=True)
        add(deep / "db.sqlite3", "precious")
        done = await site.cli("swap", site.draft("two"))
        assert (done.code, "cannot scan all of" in done.out) == (0, True)
        for number in range(3):
            assert (await site.cli("swap", last := site.draft(f"more, {number}"))).code == 0

        async def is_named() -> bool:
            return any(one[:12] in why for why in (await site.status())["unremovable"])

        await until("what is kept is named", is_named)
        assert words(deep / "db.sqlite3") == ["precious"]
        assert (await site.status())["live"]["revision"] == last


async def test_a_database_written_while_the_new_release_starts_stops_the_swap(
    make_site: MakeSite,
) -> None:
    site = make_site()
    one = site.commit("one")
    async with site.running(), site.steady_load():
        passes = site.directory / "passes"
        wait = f"until [ -e {passes} ]; do sleep 0.05; done"
        site.configure(release={"migrate": ["sh", "-c", f"echo it migrates; {wait}"]})
        assert (await site.cli("reload")).code == 0
        site.commit("two")
        await site.until_logged("it migrates")
        add(release_of(site, one) / "db.sqlite3", "late")
        passes.touch()
        await site.until_logged("retrying in")
        status = await site.status()
        assert status["live"]["revision"] == one
        assert "db.sqlite3" in status["last_swap"]["reason"]


WRITE_AT_END = """
import signal, sqlite3, subprocess, sys
child = subprocess.Popen(sys.argv[1:])
signal.signal(signal.SIGTERM, lambda *_: child.terminate())
child.wait()
if open("text.txt").read() == "one":
    with sqlite3.connect("db.sqlite3") as data:
        data.execute("create table if not exists words (word text)")
        data.execute("insert into words values ('late')")
"""
"""Runs an app, and writes what it remembered into a database at its end."""


async def test_a_database_written_at_an_old_releases_end_is_named_and_kept(
    make_site: MakeSite,
) -> None:
    site = make_site(release={"keep": 1}, swap={"soak": "0s"})
    site.configure(app={"command": [sys.executable, "-c", WRITE_AT_END, sys.executable, "app.py"]})
    one = site.commit("one")
    async with site.running():
        assert (await site.cli("swap", site.commit("two"))).code == 0
        await site.until_logged("db.sqlite3")

        async def is_named() -> bool:
            status = await site.status()
            return any(one[:12] in why and "db.sqlite3" in why for why in status["unremovable"])

        await until("status names it", is_named)
        assert "db.sqlite3" in (await site.status())["last_swap"]["warning"]
        for number in range(3):
            assert (await site.cli("swap", site.draft(f"more, {number}"))).code == 0
        await until("status names it still", is_named)
        assert words(release_of(site, one) / "db.sqlite3") == ["late"]


async def test_an_exclusive_swap_goes_back_when_the_old_release_wrote_a_database_at_its_end(
    make_site: MakeSite,
) -> None:
    site = make_site(swap={"strategy": "exclusive"})
    site.configure(app={"command": [sys.executable, "-c", WRITE_AT_END, sys.executable, "app.py"]})
    one = site.commit("one")
    async with site.running(), site.steady_load():
        done = await site.cli("swap", site.draft("two"))
        assert (done.code, "db.sqlite3" in done.out) == (1, True)
        assert (await site.status())["live"]["revision"] == one
