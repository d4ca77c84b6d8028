"""Whom a connection and a request count for, where one client must not take all that there is.

That is an address: of IPv6 the network of 64 bits, which is the least that somebody is given. A
request that a trusted proxy passes on counts for the client that the proxy names. The names are
read from the right, where each proxy adds the one that it has seen, and those further left are
anybody's (RFC 7239 section 8.1).
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

from blue_green.http.request import Request
from blue_green.proxy.client import MOST_REMEMBERED, Client, is_trusted, plain_address

MOST_PROXIES = 10
"""How many names are looked at."""
LONGEST_NAME = 100
"""Characters of a name that may be an address, with a port and blanks: it is kept."""
FORWARDED_FOR = re.compile(r'(?i)(?:^|;)[ \t]*for="?([^";]*)')
WITH_PORT = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]+)?|([0-9.]+):[0-9]+")

NOBODY = ""
"""Of whom we cannot tell who it is: a peer on a Unix socket, or one that only passes things on."""


@lru_cache(MOST_REMEMBERED)
def of_address(address: str) -> str:
    """The share of an address as `Client` has it."""
    if not address:
        return NOBODY
    ip = ip_address(address)
    if isinstance(ip, IPv6Address):
        return str(ip_network((int(ip) >> 64 << 64, 64)))
    return address


def of_request(client: Client, request: Request) -> str:
    """The share of a request."""
    x_forwarded_for = request.told.get(b"x-forwarded-for")
    forwarded = request.told.get(b"forwarded")
    if not client.trusted:
        # It may be a proxy on this machine, whose clients are not one, and which nobody named.
        passes_on = bool(x_forwarded_for or forwarded) and _is_here(client.address)
        return NOBODY if passes_on else of_address(client.address)
    nearest = client.address
    for name in _from_the_right(x_forwarded_for, forwarded):
        address = _address(name) if len(name) <= LONGEST_NAME else None
        if address is None:
            break
        nearest = address
        if not is_trusted(address, client.trust.proxies):
            break
    return of_address(nearest)


def _is_here(address: str) -> bool:
    return bool(address) and ip_address(address).is_loopback


def _from_the_right(x_forwarded_for: bytes | None, forwarded: bytes | None) -> Iterator[str]:
    if x_forwarded_for:
        yield from reversed(
            x_forwarded_for.decode("latin-1").rsplit(",", MOST_PROXIES)[-MOST_PROXIES:]
        )
    elif forwarded:
        for element in reversed(
            forwarded.decode("latin-1").rsplit(",", MOST_PROXIES)[-MOST_PROXIES:]
        ):
            named = FORWARDED_FOR.search(element)
            yield named[1] if named else ""


@lru_cache(MOST_REMEMBERED)
def _address(name: str) -> str | None:
    """The address that a proxy names, perhaps with a port; None if it is none."""
    name = name.strip()
    if with_port := WITH_PORT.fullmatch(name):
        name = with_port[1] or with_port[2]
    try:
        return plain_address(name)
    except ValueError:
        return None
