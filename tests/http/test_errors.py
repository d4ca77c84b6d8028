"""Error responses: the built-in pages and custom ones."""

import os
from pathlib import Path

import pytest

from blue_green.http import own_pages
from blue_green.http.errors import ErrorPages, MaintenanceNotice
from blue_green.http.own_pages import LARGEST_PAGE, BadPages
from tests.raw.backend import drops
from tests.raw.messages import GET
from tests.raw.proxy import running


@pytest.mark.parametrize("html", [True, False])
def test_built_in_error_pages_say_what_happened(html: bool) -> None:
    page = ErrorPages().fill_in(503, "Nothing could answer.", html=html).decode()
    assert "503 Service Unavailable" in page
    assert "Nothing could answer." in page
    assert ("<h1>" in page) == html


def test_the_reason_is_escaped_in_an_error_page() -> None:
    assert b"<script>" not in ErrorPages().fill_in(400, "<script>", html=True)


def test_a_page_for_one_status_takes_precedence_over_the_general_one(tmp_path: Path) -> None:
    (tmp_path / "503.html").write_text("<p>back soon ({status})")
    (tmp_path / "error.html").write_text("<p>{phrase}: {why}")
    pages = ErrorPages(tmp_path)
    assert pages.fill_in(503, "why", html=True) == b"<p>back soon (503)"
    assert pages.fill_in(502, "why", html=True) == b"<p>Bad Gateway: why"
    assert pages.fill_in(503, "why", html=False) == ErrorPages().fill_in(503, "why", html=False)


def test_unknown_braces_in_a_page_are_kept(tmp_path: Path) -> None:
    (tmp_path / "error.html").write_text("<style>p{color:red}</style>{other}")
    assert ErrorPages(tmp_path).fill_in(502, "", html=True) == b"<style>p{color:red}</style>{other}"


def test_an_unusable_directory_is_reported(tmp_path: Path) -> None:
    with pytest.raises(BadPages, match="nowhere cannot be read: No such file"):
        ErrorPages(tmp_path / "nowhere")
    (tmp_path / "502.txt").write_bytes(b"\xff")
    with pytest.raises(BadPages, match=r"502\.txt is not UTF-8"):
        ErrorPages(tmp_path)
    (tmp_path / "502.txt").write_bytes(b"x" * (LARGEST_PAGE + 1))
    with pytest.raises(BadPages, match=r"502\.txt is larger than"):
        ErrorPages(tmp_path)


@pytest.mark.parametrize("name", ["503.html", "error.txt"])
def test_a_page_that_is_a_link_out_of_the_directory_is_refused(tmp_path: Path, name: str) -> None:
    """Everybody gets these pages, and whoever can push can make such a link."""
    pages = tmp_path / "pages"
    pages.mkdir()
    (tmp_path / "private.key").write_text("secret")
    (pages / name).symlink_to("../private.key")
    with pytest.raises(BadPages, match=f"{name} leads out of {pages}"):
        ErrorPages(pages)


def test_a_page_may_be_a_link_to_another_one(tmp_path: Path) -> None:
    (tmp_path / "502.html").write_text("<p>back soon")
    (tmp_path / "503.html").symlink_to("502.html")
    (tmp_path / "current").symlink_to(tmp_path)
    assert ErrorPages(tmp_path / "current").fill_in(503, "", html=True) == b"<p>back soon"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to have a directory of another user")
def test_root_does_not_follow_another_users_link_to_the_directory(tmp_path: Path) -> None:
    theirs, private = tmp_path / "theirs", tmp_path / "private"
    for directory in (theirs, private):
        directory.mkdir()
    (private / "error.txt").write_text("secret")
    (theirs / "pages").symlink_to(private)
    ErrorPages(theirs / "pages")
    os.chown(theirs, 65534, 65534)
    with pytest.raises(BadPages, match="over a link that others than root can change"):
        ErrorPages(theirs / "pages")
    (theirs / "pages").unlink()
    (theirs / "pages").mkdir()
    (theirs / "pages" / "error.txt").write_text("mine")
    assert ErrorPages(theirs / "pages").fill_in(503, "", html=False) == b"mine"


def test_a_hard_link_to_a_file_that_is_not_world_readable_is_no_page(tmp_path: Path) -> None:
    """Whoever can write to the directory could have made a hard link to a key there."""
    private, pages = tmp_path / "key.pem", tmp_path / "pages"
    pages.mkdir()
    private.write_text("secret")
    private.chmod(0o640)
    os.link(private, pages / "503.html")
    with pytest.raises(BadPages, match=r"503\.html has another hard link"):
        ErrorPages(pages)
    private.chmod(0o644)
    assert ErrorPages(pages).fill_in(503, "", html=True) == b"secret"


def test_a_page_that_is_not_a_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "503.txt")
    with pytest.raises(BadPages, match=r"503\.txt is not a regular file"):
        ErrorPages(tmp_path)


def test_only_files_named_after_a_status_are_read(tmp_path: Path) -> None:
    for name in ("index.html", "599.html", "notes.txt", "0503.txt"):
        os.mkfifo(tmp_path / name)
    assert ErrorPages(tmp_path).fill_in(503, "", html=True) == ErrorPages().fill_in(
        503, "", html=True
    )


@pytest.mark.parametrize("html", [True, False])
def test_the_page_of_a_site_in_maintenance_says_when_it_is_back_if_that_is_known(
    html: bool,
) -> None:
    pages = ErrorPages()
    page = pages.of_maintenance(MaintenanceNotice("So <b>soon</b>.", "21:00"), html=html).decode()
    assert ("So &lt;b&gt;soon" in page) == html == ("<h1>In maintenance" in page)
    assert "It should be back at 21:00." in page
    page = pages.of_maintenance(MaintenanceNotice("Soon.", ""), html=html).decode()
    assert "Soon." in page and "back" not in page and "{" not in page.partition("</style>")[2]


def test_the_own_page_for_maintenance_may_have_all_that_other_pages_have(tmp_path: Path) -> None:
    (tmp_path / "maintenance.html").write_text("{status} {phrase}: {why} {message} {until} {other}")
    notice = MaintenanceNotice("{until} <b>", "21:00")
    page = ErrorPages(tmp_path).of_maintenance(notice, html=True)
    once = "{until} &lt;b&gt;"
    assert page.decode() == f"503 Service Unavailable: {once} {once} 21:00 {{other}}"


def test_a_page_is_filled_in_once_for_all_requests_and_anew_for_each_notice() -> None:
    pages, notice = ErrorPages(), MaintenanceNotice("Soon.", "")
    first = pages.of_maintenance(notice, html=True)
    assert pages.of_maintenance(notice, html=False) != first
    assert pages.of_maintenance(notice, html=True) is first
    assert b"Later." in pages.of_maintenance(MaintenanceNotice("Later.", ""), html=True)


@pytest.mark.parametrize("name", ["maintenance.html", "error.txt"])
def test_a_page_with_so_many_places_that_it_would_become_huge_is_refused(
    tmp_path: Path, name: str
) -> None:
    file, most = tmp_path / name, own_pages.MOST_PLACES
    file.write_text("{why}{message}" * (most // 2) + "{other}")
    page = ErrorPages(tmp_path).of_maintenance(MaintenanceNotice("'" * 500, ""), html=True)
    assert len(page) < 500_000
    file.write_text("{message}" * (most + 1))
    with pytest.raises(BadPages, match=rf"{name} has 51 places such as {{message}}, and may have"):
        ErrorPages(tmp_path)


async def test_a_client_gets_the_custom_error_page(tmp_path: Path) -> None:
    (tmp_path / "502.txt").write_text("{status}: try again")
    async with running(drops, error_pages=tmp_path) as proxy:
        client = await proxy.ask(GET.replace(b"GET", b"POST"))
        answer = await client.answer()
        assert (answer.status, answer.body) == (502, b"502: try again")
