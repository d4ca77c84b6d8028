"""Hosts and path prefixes: how they are written in settings, and when two are the same."""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from ipaddress import IPv6Address
from typing import TypeVar

import idna

T = TypeVar("T")

ANY_HOST = "*"
ALL_PATHS = ""
NAME = re.compile(rb"[0-9a-z_-]{1,63}(?:\.[0-9a-z_-]{1,63})*")
LONGEST_NAME = 253
IPV6 = re.compile(r"\[[^][]*\]|[^][.]*:[^][]*")
PREFIX = re.compile(r"(?:/[!$-.0->@-\[\]-~]+)*")
"""Without `"`, `#`, `?` and a backslash, which have a meaning elsewhere."""
DOT_SEGMENT = re.compile(r"(?i)/(?:\.|%2e){1,2}(?=/|$)")


def host_pattern(text: str) -> str:
    """A host as it is compared: `blog.example.com`, `*.example.com`, `[::1]` or `*`.

    An internationalised name becomes its ASCII form (RFC 5891). Raises ValueError with what the
    value must be.
    """
    if text == ANY_HOST:
        return text
    wildcard = "*." if text.startswith("*.") else ""
    name = text.removeprefix(wildcard)
    with suppress(ValueError):
        if not name.isascii():
            name = idna.encode(name, uts46=True).decode()
        elif IPV6.fullmatch(name) and not wildcard:
            return f"[{IPv6Address(name.strip('[]'))}]"
        if (host := normalised(name.encode())) and not set(name) & set(":["):
            return wildcard + host.decode()
    raise ValueError(
        'must be a host without a port, such as "blog.example.com", "*.example.com" or "*", '
        f'not "{text}"'
    )


def path_prefix(text: str) -> str:
    """A prefix as it is compared: `/api`, or nothing for all paths.

    Raises ValueError with what the value must be.
    """
    prefix = text.removesuffix("/")
    if text.startswith("/") and PREFIX.fullmatch(prefix) and not DOT_SEGMENT.search(prefix):
        return prefix
    raise ValueError(f'must be a path such as "/api", without "?", "//" or "..", not "{text}"')


def normalised(host: bytes) -> bytes:
    """A Host header as it is compared, without its port; empty if it names no host."""
    host = host.lower()
    if host.startswith(b"["):
        address = host.partition(b"]")[0][1:]
        try:
            return b"[%b]" % str(IPv6Address(address.decode("latin-1"))).encode()
        except ValueError:
            return b""
    name = host.partition(b":")[0].removesuffix(b".")
    return name if NAME.fullmatch(name) and len(name) <= LONGEST_NAME else b""


def clashes(routes: Iterable[tuple[str, str, T]]) -> Iterator[tuple[str, str, T, T]]:
    """Find the routes that are given twice.

    A route is a host, a path prefix (both as above), and what owns it. Yields a host and a prefix
    with their first owner and with each further one.
    """
    owners: dict[tuple[str, str], T] = {}
    for host, prefix, owner in routes:
        if (host, prefix) in owners:
            yield host, prefix, owners[host, prefix], owner
        else:
            owners[host, prefix] = owner
