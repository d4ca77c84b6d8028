"""Hosts and paths by which requests are routed to a site, read into the form that is compared."""

import re
from ipaddress import IPv4Address, IPv6Address
from typing import Any, NewType

from blue_green.config.kinds import of_type, shown

HostPattern = NewType("HostPattern", str)
"""A host, `*.` and a name, or `*`: in lower case, without a trailing dot."""
ExactHost = NewType("ExactHost", str)
"""A host without a wildcard."""
PathPrefix = NewType("PathPrefix", str)
"""A path without a trailing slash, or `/`."""

ANY_HOST = HostPattern("*")
ANY_PATH = PathPrefix("/")
LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
LONGEST_NAME = 253
PREFIX = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*")
DOT_SEGMENT = re.compile(r"/(?:\.|%2[Ee]){1,2}(?:/|$)")


def host_pattern(value: Any) -> HostPattern:
    text = of_type(str, "a host in quotes")(value)
    if text == ANY_HOST:
        return ANY_HOST
    if text.startswith("*."):
        name = _host(value, text.removeprefix("*."))
        if name.startswith("[") or name[-1].isdigit():
            raise ValueError(f"{shown(value)}: an address has no wildcard")
        return HostPattern(f"*.{name}")
    return HostPattern(_host(value, text))


def exact_host(value: Any) -> ExactHost:
    text = of_type(str, "a host in quotes")(value)
    if "*" in text:
        raise ValueError(f"{shown(value)} must be one host, without a wildcard")
    return ExactHost(_host(value, text))


def is_exact(host: HostPattern) -> bool:
    """Whether it has no wildcard."""
    return "*" not in host


def path_prefix(value: Any) -> PathPrefix:
    text = of_type(str, "a path in quotes")(value)
    if not text.startswith("/"):
        raise ValueError(f'must be a path such as "/api", not {shown(value)}')
    if not PREFIX.fullmatch(text):
        raise ValueError(
            f'{shown(value)} must be a path such as "/api", without a query, and with other '
            "characters than those of URLs as %XX"
        )
    if ";" in text:
        raise ValueError(
            f'{shown(value)} must have no ";": the cookie of maintenance could not be for it alone'
        )
    if "//" in text or DOT_SEGMENT.search(text):
        raise ValueError(f'{shown(value)} must have no empty segment, and none that is "." or ".."')
    return PathPrefix(text.removesuffix("/") or ANY_PATH)


def _host(value: Any, text: str) -> str:
    """A host without a wildcard; `value` is what the user wrote."""
    if address := _ipv6(text):
        return address
    if "/" in text:
        raise ValueError(f"{shown(value)} must be a host only, without https:// and without a path")
    if ":" in text:
        raise ValueError(f"{shown(value)} must be a host without a port: any port matches")
    if not text.isascii():
        raise ValueError(f"{shown(value)} {_advice(text)}")
    name = text.lower().removesuffix(".")
    labels = name.split(".")
    if len(name) > LONGEST_NAME or not all(map(LABEL.fullmatch, labels)):
        raise ValueError(
            f'{shown(value)} must be a host such as "blog.example.com", "*.example.com" for all '
            'names one label below, or "*" for any host'
        )
    return _ipv4(value, name) if labels[-1].isdigit() else name


def _ipv6(text: str) -> str | None:
    """The address in brackets, as in the Host field; None if it is none."""
    is_bracketed = text.startswith("[") and text.endswith("]")
    try:
        address = IPv6Address(text[1:-1] if is_bracketed else text)
    except ValueError:
        return None
    return None if address.scope_id else f"[{address.compressed}]"


def _ipv4(value: Any, name: str) -> str:
    # A name whose last label is a number is an IPv4 address for browsers, or an error.
    try:
        return str(IPv4Address(name))
    except ValueError:
        raise ValueError(f"{shown(value)} is neither a name nor an IP address") from None


def _advice(text: str) -> str:
    """How to write a name that is not ASCII."""
    try:
        # Python's codec is that of IDNA 2003. Where it loses something, its result may be wrong.
        name = text.lower().encode("idna").decode()
        is_exact = name.encode().decode("idna") == text.lower()
    except UnicodeError:
        is_exact = False
    if is_exact:
        return f'must be written in ASCII, as clients send it: "{name}"'
    return 'must be written in ASCII, as clients send it: with "xn--" labels'
