"""What the errors look like that we answer ourselves."""

from pathlib import Path

import pytest

from blue_green.proxy.errors import LARGEST_PAGE, BadPages, Pages
from tests.proxy.harness import GET, drops, running


@pytest.mark.parametrize("html", [True, False])
def test_ours_say_what_happened(html: bool) -> None:
    page = Pages().fill_in(503, "Nothing could answer.", html=html).decode()
    assert "503 Service Unavailable" in page
    assert "Nothing could answer." in page
    assert ("<h1>" in page) == html


def test_what_happened_is_text_also_in_a_page() -> None:
    assert b"<script>" not in Pages().fill_in(400, "<script>", html=True)


def test_a_page_for_one_status_comes_before_the_one_for_all(tmp_path: Path) -> None:
    (tmp_path / "503.html").write_text("<p>back soon ({status})")
    (tmp_path / "error.html").write_text("<p>{phrase}: {why}")
    pages = Pages(tmp_path)
    assert pages.fill_in(503, "why", html=True) == b"<p>back soon (503)"
    assert pages.fill_in(502, "why", html=True) == b"<p>Bad Gateway: why"
    assert pages.fill_in(503, "why", html=False) == Pages().fill_in(503, "why", html=False)


def test_braces_of_a_page_that_are_not_ours_stay(tmp_path: Path) -> None:
    (tmp_path / "error.html").write_text("<style>p{color:red}</style>{other}")
    assert Pages(tmp_path).fill_in(502, "", html=True) == b"<style>p{color:red}</style>{other}"


def test_a_directory_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadPages, match="nowhere cannot be read: No such file"):
        Pages(tmp_path / "nowhere")
    (tmp_path / "502.txt").write_bytes(b"\xff")
    with pytest.raises(BadPages, match="not UTF-8"):
        Pages(tmp_path)
    (tmp_path / "502.txt").write_bytes(b"x" * (LARGEST_PAGE + 1))
    with pytest.raises(BadPages, match=r"502\.txt is larger than"):
        Pages(tmp_path)


async def test_a_client_gets_the_page(tmp_path: Path) -> None:
    (tmp_path / "502.txt").write_text("{status}: try again")
    async with running(drops, error_pages=tmp_path) as proxy:
        client = await proxy.ask(GET.replace(b"GET", b"POST"))
        answer = await client.answer()
        assert (answer.status, answer.body) == (502, b"502: try again")
