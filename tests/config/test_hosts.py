"""Hosts and path prefixes are read into the form in which they are compared."""

import re

import pytest

from blue_green.config.hosts import exact_host, host_pattern, path_prefix

HOSTS = {
    "blog.example.com": "blog.example.com",
    "Blog.Example.COM.": "blog.example.com",
    "*.Example.com": "*.example.com",
    "*": "*",
    "localhost": "localhost",
    "my_app.local": "my_app.local",
    "xn--bcher-kva.de": "xn--bcher-kva.de",
    "192.0.2.1": "192.0.2.1",
    "2001:DB8:0:0::1": "[2001:db8::1]",
    "[::1]": "[::1]",
}


@pytest.mark.parametrize(("written", "host"), HOSTS.items())
def test_a_host_is_read_in_lower_case_without_a_trailing_dot(written: str, host: str) -> None:
    assert host_pattern(written) == host


BAD_HOSTS = {
    "https://blog.example.com": "without https://",
    "blog.example.com/x": "without a path",
    "blog.example.com:80": "without a port",
    "[::1]:80": "without a port",
    "[::1": "without a port",
    "bücher.de": '"xn--bcher-kva.de"',
    "straße.de": 'with "xn--" labels',
    "": "must be a host such as",
    ".": "must be a host such as",
    "a..b": "must be a host such as",
    "-a.b": "must be a host such as",
    "a-.b": "must be a host such as",
    "a b": "must be a host such as",
    "a.*.b": "must be a host such as",
    "*a.b": "must be a host such as",
    "**.b": "must be a host such as",
    "*.": "must be a host such as",
    "x" * 64: "must be a host such as",
    ".".join(["x" * 60] * 5): "must be a host such as",
    "1.2.3.256": "neither a name nor an IP address",
    "1.2.3": "neither a name nor an IP address",
    "*.1.2.3.4": "an address has no wildcard",
    "*.::1": "an address has no wildcard",
    "fe80::1%eth0": "without a port",
}


@pytest.mark.parametrize(("written", "why"), BAD_HOSTS.items())
def test_what_is_no_host_is_an_error_that_says_how_to_write_it(written: str, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        host_pattern(written)


@pytest.mark.parametrize("value", [3, None, True, ["a"], {"a": 1}])
def test_a_host_or_path_that_is_no_string_is_an_error(value: object) -> None:
    for read in (host_pattern, exact_host, path_prefix):
        with pytest.raises(ValueError, match="must be a"):
            read(value)


@pytest.mark.parametrize("written", ["*", "*.example.com"])
def test_a_host_that_is_redirected_has_no_wildcard(written: str) -> None:
    with pytest.raises(ValueError, match="without a wildcard"):
        exact_host(written)


PATHS = {"/api": "/api", "/api/": "/api", "/": "/", "/a/b.c/": "/a/b.c", "/a%20b": "/a%20b"}


@pytest.mark.parametrize(("written", "path"), PATHS.items())
def test_a_path_prefix_is_read_without_its_trailing_slash(written: str, path: str) -> None:
    assert path_prefix(written) == path


@pytest.mark.parametrize(
    "written",
    [
        *[
            "",
            "api",
            "*",
            "/a?b",
            "/a#b",
            "/a b",
            "/ä",
            "/a%2",
            "/a\\b",
            "/a;b",
            "/a//b",
            "//",
            "/a//",
        ],
        *["/.", "/..", "/a/../b", "/a/./b", "/%2e%2E/b", "/a/.%2e"],
    ],
)
def test_a_path_prefix_that_no_path_begins_with_is_an_error(written: str) -> None:
    with pytest.raises(ValueError, match="must"):
        path_prefix(written)
