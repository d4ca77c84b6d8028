"""Types come from the extension, by a table of our own."""

import pytest

from blue_green.files.content_types import content_type, is_page


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("index.html", "text/html; charset=utf-8"),
        ("APP.JS", "text/javascript; charset=utf-8"),
        ("app.css", "text/css; charset=utf-8"),
        ("feed.xml", "application/xml; charset=utf-8"),
        ("data.json", "application/json"),
        ("app.js.map", "application/json"),
        ("logo.svg", "image/svg+xml; charset=utf-8"),
        ("a.tar.gz", "application/gzip"),
        ("module.wasm", "application/wasm"),
        ("font.woff2", "font/woff2"),
        ("LICENSE", "text/plain; charset=utf-8"),
        ("apple-app-site-association", "application/json"),
        ("unknown.xyz", "application/octet-stream"),
        ("noextension", "application/octet-stream"),
        ("html", "application/octet-stream"),
        ("trailing.", "application/octet-stream"),
    ],
)
def test_the_type_is_that_of_the_extension(name: str, expected: str) -> None:
    assert content_type(name.encode()) == expected.encode()


def test_pages_are_what_visitors_enter_a_site_by() -> None:
    assert is_page(b"a.html") and is_page(b"a.xhtml")
    assert not is_page(b"a.js") and not is_page(b"a")
