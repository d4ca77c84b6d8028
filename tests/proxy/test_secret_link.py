"""Secret links: what opens them, the cookie that they set, what backends and logs see of them."""

from urllib.parse import quote

import pytest

from blue_green.http.request import Request, read_request
from blue_green.proxy.secret_link import TOKEN, SecretLink, new_token, without_any, without_token

TOKEN_A = "a" * 43
LINK = SecretLink("maintenance", TOKEN_A)


def request(path: str = "/", *lines: str, method: str = "GET") -> Request:
    head = "".join(f"{line}\r\n" for line in (f"{method} {path} HTTP/1.1", "Host: h", *lines, ""))
    return read_request(head.encode())


def cookie_of(link: SecretLink = LINK, prefix: str = "") -> str:
    """What a client sends after it has opened the link."""
    [cookie] = [v for n, v in link.response(prefix, is_secure=True).fields if n == b"set-cookie"]
    return cookie.decode().partition(";")[0]


def test_each_token_is_another_one_of_256_bits() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(TOKEN.fullmatch(token) for token in tokens)


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_the_link_is_opened_below_the_paths_of_its_site(prefix: str) -> None:
    path = prefix + LINK.path
    assert LINK.is_opened_by(request(path), prefix)
    assert LINK.is_opened_by(request(f"{path}?from=chat"), prefix)
    assert LINK.is_opened_by(request(path, method="HEAD"), prefix)


@pytest.mark.parametrize(
    "path",
    [
        LINK.path[:-1],
        f"{LINK.path}a",
        f"{LINK.path}/",
        f"/{LINK.path}",
        f"/x{LINK.path}",
        LINK.path.replace("aaaa", "%61aaa", 1),
        LINK.path.upper(),
        "/maintenance-access/",
        "/preview-access/" + TOKEN_A,
    ],
)
def test_another_path_does_not_open_it(path: str) -> None:
    assert not LINK.is_opened_by(request(path), "")


def test_only_a_request_without_effects_opens_it() -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert not LINK.is_opened_by(request(LINK.path, method=method), "")


@pytest.mark.parametrize(
    ("prefix", "path"),
    [("", "/"), ("/api", "/api"), ("/a/b", "/a/b")],
)
def test_the_cookie_is_for_the_paths_of_the_site_only(prefix: str, path: str) -> None:
    fields = dict(LINK.response(prefix, is_secure=False).fields)
    name, *attributes = fields[b"set-cookie"].decode().split("; ")
    assert name.startswith("blue-green-maintenance=")
    assert attributes == [f"Path={path}", "HttpOnly", "SameSite=Lax"]


def test_over_tls_the_cookie_is_secure() -> None:
    fields = dict(LINK.response("", is_secure=True).fields)
    assert fields[b"set-cookie"].endswith(b"; HttpOnly; SameSite=Lax; Secure")


def test_the_response_leads_up_from_the_link_and_is_not_stored_or_named_as_a_referrer() -> None:
    response = LINK.response("/api", is_secure=True)
    fields = dict(response.fields)
    assert (response.status, fields[b"location"]) == (303, b"../")
    assert fields[b"cache-control"] == b"no-store"
    assert fields[b"referrer-policy"] == b"no-referrer"


def test_the_cookie_does_not_reveal_the_token() -> None:
    assert TOKEN_A not in cookie_of()


@pytest.mark.parametrize(
    "line",
    [
        "Cookie: {ours}",
        "cookie:{ours}",
        "COOKIE: a=b; {ours}; c=d",
        "Cookie: blue-green-maintenance=stale; {ours}",
        "Cookie: a=b\r\nCookie: {ours}",
        "Cookie: ;;{ours} ; =; x",
    ],
)
def test_whoever_has_the_cookie_holds_the_link(line: str) -> None:
    assert LINK.is_held_by(request("/", *line.format(ours=cookie_of()).split("\r\n")))


@pytest.mark.parametrize(
    "line",
    [
        "Cookie: {ours}x",
        "Cookie: x{ours}",
        "Cookie: blue-green-maintenance=",
        f"Cookie: blue-green-maintenance={TOKEN_A}",
        "X-Cookie: {ours}",
        "Accept: x; Cookie: {ours}",
        "Cookie: a={ours}",
    ],
)
def test_anything_else_is_not_the_cookie(line: str) -> None:
    assert not LINK.is_held_by(request("/", line.format(ours=cookie_of())))


def test_the_cookie_of_another_link_or_purpose_is_none_of_this_one() -> None:
    for other in (SecretLink("maintenance", "b" * 43), SecretLink("preview", TOKEN_A)):
        assert not LINK.is_held_by(request("/", f"Cookie: {cookie_of(other)}"))
        value = cookie_of(other).partition("=")[2]
        assert not LINK.is_held_by(request("/", f"Cookie: blue-green-maintenance={value}"))


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("Cookie: {ours}", []),
        ("Cookie: a=b; {ours}", ["a=b"]),
        ("Cookie: {ours}; a=b", ["a=b"]),
        ("cookie:{ours};a=b", ["a=b"]),
        ("Cookie: a=b; {ours}; c=d; blue-green-maintenance=stale", ["a=b; c=d"]),
        ("Cookie: {ours}\r\nCookie: a=b", ["a=b"]),
        ("Cookie: a=b", ["a=b"]),
    ],
)
def test_a_backend_gets_all_other_cookies(line: str, left: list[str]) -> None:
    before = request("/", "Accept: x", *line.format(ours=cookie_of()).split("\r\n"), "X-Y: z")
    after = without_any(before)
    cookies = [value.decode() for name, value in after.fields if name == b"cookie"]
    assert cookies == left
    others = [field for field in before.fields if field[0] != b"cookie"]
    assert [field for field in after.fields if field[0] != b"cookie"] == others


def test_a_request_that_others_may_share_is_left_alone() -> None:
    before = request("/", f"Cookie: {cookie_of()}")
    assert without_any(before) is not before
    assert LINK.is_held_by(before)
    plain = request("/")
    assert without_any(plain) is plain


@pytest.mark.parametrize(
    "path",
    [
        LINK.path,
        f"/api{LINK.path}?x=1",
        LINK.path[:-1],
        f"{LINK.path}, and {LINK.path}",
        LINK.path.replace("s/", "s//"),
        LINK.path.replace("s/", "s/./x/"),
        LINK.path.replace("s/", "s%2F"),
        LINK.path.replace("s/", "s\\"),
        LINK.path.replace("-", "%2d"),
        LINK.path.replace("-", "%252D"),
        LINK.path.replace("a", "%61"),
        LINK.path.replace("m", "%25256D"),
        LINK.path.replace("maintenance-access", "Maintenance-ACCESS"),
        f"/?next={LINK.path}",
        f"/?next={quote(LINK.path, safe='')}",
        f"/%ff%zz{LINK.path}",
        LINK.path.replace("maintenance", "preview"),
    ],
)
def test_a_logged_path_has_nothing_of_a_token(path: str) -> None:
    logged = without_token(path)
    assert logged.endswith(("-access/...", "-ACCESS/..."))
    assert "aaaa" not in logged and "%61" not in logged


def test_a_path_without_a_link_is_logged_as_it_is() -> None:
    for path in ("/grant-access/12345", "/maintenance-access", "/%e4%bd%a0?x=%25252561", "/%zz"):
        assert without_token(path) == path
