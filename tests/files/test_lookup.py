"""The file for a path is found in the releases, and nothing outside of them."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blue_green.files.encodings import IDENTITY
from blue_green.files.lookup import SETTLED_NS, FoundDirectory, FoundFile
from blue_green.files.paths import file_path
from blue_green.files.roots import FileRoots
from blue_green.system.users import User
from tests.raw.files import roots, write

NOBODY = User(65534, 65534, (), "nobody", "/", "/bin/false")


async def content(files: FileRoots, path: str) -> bytes | None:
    """What is sent for the path; None if it is not the path of a file."""
    found = await files.find(path.encode())
    if not isinstance(found, FoundFile):
        return None
    return found.itself.body


async def test_a_path_is_that_of_a_file_a_page_or_an_index(tmp_path: Path) -> None:
    write(tmp_path, {"public/" + name: name for name in ("a", "b.html", "c/index.html", "d/x")})
    write(tmp_path, {"public/" + name: name for name in ("a.html", "c.html", "index.html")})
    files = roots(tmp_path)
    assert await content(files, "/a") == b"a"
    assert await content(files, "/b") == b"b.html"
    assert await content(files, "/c") == b"c.html"
    assert await content(files, "/c/") == b"c/index.html"
    assert await content(files, "/") == b"index.html"
    assert await files.find(b"/d") is None
    assert await files.find(b"/a/") is None
    (tmp_path / "public/c.html").unlink()
    assert isinstance(await files.find(b"/c"), FoundDirectory)


async def test_a_file_that_takes_precedence_is_found_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"new/public/b.html": "page", "old/public/c.js": "old"})
    files = roots(tmp_path / "new", tmp_path / "old")
    assert await content(files, "/b") == b"page"
    assert await content(files, "/c.js") == b"old"
    write(tmp_path, {"new/public/b": "file", "new/public/c.js": "new"})
    monkeypatch.setattr("blue_green.files.roots.SEARCHED", 0.0)
    monkeypatch.setattr("blue_green.files.roots.SURE", 0.0)
    for path, expected in ((b"/b", b"file"), (b"/c.js", b"new")):
        assert files.known(path) is None
        assert await content(files, path.decode()) == expected


async def test_a_known_file_is_not_searched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"public/a.js": "a"})
    await trio.sleep(SETTLED_NS / 1e9)  # What has just changed may change again unnoticed.
    files = roots(tmp_path)
    found = await files.find(b"/a.js")
    monkeypatch.setattr("blue_green.files.roots.SEARCHED", 0.0)
    monkeypatch.setattr("blue_green.files.roots.SURE", 0.0)
    known = files.known(b"/a.js")
    assert known is not None and known.found is found
    write(tmp_path, {"public/a.js": "b"})
    assert files.known(b"/a.js") is None


async def test_a_path_of_the_settings_may_be_that_of_a_file(tmp_path: Path) -> None:
    write(tmp_path, {"assets/icon.ico": "icon"})
    files = roots(tmp_path, served={"/favicon.ico": "assets/icon.ico"})
    assert await content(files, "/favicon.ico") == b"icon"
    assert await files.find(b"/favicon.ico/") is None


async def test_earlier_releases_have_what_the_live_one_lacks_but_pages(tmp_path: Path) -> None:
    write(tmp_path / "new", {"public/app.2.js": "2", "public/same.txt": "new"})
    write(tmp_path / "old", {"public/app.1.js": "1", "public/same.txt": "old"})
    write(tmp_path / "old", {"public/gone.html": "gone", "public/blog/index.html": "gone"})
    files = roots(tmp_path / "new", tmp_path / "old", tmp_path / "missing")
    assert await content(files, "/app.1.js") == b"1"
    assert await content(files, "/app.2.js") == b"2"
    assert await content(files, "/same.txt") == b"new"
    for path in (b"/gone.html", b"/gone", b"/blog", b"/blog/", b"/nothing.js"):
        assert await files.find(path) is None


@pytest.mark.parametrize(
    ("name", "is_found"),
    [
        ("app.css", True),
        ("photo.JPG", True),
        ("app.js.map", True),
        ("data.3f2a9c1b.json", True),
        ("robots.txt", False),
        ("report.pdf", False),
        ("data.json", False),
        ("about", False),
    ],
)
async def test_below_the_top_only_assets_come_from_earlier_releases(
    tmp_path: Path, name: str, is_found: bool
) -> None:
    """What a commit removes besides is gone, and an app may answer for it instead."""
    write(tmp_path / "new", {"public/x": "x"})
    write(tmp_path / "old", {f"public/{name}": "old"})
    served = {"/": "public", "/static/": "public"}
    files = roots(tmp_path / "new", tmp_path / "old", served=served)
    assert (await files.find(f"/{name}".encode()) is not None) is is_found
    assert await content(files, f"/static/{name}") == b"old"


async def test_the_checkout_is_served_below_a_path_of_link_and_only_there(tmp_path: Path) -> None:
    release, checkout = tmp_path / "release", tmp_path / "checkout"
    write(checkout, {"media/a.txt": "a", "public/up/b.txt": "b", "robots.txt": "r", "db": "secret"})
    write(release, {"public/x": "x"})
    (release / "media").symlink_to(checkout / "media")
    (release / "public/up").symlink_to(checkout / "public/up")
    (release / "public/robots.txt").symlink_to(checkout / "public/robots.txt")
    (release / "public/db").symlink_to(checkout / "db")
    (checkout / "public/robots.txt").write_text("robots")
    (checkout / "media/out").symlink_to(checkout / "db")
    (checkout / "media/up").symlink_to("../db")
    files = roots(
        release,
        served={"/": "public", "/media/": "media"},
        links=["media/", "public/up", "public/robots.txt"],
        checkout=checkout,
    )
    assert await content(files, "/media/a.txt") == b"a"
    assert await content(files, "/up/b.txt") == b"b"
    assert await content(files, "/robots.txt") == b"robots"
    for path in (b"/db", b"/media/out", b"/media/up", b"/media/../db", b"/media"):
        assert await files.find(path) is None
    found = await files.find(b"/media/a.txt")
    assert isinstance(found, FoundFile) and b"no-cache" in found.itself.lines


async def test_links_are_not_followed_if_the_whole_release_is_served(tmp_path: Path) -> None:
    write(tmp_path, {"checkout/db": "secret", "release/x": "x"})
    (tmp_path / "release/db").symlink_to(tmp_path / "checkout/db")
    files = roots(
        tmp_path / "release", served={"/": "."}, links=["db"], checkout=tmp_path / "checkout"
    )
    assert await content(files, "/x") == b"x"
    assert await files.find(b"/db") is None


async def test_pages_are_never_kept_without_asking(tmp_path: Path) -> None:
    write(tmp_path, {"public/a.3f2a9c1b.html": "a", "public/b.3f2a9c1b.x/index.html": "b"})
    for path in (b"/a.3f2a9c1b.html", b"/a.3f2a9c1b", b"/b.3f2a9c1b.x/"):
        found = await roots(tmp_path).find(path)
        assert isinstance(found, FoundFile) and b"no-cache" in found.itself.lines


async def test_a_link_of_the_app_itself_is_not_one_of_ours(tmp_path: Path) -> None:
    write(tmp_path, {"checkout/media/a": "a", "elsewhere/a": "secret", "release/x": ""})
    (tmp_path / "release/media").symlink_to(tmp_path / "elsewhere")
    files = roots(
        tmp_path / "release",
        served={"/media/": "media"},
        links=["media/"],
        checkout=tmp_path / "checkout",
    )
    assert await files.find(b"/media/a") is None


async def test_only_regular_files_are_served(tmp_path: Path) -> None:
    write(tmp_path, {"public/file": "file"})
    os.mkfifo(tmp_path / "public/fifo")
    (tmp_path / "public/null").symlink_to("/dev/null")
    if os.geteuid() == 0:
        os.mknod(tmp_path / "public/zero", 0o20666, os.makedev(1, 5))
    files = roots(tmp_path)
    for path in (b"/fifo", b"/null", b"/zero"):
        assert await files.find(path) is None
    assert await content(files, "/file") == b"file"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
async def test_what_the_apps_user_may_not_read_is_not_served(tmp_path: Path) -> None:
    write(tmp_path, {"public/open": "o", "public/secret": "s", "public/closed/x": "x"})
    for path in (tmp_path, *tmp_path.parents):
        if path.owner() == "root" and path.stat().st_mode & 0o1 == 0:
            path.chmod(path.stat().st_mode | 0o11)
    (tmp_path / "public/secret").chmod(0o600)
    (tmp_path / "public/closed").chmod(0o700)
    files = roots(tmp_path, user=NOBODY)
    assert await content(files, "/open") == b"o"
    assert await files.find(b"/secret") is None
    assert await files.find(b"/closed/x") is None
    (tmp_path / "public/secret").chmod(0o640)
    os.chown(tmp_path / "public/secret", 0, 12345)
    assert await files.find(b"/secret") is None
    member = User(65534, 65534, (12345,), "nobody", "/", "/bin/false")
    assert await content(roots(tmp_path, user=member), "/secret") == b"s"


async def test_the_etag_stays_the_same_for_the_same_content(tmp_path: Path) -> None:
    large = os.urandom(500_000)
    tags: list[bytes] = []
    for release in ("one", "two"):
        write(tmp_path / release, {"public/small": "small", "public/large": large})
        os.utime(tmp_path / release / "public/small", (0, len(tags)))
        for path in (b"/small", b"/large"):
            found = await roots(tmp_path / release).find(path)
            assert isinstance(found, FoundFile)
            tags.append(found.itself.validators.etag)
    assert tags[:2] == tags[2:]
    assert len(set(tags)) == 2


async def test_each_encoding_has_an_etag_of_its_own(tmp_path: Path) -> None:
    write(tmp_path, {"public/a.js": "a", "public/a.js.gz": "z", "public/a.js.br": "b"})
    found = await roots(tmp_path).find(b"/a.js")
    assert isinstance(found, FoundFile)
    assert set(found.encodings) == {IDENTITY, b"gzip", b"br"}
    assert len({each.validators.etag for each in found.encodings.values()}) == 3
    assert all(b"text/javascript" in each.lines for each in found.encodings.values())


TREE = {"a": "a", "sub/b": "b", "sub/deep/c": "c", "sub/index.html": "i", "été": "é", ".env": "s"}
LINKS = {
    "in": "sub/b", "indir": "sub/deep", "sub/up": "../a", "sub/upper": "../sub/deep/../b",
    "out": "../secret", "outdir": "..", "back": "../public/a", "loop": "loop", "sub/to": "../in",
    "dangling": "nothing", "sub/deep/top": "../..", "abs": "/etc/passwd", "chain": "indir/c",
    "hidden": ".env",
}  # fmt: skip
SEGMENTS = [
    "", ".", "..", "%2e%2e", "%2E", "..%2f", "%2f", "%5c", "..\\", "%00", "%252e%252e", "a", "sub",
    "deep", "b", "c", "in", "indir", "up", "upper", "out", "outdir", "back", "loop", "to", "top",
    "dangling", "abs", "chain", "secret", "public", "%C3%A9t%C3%A9", ".env", "hidden",
    "index.html", "etc", "passwd",
]  # fmt: skip


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("tree")
    write(top / "public", TREE)
    write(top, {"secret": "secret"})
    for name, target in LINKS.items():
        (top / "public" / name).symlink_to(target)
    (top / "public/absin").symlink_to(top / "public/a")
    return top


def resolved(root: Path, names: Sequence[str]) -> Path | None:
    """The file that these names lead to, resolved one after the other by hand."""
    todo, current, links = list(reversed(names)), root, 0
    while todo:
        name = todo.pop()
        if name == "..":
            if current == root:
                return None
            current = current.parent
            continue
        step = current / name
        if step.is_symlink():
            links += 1
            target = step.readlink()
            if links > 40 or target.is_absolute():
                return None
            todo += reversed(target.parts)
        elif todo and not step.is_dir():
            return None
        else:
            current = step
    return current if current.is_file() else None


@given(st.lists(st.sampled_from(SEGMENTS), max_size=6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_links_and_dots_lead_where_a_naive_resolver_says(tree: Path, segments: list[str]) -> None:
    path = f"/{'/'.join(segments)}".encode()
    files = roots(tree)
    found = files.lookup.find(parsed, None) if (parsed := file_path(path)) else None
    expected = None
    if parsed is not None:
        names = [os.fsdecode(name) for name in parsed.names]
        if parsed.has_slash:
            names.append("index.html")
        expected = resolved(tree / "public", names)
    if not isinstance(found, FoundFile):
        assert expected is None, path
    else:
        assert expected is not None, path
        assert found.itself.body == expected.read_bytes()
        assert found.itself.body != b"secret"
