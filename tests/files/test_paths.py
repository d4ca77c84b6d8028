"""Paths of requests become names below a directory, or nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blue_green.config.release_kinds import directories
from blue_green.files.paths import FilePath, ServedDirectories, file_path, with_slash


@pytest.mark.parametrize(
    ("path", "names", "has_slash"),
    [
        (b"/", (), True),
        (b"/a", (b"a",), False),
        (b"/a/b/", (b"a", b"b"), True),
        (b"/%61%20b", (b"a b",), False),
        (b"/%C3%A9", ("é".encode(),), False),
        (b"/a+b", (b"a+b",), False),
        (b"/%252e%252e", (b"%2e%2e",), False),
        (b"/a%5Cb", (b"a\\b",), False),
        (b"/a..b/c.", (b"a..b", b"c."), False),
        (b"/.well-known/x", (b".well-known", b"x"), False),
    ],
)
def test_a_path_is_decoded_once(path: bytes, names: tuple[bytes, ...], has_slash: bool) -> None:
    assert file_path(path) == FilePath(names, has_slash)


@pytest.mark.parametrize(
    "path",
    [
        b"*", b"", b"//", b"//a", b"/a//b", b"/a//", b"/.", b"/..", b"/a/../b", b"/a/./b",
        b"/%2e%2e/a", b"/%2E", b"/a/.%2e/b", b"/a%2Fb", b"/..%2fa", b"/a%00", b"/%00", b"/%ff",
        b"/%C0%AF", b"/%", b"/%2", b"/%zz", b"/.env", b"/a/.git/config", b"/%2egit/config",
        b"/.well-known/.env", b"/a/.well-known/x", b"/..;/a", b"/" + b"a/" * 65,
    ],
)  # fmt: skip
def test_other_paths_are_those_of_no_file(path: bytes) -> None:
    assert file_path(path) is None


@given(st.binary(max_size=40).map(lambda path: b"/" + path))
def test_no_name_can_leave_a_directory(path: bytes) -> None:
    found = file_path(path)
    if found is not None:
        for name in found.names:
            assert name not in (b"", b".", b"..")
            assert b"/" not in name and b"\0" not in name


@pytest.mark.parametrize(
    ("path", "directory", "rest"),
    [
        (b"/static/app.js", (b"out", b"static"), (b"app.js",)),
        (b"/%73tatic/app.js", (b"out", b"static"), (b"app.js",)),
        (b"/static", (b"out", b"static"), ()),
        (b"/static/img/a.png", (b"images",), (b"a.png",)),
        (b"/staticky", (), (b"staticky",)),
        (b"/two%20words/x", (b"words",), (b"x",)),
        (b"/", (), ()),
    ],
)
def test_the_longest_path_of_the_settings_is_used(
    path: bytes, directory: tuple[bytes, ...], rest: tuple[bytes, ...]
) -> None:
    served = ServedDirectories(
        directories(
            {
                "/": ".",
                "/static/": "out/static",
                "/static/img": "images",
                "/two%20words/": "words",
            }
        )
    )
    parsed = file_path(path)
    assert parsed is not None
    assert served.find(parsed) == (directory, rest)


def test_other_paths_are_not_served() -> None:
    served = ServedDirectories(directories({"/static/": "static"}))
    assert served.find(FilePath((b"other",), False)) is None
    assert served.find(FilePath((), True)) is None


@pytest.mark.parametrize(
    ("path", "location"),
    [
        (b"/blog", "./blog/"),
        (b"/a/b", "./b/"),
        (b"//evil.example", "./evil.example/"),
        (b"/\\evil.example", "./%5Cevil.example/"),
        (b"/%2Fevil.example", "./%2Fevil.example/"),
        (b"/javascript:alert(1)", "./javascript%3Aalert%281%29/"),
        (b"/a%20b%0D%0A", "./a%20b%0D%0A/"),
    ],
)
def test_a_redirect_stays_on_the_host(path: bytes, location: str) -> None:
    assert with_slash(path) == location
