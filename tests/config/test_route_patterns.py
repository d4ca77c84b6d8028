"""Hosts and path prefixes in settings."""

import pytest

from blue_green.config.route_patterns import clashes, host_pattern, path_prefix


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("*", "*"),
        ("blog.example.com", "blog.example.com"),
        ("Blog.Example.COM.", "blog.example.com"),
        ("*.Example.com", "*.example.com"),
        ("localhost", "localhost"),
        ("my_app.internal", "my_app.internal"),
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "[::1]"),
        ("[2001:DB8:0:0::1]", "[2001:db8::1]"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("*.BÜCHER.example", "*.xn--bcher-kva.example"),
        ("faß.example", "xn--fa-hia.example"),
    ],
)
def test_a_host_is_compared_in_one_form_however_it_is_written(written: str, meant: str) -> None:
    assert host_pattern(written) == meant
    assert host_pattern(meant) == meant


@pytest.mark.parametrize(
    "written",
    [
        *("", ".", "..", "*.", "**", "*.*", "a.*.com", "*a.com", "*.*.com", "a..b", ".a", "a b"),
        *("a:80", "[::1]:80", "[::1", "::1]", "[1.2.3.4]", ":80", "*.[::1]", "*.::1", "1:2"),
        *("http://a", "a/b", "ü:80", "ü..de", "ü_x\u2024de/", "a" * 64, 50 * "abcdef.", "a\n"),
    ],
)
def test_a_host_that_no_client_could_name_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="must be a host"):
        host_pattern(written)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("/", ""),
        ("/api", "/api"),
        ("/api/", "/api"),
        ("/API/v2", "/API/v2"),
        ("/a.b/..c/...", "/a.b/..c/..."),
        ("/%C3%BC", "/%C3%BC"),
        ("/~me;v=1", "/~me;v=1"),
    ],
)
def test_a_path_prefix_is_compared_without_a_slash_at_its_end(written: str, meant: str) -> None:
    assert path_prefix(written) == meant


@pytest.mark.parametrize(
    "written",
    [
        *("", "api", "//", "//api", "/api//", "/a//b", "/a?b", "/a#b", "/a b", "/ü", "/a\\b"),
        *("/.", "/..", "/api/..", "/./a", "/a/../b", "/%2e", "/%2E%2e/a", "/.%2e", '/"', "/a\n"),
    ],
)
def test_a_path_prefix_that_no_path_has_or_that_backends_read_differently_is_refused(
    written: str,
) -> None:
    with pytest.raises(ValueError, match="must be a path"):
        path_prefix(written)


def test_routes_that_are_given_twice_are_found_with_their_owners() -> None:
    routes = [
        ("a", "", "blog"),
        ("a", "/api", "api"),
        ("*.a", "", "blog"),
        ("*", "", "shop"),
        ("a", "/api", "shop"),
        ("*", "", "shop"),
        ("a", "/api", "blog"),
    ]
    assert list(clashes(routes)) == [
        ("a", "/api", "api", "shop"),
        ("*", "", "shop", "shop"),
        ("a", "/api", "api", "blog"),
    ]
