"""Files of releases are sent without the app, with the right status, fields and bytes."""

import os
from pathlib import Path

import pytest
import trio

from blue_green.files.lookup import SETTLED_NS
from blue_green.files.roots import SURE
from tests.raw.checks import descriptors, until_descriptors_are
from tests.raw.files import fetch, roots, serving, write
from tests.raw.tls_client import write_pair

LARGE = os.urandom(3 * 1024 * 1024 + 17)
UPGRADE = ("Connection: upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: k")


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
            "medium.bin": LARGE[:100_000],
            "large.bin": LARGE,
        },
    )
    return tmp_path / "live"


async def test_a_file_is_sent_with_its_fields(release: Path) -> None:
    async with serving(roots(release)) as proxy:
        answer = await fetch(proxy, "/app.3f2a9c1b.js?v=1")
        assert (answer.status, answer.body) == (200, b"js")
        names = [name.lower() for name, _ in answer.fields]
        assert len(names) == len(set(names))
        assert answer.field(b"content-type") == [b"text/javascript; charset=utf-8"]
        assert answer.field(b"cache-control") == [b"public, max-age=31536000, immutable"]
        assert answer.field(b"x-content-type-options") == [b"nosniff"]
        assert answer.field(b"accept-ranges") == [b"bytes"]
        assert answer.field(b"date")
        assert not answer.field(b"vary")
        assert not proxy.backend.heads


@pytest.mark.parametrize("path", ["/about.html", "/medium.bin", "/app.css", "/empty.txt", "/no"])
async def test_head_has_the_fields_of_get(release: Path, path: str) -> None:
    async with serving(roots(release)) as proxy:
        get, head = [await fetch(proxy, path, method=method) for method in ("GET", "HEAD")]
        assert head.body == b"" and head.status == get.status
        assert [field for field in head.fields if field[0] != b"Date"] == [
            field for field in get.fields if field[0] != b"Date"
        ]


async def test_a_known_file_is_not_sent_again(release: Path) -> None:
    async with serving(roots(release)) as proxy:
        first = await fetch(proxy, "/about.html")
        etag = first.field(b"etag")[0].decode()
        answer = await fetch(proxy, "/about.html", f"If-None-Match: {etag}")
        assert (answer.status, answer.body) == (304, b"")
        for name in (b"etag", b"cache-control", b"last-modified"):
            assert answer.field(name) == first.field(name)
        assert not answer.field(b"content-length")
        assert (await fetch(proxy, "/about.html", 'If-Match: "other"')).status == 412


async def test_a_file_that_stayed_open_is_sent_as_the_first_time(release: Path) -> None:
    async with serving(roots(release)) as proxy:
        for path, whole in (("/large.bin", LARGE), ("/medium.bin", LARGE[:100_000])):
            first, second, third = [await fetch(proxy, path) for _ in range(3)]
            assert first.body == second.body == third.body == whole
            assert first.field(b"content-length") == third.field(b"content-length")
        (release / "public/medium.bin").write_bytes(b"other")
        await trio.sleep(2 * SURE)
        assert (await fetch(proxy, "/medium.bin")).body == b"other"


async def test_ranges_are_sent_of_files_of_any_size(release: Path) -> None:
    async with serving(roots(release)) as proxy:
        assert (await fetch(proxy, "/large.bin")).body == LARGE
        for path, whole in (("/large.bin", LARGE), ("/medium.bin", LARGE[:100_000])):
            for first, last in ((0, 0), (16_383, 16_385), (1000, 99_000)):
                answer = await fetch(proxy, path, f"Range: bytes={first}-{last}")
                assert (answer.status, answer.body) == (206, whole[first : last + 1])
                expected = f"bytes {first}-{last}/{len(whole)}"
                assert answer.field(b"content-range") == [expected.encode()]
        answer = await fetch(proxy, "/about.html", "Range: bytes=5-")
        assert (answer.status, answer.body) == (416, b"")
        assert answer.field(b"content-range") == [b"bytes */5"]


async def test_files_may_be_larger_than_the_memory(release: Path) -> None:
    size = 2**42
    with (release / "public/film").open("wb") as file:
        file.truncate(size)
    async with serving(roots(release)) as proxy:
        head = await fetch(proxy, "/film", method="HEAD")
        assert head.field(b"content-length") == [str(size).encode()]
        answer = await fetch(proxy, "/film", f"Range: bytes={size - 70_000}-")
        assert (answer.status, answer.body) == (206, bytes(70_000))
        os.utime(release / "public/film", (0, 0))
        await trio.sleep(0.021)
        assert (await fetch(proxy, "/film", method="HEAD")).field(b"etag") != head.field(b"etag")


async def test_an_http_1_0_client_gets_a_file_and_the_end(release: Path) -> None:
    async with serving(roots(release)) as proxy:
        for path, body in ((b"/about.html", b"about"), (b"/large.bin", LARGE)):
            client = await proxy.ask(b"GET %b HTTP/1.0\r\n\r\n" % path)
            assert (await client.answer()).body == body
            assert await client.end() == b""
        client = await proxy.ask(b"GET /about.html HTTP/1.0\r\nIf-None-Match: *\r\n\r\n")
        assert (await client.answer()).status == 304


async def test_the_compressed_file_is_sent_to_who_accepts_it(release: Path) -> None:
    async with serving(roots(release)) as proxy:
        tags = set()
        for accepted, coding, body in (
            ("gzip, br", [b"br"], b"brotli"),
            ("gzip", [b"gzip"], b"gzip"),
            ("br;q=0", [], b"css"),
        ):
            answer = await fetch(proxy, "/app.css", f"Accept-Encoding: {accepted}")
            assert (answer.body, answer.field(b"content-encoding")) == (body, coding)
            assert answer.field(b"content-type") == [b"text/css; charset=utf-8"]
            assert answer.field(b"vary") == [b"Accept-Encoding"]
            tags.add(answer.field(b"etag")[0])
        assert len(tags) == 3
        answer = await fetch(proxy, "/app.css", "Accept-Encoding: gzip", "Range: bytes=-2")
        assert (answer.status, answer.body) == (206, b"ip")


async def test_a_directory_is_redirected_to_its_path_with_a_slash(release: Path) -> None:
    async with serving(roots(release)) as proxy:
        answer = await fetch(proxy, "/blog?a=1&b=//x")
        assert answer.status == 308
        assert answer.field(b"location") == [b"./blog/?a=1&b=//x"]
        assert (await fetch(proxy, "/blog/?a=1")).body == b"blog"


async def test_the_app_gets_what_is_no_file(release: Path) -> None:
    async with serving(roots(release, has_app=True)) as proxy:
        assert (await fetch(proxy, "/about")).body == b"about"
        for path, method, lines in (
            ("/login?next=/", "GET", ()),
            ("/about.html", "POST", ("Content-Length: 0",)),
            ("/about.html", "OPTIONS", ()),
            ("/about.html", "GET", UPGRADE),
            ("/%2e%2e/etc/passwd", "GET", ()),
        ):
            assert (await fetch(proxy, path, *lines, method=method)).body == b"ok"
            assert proxy.backend.heads[-1].startswith(f"{method} {path} HTTP/1.1".encode())
        assert len(proxy.backend.heads) == 5


async def test_a_static_site_refuses_other_methods(release: Path) -> None:
    async with serving(roots(release)) as proxy:
        answer = await fetch(proxy, "/about.html", "Content-Length: 0", method="POST")
        assert (answer.status, answer.field(b"allow")) == (405, [b"GET, HEAD, OPTIONS"])
        answer = await fetch(proxy, "*", method="OPTIONS")
        assert (answer.status, answer.field(b"allow")) == (200, [b"GET, HEAD, OPTIONS"])


async def test_a_static_site_has_a_page_for_what_is_not_there(release: Path) -> None:
    async with serving(roots(release)) as proxy:
        answer = await fetch(proxy, "/nothing")
        assert answer.status == 404 and b"There is nothing at this path." in answer.body
    write(release, {"public/404.html": "not here", "other.html": "elsewhere"})
    async with serving(roots(release)) as proxy:
        answer = await fetch(proxy, "/nothing", "Range: bytes=0-1", "If-None-Match: *")
        assert (answer.status, answer.body) == (404, b"not here")
        assert answer.field(b"content-type") == [b"text/html; charset=utf-8"]
        assert not answer.field(b"etag")
    async with serving(roots(release, not_found="other.html")) as proxy:
        assert (await fetch(proxy, "/nothing")).body == b"elsewhere"


async def test_a_page_is_the_fallback_for_pages_but_not_for_scripts(release: Path) -> None:
    async with serving(roots(release, fallback="public/index.html")) as proxy:
        answer = await fetch(proxy, "/users/1")
        assert (answer.status, answer.body) == (200, b"<title>home</title>")
        assert answer.field(b"cache-control") == [b"no-cache"]
        assert (await fetch(proxy, "/users/a.b", "Accept: text/html,*/*")).status == 200
        assert (await fetch(proxy, "/gone.js", "Accept: */*")).status == 404


async def test_a_static_site_without_a_release_is_not_ready() -> None:
    async with serving(roots()) as proxy:
        answer = await fetch(proxy, "/")
        assert (answer.status, answer.field(b"retry-after")) == (503, [b"1"])


async def test_requests_follow_one_another_on_a_connection(release: Path) -> None:
    async with serving(roots(release)) as proxy:
        client = await proxy.connect()
        one = b"GET %b HTTP/1.1\r\nHost: h\r\n\r\n"
        paths = (b"/about.html", b"/large.bin", b"/no", b"/app.css", b"/blog", b"/medium.bin")
        await client.send(b"".join(one % path for path in paths))
        answers = [await client.answer() for _ in paths]
        assert [answer.status for answer in answers] == [200, 200, 404, 200, 308, 200]
        assert answers[1].body == LARGE


async def test_a_body_that_nobody_reads_closes_the_connection(release: Path) -> None:
    async with serving(roots(release)) as proxy:
        for lines in ("Content-Length: 10\r\nExpect: 100-continue", "Transfer-Encoding: chunked"):
            head = f"GET /about.html HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\n"
            client = await proxy.ask(head.encode())
            answer = await client.answer()
            assert (answer.status, answer.field(b"connection")) == (200, [b"close"])


async def test_a_file_is_sent_over_tls(release: Path) -> None:
    pair = write_pair(release, "localhost")
    async with serving(roots(release), tls=pair) as proxy:
        proxy.site.hsts = b"Strict-Transport-Security: max-age=60\r\n"
        answer = await fetch(proxy, "/large.bin")
        assert answer.body == LARGE
        assert answer.field(b"strict-transport-security") == [b"max-age=60"]
        assert (await fetch(proxy, "/medium.bin", "Range: bytes=-3")).body == LARGE[99_997:100_000]


@pytest.mark.parametrize("change", ["truncate", "write", "touch"])
async def test_a_file_that_changes_while_it_is_sent_breaks_the_response(
    release: Path, change: str
) -> None:
    large = release / "public/large.bin"
    large.write_bytes(bytes(30_000_000))
    async with serving(roots(release)) as proxy:
        client = await proxy.connect()
        client.small_buffers()
        await client.send(b"GET /large.bin HTTP/1.1\r\nHost: h\r\n\r\n")
        await client.exactly(1000)
        if change == "truncate":
            os.truncate(large, 100_000)
        elif change == "write":
            with large.open("r+b") as file:
                file.seek(29_000_000)
                file.write(b"changed")
        else:
            os.utime(large)
        assert await client.count() < 30_000_000
        assert client.was_reset


async def test_a_replaced_file_is_sent_as_it_was_and_then_as_it_is(release: Path) -> None:
    large = release / "public/large.bin"
    content = LARGE * 8
    large.write_bytes(content)
    async with serving(roots(release)) as proxy:
        client = await proxy.connect()
        client.small_buffers()
        await client.send(b"GET /large.bin HTTP/1.1\r\nHost: h\r\n\r\n")
        await client.next_head()
        (release / "new").write_bytes(b"new")
        (release / "new").replace(large)
        assert (await client.answer()).body == content
        await trio.sleep(0.02)
        assert (await fetch(proxy, "/large.bin")).body == b"new"


@pytest.mark.parametrize("path", ["/about.html", "/medium.bin"])
async def test_a_change_shows_at_once(release: Path, path: str) -> None:
    async with serving(roots(release)) as proxy:
        for number in range(10):
            content = bytes([65 + number]) * (200 if path == "/about.html" else 200_000)
            (release / f"public{path}").write_bytes(content)
            await trio.sleep(0.021)
            assert (await fetch(proxy, path)).body == content


async def test_a_removed_file_is_gone(release: Path) -> None:
    async with serving(roots(release)) as proxy:
        assert (await fetch(proxy, "/about.html")).status == 200
        (release / "public/about.html").unlink()
        await trio.sleep(0.021)
        assert (await fetch(proxy, "/about.html")).status == 404


async def test_clients_that_leave_leave_no_further_open_files(release: Path) -> None:
    (release / "public/large.bin").write_bytes(bytes(30_000_000))
    await trio.sleep(2 * SETTLED_NS / 1e9)  # Until then, it would be opened anew each time.
    async with serving(roots(release)) as proxy:
        await fetch(proxy, "/large.bin")  # From now on, it stays open.
        before = descriptors()
        for _ in range(10):
            client = await proxy.connect()
            client.small_buffers()
            await client.send(b"GET /large.bin HTTP/1.1\r\nHost: h\r\n\r\n")
            await client.exactly(1000)
            await client.reset()
        await until_descriptors_are(before)


async def test_files_are_served_while_the_gate_is_closed(release: Path) -> None:
    async with serving(roots(release, has_app=True)) as proxy:
        proxy.gate.close("for a test")
        assert (await fetch(proxy, "/about.html")).status == 200
