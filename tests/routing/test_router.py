"""The routing table: which route a host and a path lead to."""

import random
import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blue_green.routing.router import Route, Router, normalised, routes_of


def router(*routes: str) -> Router[str]:
    """Routes such as `example.com/api`, each to a site of that name."""
    return Router(Route(host, slash + path, name) for name in routes
                  for host, slash, path in [name.partition("/")])  # fmt: skip


def found(table: Router[str], host: bytes | None, target: bytes = b"/") -> str | None:
    route = table.find(host, target)
    return None if route is None else route.site


# --- hosts -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "site"),
    [
        (b"example.com", "example.com"),
        (b"EXAMPLE.com", "example.com"),
        (b"example.com:8080", "example.com"),
        (b"example.com:", "example.com"),
        (b"example.com.", "example.com"),
        (b"Example.Com.:80", "example.com"),
        (b"blog.example.com", "*.example.com"),
        (b"BLOG.EXAMPLE.COM.:80", "*.example.com"),
        (b"shop.example.com", "shop.example.com"),
        (b"a.b.example.com", "*"),
        (b"example.org", "*"),
        (b"xn--bcher-kva.example", "xn--bcher-kva.example"),
        (b"[::1]", "[::1]"),
        (b"[::1]:8080", "[::1]"),
        (b"[0:0:0:0:0:0:0:1]", "[::1]"),
        (b"[2001:DB8::1]", "[2001:db8::1]"),
    ],
)
def test_an_exact_host_comes_before_a_wildcard_and_that_before_the_default(
    host: bytes, site: str
) -> None:
    table = router(
        *("*", "example.com", "*.example.com", "shop.example.com", "[::1]", "[2001:db8::1]"),
        "xn--bcher-kva.example",
    )
    assert found(table, host) == site


@pytest.mark.parametrize(
    "host",
    [
        *(None, b"", b"*", b"*.example.com", b".example.com", b"example.com..", b".."),
        *(b"[::1", b"[example.com]", b"[]", b"[::1%25eth0]", b"%65xample.com"),
        *(b"a" * 64 + b".example.com", b"!.example.com", b"a b.example.com"),
        *(b"x." * 200 + b"example.com", b"b\xc3\xbccher.example.com"),
    ],
)
def test_what_is_no_host_name_only_matches_the_default(host: bytes | None) -> None:
    named = ["example.com", "*.example.com"]
    assert found(router(*named, "*"), host) == "*"
    assert found(router(*named), host) is None


def test_a_wildcard_is_one_label_and_never_none() -> None:
    table = router("*.example.com")
    assert found(table, b"a.example.com") == "*.example.com"
    assert found(table, b"example.com") is None
    assert found(table, b"a.b.example.com") is None
    assert found(table, b"aexample.com") is None


# --- paths -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "site"),
    [
        (b"/api", "a.com/api"),
        (b"/api/", "a.com/api"),
        (b"/api?x=/api/v2", "a.com/api"),
        (b"/api/v1", "a.com/api"),
        (b"/api/v2", "a.com/api/v2"),
        (b"/api/v2/x/y/z", "a.com/api/v2"),
        (b"/api/v2?x", "a.com/api/v2"),
        (b"/api/v22", "a.com/api"),
        (b"/api//v2", "a.com/api"),
        (b"/", "a.com"),
        (b"/apiary", "a.com"),
        (b"/apiary/api", "a.com"),
        (b"/?/api", "a.com"),
        (b"*", "a.com"),
        # Compared as they were sent:
        *((target, "a.com") for target in (b"/API", b"//api", b"/%61pi", b"/api;x", b"/api%2Fv2")),
        *((target, "a.com") for target in (b"/./api", b"/x/../api", b"\\api", b"/api\\v2")),
        *((target, "a.com/api") for target in (b"/api/../x", b"/api/%2e%2e/x", b"/api/.")),
    ],
)
def test_the_longest_prefix_wins_at_a_segment_border(target: bytes, site: str) -> None:
    assert found(router("a.com", "a.com/api", "a.com/api/v2"), b"a.com", target) == site


def test_a_path_that_no_route_of_the_host_has_falls_to_a_less_specific_host() -> None:
    table = router("a.x.com/api", "*.x.com/api", "*.x.com/web", "*", "*/api/v2")
    assert found(table, b"a.x.com", b"/api/v2") == "a.x.com/api"
    assert found(table, b"a.x.com", b"/web") == "*.x.com/web"
    assert found(table, b"a.x.com", b"/") == "*"
    assert found(table, b"b.x.com", b"/api/v2") == "*.x.com/api"
    assert found(table, b"b.com", b"/api/v2/z") == "*/api/v2"
    assert found(router("a.com/api"), b"a.com", b"/") is None


# --- the routes of a site --------------------------------------------------------------------


def test_a_site_without_hosts_and_paths_gets_every_request() -> None:
    table = Router(routes_of("site"))
    assert found(table, None) == found(table, b"a.com", b"/x") == table.sole == "site"


def test_the_path_of_all_paths_may_be_given() -> None:
    table = Router(routes_of("site", ["*"], ["/"], strip_path=True))
    route = table.find(b"a.com", b"/x")
    assert route is not None
    assert (route.site, route.prefix, route.stripped, table.sole) == ("site", "", b"", "site")


def test_a_site_with_hosts_or_paths_is_not_the_sole_one() -> None:
    assert Router(routes_of("site", ["a.com"])).sole is None
    assert Router(routes_of("site", ["*", "a.com"])).sole is None
    assert Router(routes_of("site", paths=["/api"])).sole is None
    assert Router[str](()).sole is None


def test_each_host_of_a_site_has_each_of_its_paths() -> None:
    table = Router(routes_of("site", ["a.com", "*.b.com"], ["/x", "/y"], strip_path=True))
    for host in (b"a.com", b"c.b.com"):
        for target in (b"/x", b"/y/z"):
            route = table.find(host, target)
            assert route is not None
            assert (route.site, route.stripped, route.moved_to) == ("site", target[:2], "")
        assert table.find(host, b"/") is None
    assert table.sites == ["site"]


def test_redirect_hosts_lead_to_the_first_host() -> None:
    table = Router(routes_of("site", ["a.com", "b.com"], redirect_hosts=["www.a.com", "*.c.com"]))
    moved = {host: table.find(host, b"/x") for host in (b"a.com", b"www.a.com", b"x.c.com")}
    assert {host: route and route.moved_to for host, route in moved.items()} == {
        b"a.com": "", b"www.a.com": "a.com", b"x.c.com": "a.com",
    }  # fmt: skip


def test_nothing_is_stripped_where_a_site_has_all_paths() -> None:
    route = Router(routes_of("site", strip_path=True)).find(None, b"/x")
    assert route is not None
    assert route.stripped == b""


# --- against a naive search ------------------------------------------------------------------


def naive(routes: Sequence[Route[int]], host: bytes, target: bytes) -> Route[int] | None:
    """Look at every route."""
    name = normalised(host).decode()
    segments = target.decode("latin-1").partition("?")[0].split("/")

    def specificity(route: Route[int]) -> tuple[int, int] | None:
        prefix = route.prefix.split("/")
        if segments[: len(prefix)] != prefix and route.prefix:
            return None
        if route.host == "*":
            return (0, len(prefix))
        if route.host.startswith("*."):
            first, _, rest = name.partition(".")
            return (1, len(prefix)) if first and rest == route.host[2:] else None
        return (2, len(prefix)) if route.host == name else None

    matching = [(found, route) for route in routes if (found := specificity(route))]
    # Of two equal routes, the first counts.
    return max(matching, key=lambda pair: pair[0])[1] if matching else None


LABELS = st.sampled_from(["a", "b", "com", "x-1"])
NAMES = st.lists(LABELS, min_size=1, max_size=3).map(".".join)
PATTERNS = NAMES | NAMES.map("*.{}".format) | st.just("*")
PREFIXES = st.lists(st.sampled_from(["a", "b", "a.b"]), max_size=3).map(
    lambda segments: "".join(f"/{segment}" for segment in segments)
)
HOSTS = (NAMES | st.text("ab.:[]*-1x", max_size=9)).map(str.encode)
TARGETS = st.text("ab/.?%;", max_size=9).map(lambda text: f"/{text}".encode()) | st.just(b"*")


@given(st.lists(st.tuples(PATTERNS, PREFIXES), max_size=12), st.lists(st.tuples(HOSTS, TARGETS)))
def test_the_router_finds_what_a_search_through_all_routes_finds(
    given: list[tuple[str, str]], requests: list[tuple[bytes, bytes]]
) -> None:
    routes = [Route(host, prefix, number) for number, (host, prefix) in enumerate(given)]
    table = Router(routes)
    for host, target in requests * 2:  # A second time from the cache.
        assert table.find(host, target) is naive(routes, host, target)


# --- its cost --------------------------------------------------------------------------------


def test_a_flood_of_different_hosts_does_not_evict_anything_but_the_cache() -> None:
    table = router("*.example.com", "a.com")
    for number in range(5000):
        assert found(table, b"h%d.example.com" % number) == "*.example.com"
    assert found(table, b"x" * 10_000) is None
    assert found(table, b"a.com") == "a.com"


def test_a_lookup_takes_the_same_time_for_one_site_and_for_500() -> None:
    """At most twice as long, where a search through all sites would take 500 times as long."""
    one, many = Router(routes_of(0, ["h0.com"])), Router(
        route for number in range(500) for route in routes_of(number, [f"h{number}.com"])
    )  # fmt: skip
    hosts = [b"h%d.com" % random.randrange(500) for _ in range(2000)]

    def seconds(table: Router[int], hosts: list[bytes]) -> float:
        began = time.perf_counter()
        for host in hosts:
            table.find(host, b"/some/path")
        return time.perf_counter() - began

    best = min(seconds(one, [b"h0.com"] * 2000) for _ in range(20))
    assert min(seconds(many, hosts) for _ in range(20)) < 2 * best + 0.002
