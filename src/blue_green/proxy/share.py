"""Which client a connection or a request counts for, where one must not use up a limit alone.

A client is an address; with IPv6 the network of 64 bits, the smallest that anybody is given. A
request that a trusted proxy forwards counts for the client that the proxy names. The names are read
from the right, where each proxy adds the one it saw; anybody can write those further left
(RFC 7239 section 8.1). Where X-Forwarded-For and Forwarded name different clients, the client is
unknown.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

from blue_green.http.connected import plain_address
from blue_green.http.request import Request
from blue_green.proxy.remote import MOST_CACHED, Remote, is_trusted

MOST_PROXIES = 10
"""Names that are looked at."""
LONGEST_NAME = 100
"""Characters of a name that may be an address, with a port and blanks. Those are cached."""
LONGEST_QUOTED = 2000
"""Characters of a field Forwarded with quoted strings, which is parsed whole."""
PAIR = re.compile(
    r"[ \t]*+(?:(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]++)="
    r'(?:"(?P<quoted>(?:[^"\\]|\\.)*+)"|(?P<text>[^",; \t]*+)))?+[ \t]*+(?P<end>[,;]|\Z)'
)
"""A pair in Forwarded, or nothing, and what ends it. Addresses with a port may lack their quotes.
"""
WITH_PORT = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]+)?|([0-9.]+):[0-9]+")

NOBODY = ""
"""An unknown client: a peer on a Unix socket, or one that only forwards requests."""


@lru_cache(MOST_CACHED)
def of_address(address: str) -> str:
    """The client of a connection from this address (as `Remote` has it)."""
    if not address:
        return NOBODY
    ip = ip_address(address)
    if isinstance(ip, IPv6Address):
        return str(ip_network((int(ip) >> 64 << 64, 64)))
    return address


def of_request(remote: Remote, request: Request) -> str:
    """The client of a request."""
    return of_address(_nearest(remote, request)[0])


def sole_client(remote: Remote, request: Request) -> str:
    """The client of a request; `NOBODY` if many may have its address.

    Those are a proxy that says nothing about its clients, and the machine itself, where one may be.
    """
    address, is_certain = _nearest(remote, request)
    if not is_certain:  # Or a client could make itself unknown with a field of its own.
        return of_address(address)
    has_many = address == remote.address and (remote.trusted or _is_local(address))
    return NOBODY if has_many else of_address(address)


def address_of(remote: Remote, request: Request) -> str:
    """The address of a request's client; empty if it is not known for certain."""
    address, is_certain = _nearest(remote, request)
    return address if is_certain else ""


def _nearest(remote: Remote, request: Request) -> tuple[str, bool]:
    """The nearest address that is known of the client, and whether it is the client's own."""
    x_forwarded_for = request.forwarding.get(b"x-forwarded-for")
    forwarded = request.forwarding.get(b"forwarded")
    if not remote.trusted:
        # It may be a local proxy that is not in the settings: its clients are not one.
        forwards = bool(x_forwarded_for or forwarded) and _is_local(remote.address)
        return "" if forwards else remote.address, not forwards
    if x_forwarded_for and forwarded:
        found = _walk(remote, _in_list(x_forwarded_for))
        # A proxy sets one of them, and may pass on the other as its client has sent it.
        agrees = _walk(remote, _in_forwarded(forwarded)) == found
        return found if agrees else (remote.address, False)
    if x_forwarded_for:
        return _walk(remote, _in_list(x_forwarded_for))
    return _walk(remote, _in_forwarded(forwarded)) if forwarded else (remote.address, True)


def _walk(remote: Remote, names: Iterable[str]) -> tuple[str, bool]:
    """The first address that is none of a trusted proxy, and whether all before it are known."""
    nearest = remote.address
    for name in names:
        address = address_in(name) if len(name) <= LONGEST_NAME else None
        if address is None:
            return nearest, False
        nearest = address
        if not is_trusted(address, remote.trust.proxies):
            break
    return nearest, True


def _is_local(address: str) -> bool:
    return bool(address) and ip_address(address).is_loopback


def _in_list(x_forwarded_for: bytes) -> Iterator[str]:
    """The names in X-Forwarded-For, the last one first."""
    return reversed(x_forwarded_for.decode("latin-1").rsplit(",", MOST_PROXIES)[-MOST_PROXIES:])


def _in_forwarded(forwarded: bytes) -> Sequence[str]:
    """The names in Forwarded (RFC 7239), the last one first; an empty one where it has none.

    In a quoted string, commas and semicolons are text. Where one does not end, nothing is certain.
    """
    text = forwarded.decode("latin-1")
    if '"' not in text:
        text = ",".join(text.rsplit(",", MOST_PROXIES)[-MOST_PROXIES:])
    elif len(text) > LONGEST_QUOTED:
        return ("",)
    names, named, position = [], list[str](), 0
    while position <= len(text):
        if (pair := PAIR.match(text, position)) is None:
            return ("",)
        if pair["name"] and pair["name"].lower() == "for":
            named.append(pair["text"] if pair["quoted"] is None else pair["quoted"])
        if pair["end"] != ";":
            names.append(named[0] if len(named) == 1 else "")
            named = []
        position = pair.end() + (not pair["end"])
    return names[: -MOST_PROXIES - 1 : -1]


@lru_cache(MOST_CACHED)
def address_in(name: str) -> str | None:
    """The address in a name that a proxy gave, perhaps with a port; None if there is none."""
    name = name.strip()
    if with_port := WITH_PORT.fullmatch(name):
        name = with_port[1] or with_port[2]
    try:
        return plain_address(name)
    except ValueError:
        return None
