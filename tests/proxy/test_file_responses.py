"""Files of releases are sent without the app, with the right status, fields and bytes."""

import os
from pathlib import Path

import pytest

from tests.raw.files import fetch, roots, serving, write

LARGE = os.urandom(3 * 1024 * 1024 + 17)


@pytest.fixture
def release(tmp_path: Path) -> Path:
    write(
        tmp_path / "live/public",
        {
            "index.html": "<title>home</title>",
            "about.html": "about",
            "blog/index.html": "blog",
            "app.3f2a9c1b.js": "js",
            "app.css": "css",
            "app.css.br": "brotli",
            "app.css.gz": "gzip",
            "empty.txt": "",
            "large.bin": LARGE,
            ".env": "SECRET",
            ".well-known/security.txt": "contact",
        },
    )
    return tmp_path / "live"


async def test_a_file_is_sent_with_its_fields(release: Path) -> None:
    async with serving(roots(release)) as proxy:
        answer = await fetch(proxy, "/app.3f2a9c1b.js?v=1")
        assert (answer.status, answer.body) == (200, b"js")
        assert answer.field(b"content-type") == [b"text/javascript; charset=utf-8"]
        assert answer.field(b"cache-control") == [b"public, max-age=31536000, immutable"]
        assert answer.field(b"x-content-type-options") == [b"nosniff"]
        assert answer.field(b"accept-ranges") == [b"bytes"]


async def test_a_large_file_is_sent_whole_and_in_ranges(release: Path) -> None:
    async with serving(roots(release)) as proxy:
        assert (await fetch(proxy, "/large.bin")).body == LARGE
        answer = await fetch(proxy, "/large.bin", "Range: bytes=1000000-2999999")
        assert (answer.status, answer.body) == (206, LARGE[1000000:3000000])
