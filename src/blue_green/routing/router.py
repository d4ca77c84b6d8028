"""The routing table: a request's host and path lead to a site.

It is built once from all routes, and never changed: a reload builds another one. A lookup takes the
same time however many sites there are.

The most specific host that has a route for the path decides, and then the longest prefix:

- `blog.example.com` before `*.example.com`, where `*` is one label, before `*`, which is any host.
- `/api` is a prefix of `/api`, `/api/` and `/api/x`, but not of `/apiary`.

Case, a port and a trailing dot do not matter in a host, and an IPv6 address may be written in any
way. What is not a host name only matches `*`. Paths are compared as they were sent, byte by byte:
backends differ in how they decode and normalise them.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv6Address
from typing import Generic, TypeVar

from attrs import frozen

T = TypeVar("T")

ANY_HOST = "*"
ALL_PATHS = ""
NAME = re.compile(rb"[0-9a-z_-]{1,63}(?:\.[0-9a-z_-]{1,63})*")
LONGEST_NAME = 253
MOST_CACHED = 1024
LONGEST_CACHED = 128
"""Hosts as clients wrote them, and bytes of each."""


@frozen
class Route(Generic[T]):
    """Leads the requests for a host and the paths below a prefix to a site."""

    host: str
    """A host in lower case, `*.` and such a host, or `*`."""
    prefix: str
    """Such as `/api`; empty for all paths."""
    site: T
    stripped: bytes = b""
    """What is removed from the path before the backend gets it: the prefix, or nothing."""
    moved_to: str = ""
    """Requests are redirected to this host, where it is not empty."""


def routes_of(
    site: T,
    hosts: Sequence[str] = (),
    paths: Sequence[str] = (),
    *,
    strip_path: bool = False,
    redirect_hosts: Sequence[str] = (),
) -> Iterator[Route[T]]:
    """The routes of a site. Without hosts or without paths, it gets all of them."""
    for path in paths or (ALL_PATHS,):
        prefix = path.removesuffix("/")
        for host in hosts or (ANY_HOST,):
            yield Route(host, prefix, site, stripped=prefix.encode() if strip_path else b"")
        for host in redirect_hosts:
            yield Route(host, prefix, site, moved_to=hosts[0])


class Router(Generic[T]):
    """Finds the route of a request. Of two for the same host and prefix, the first counts."""

    def __init__(self, routes: Iterable[Route[T]]) -> None:
        routes = list(routes)
        self.sites = list(dict.fromkeys(route.site for route in routes))
        """Each site that a route leads to, once."""
        self._exact: dict[bytes, _Paths[T]] = {}
        self._below: dict[bytes, _Paths[T]] = {}
        """Of `*.example.com`, by `example.com`."""
        self._default: _Paths[T] = _Paths()
        for route in routes:
            self._paths_of(route.host).add(route)
        self._chains: dict[bytes | None, tuple[_Paths[T], ...]] = {}
        """What applies to a host as clients wrote it, the most specific first: a bounded cache."""
        self._whole: dict[bytes | None, Route[T]] = {}
        """The route of a host all of whose paths have the same one: another such cache."""

    @property
    def sole(self) -> T | None:
        """The site that gets every request, whatever its host and path, if there is one."""
        if self._exact or self._below or self._default.depth or self._default.root is None:
            return None
        return self._default.root.site

    def find(self, host: bytes | None, target: bytes) -> Route[T] | None:
        """The route for a Host header and a target (a path or `*`); None if there is none."""
        if (found := self._whole.get(host)) is not None:
            return found
        for paths in self._chains.get(host) or self._chain_of(host):
            route = paths.find(target) if paths.depth else paths.root
            if route is not None:
                return route
        return None

    def knows(self, host: bytes | None) -> bool:
        """Whether there is a route for some path of this host."""
        return any(paths.depth or paths.root for paths in self._chain_of(host))

    def _paths_of(self, host: str) -> "_Paths[T]":
        if host == ANY_HOST:
            return self._default
        table = self._below if host.startswith("*.") else self._exact
        return table.setdefault(host.removeprefix("*.").encode(), _Paths())

    def _chain_of(self, host: bytes | None) -> "tuple[_Paths[T], ...]":
        name = normalised(host or b"")
        matching = (
            self._exact.get(name),
            self._below.get(name.partition(b".")[2]),
            self._default,
        )
        chain = tuple(paths for paths in matching if paths is not None)
        if len(host or b"") <= LONGEST_CACHED:
            if len(self._chains) >= MOST_CACHED:
                self._chains.clear()
                self._whole.clear()
            self._chains[host] = chain
            if chain and chain[0].root and not chain[0].depth:
                self._whole[host] = chain[0].root
        return chain


class _Paths(Generic[T]):
    """The routes of one host."""

    def __init__(self) -> None:
        self.root: Route[T] | None = None
        """The one for all paths."""
        self.depth = 0
        """The number of segments in the longest prefix."""
        self._by_prefix: dict[bytes, Route[T]] = {}

    def add(self, route: Route[T]) -> None:
        if route.prefix == ALL_PATHS:
            self.root = self.root or route
            return
        self._by_prefix.setdefault(route.prefix.encode(), route)
        self.depth = max(self.depth, route.prefix.count("/"))

    def find(self, target: bytes) -> Route[T] | None:
        """The route with the longest prefix of the target's path."""
        segments = target.partition(b"?")[0].split(b"/", self.depth + 1)[: self.depth + 1]
        while len(segments) > 1:
            if route := self._by_prefix.get(b"/".join(segments)):
                return route
            segments.pop()
        return self.root


def normalised(host: bytes) -> bytes:
    """A Host header as it is compared, without its port; empty if it names no host."""
    host = host.lower()
    if host.startswith(b"["):
        address = host.partition(b"]")[0][1:]
        try:
            return b"[%b]" % IPv6Address(address.decode("latin-1")).compressed.encode()
        except ValueError:
            return b""
    name = host.partition(b":")[0].removesuffix(b".")
    return name if NAME.fullmatch(name) and len(name) <= LONGEST_NAME else b""
