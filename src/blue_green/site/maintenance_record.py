"""What the state remembers of a maintenance, with all limits: somebody may have edited the file."""

import unicodedata
from collections.abc import Sequence
from ipaddress import IPv6Network, ip_address, ip_network

from attrs import define, field, validators

from blue_green.http.connected import plain_address
from blue_green.proxy.maintenance import Network
from blue_green.proxy.secret_link import TOKEN
from blue_green.system.ranges import is_moment

LONGEST_MESSAGE = 500
"""Characters."""
MOST_NETWORKS = 100
LONGEST_TIME = 366 * 86400.0
"""Seconds from the beginning to the end."""
LONGEST_SHOWN = 60


def check_message(message: str) -> None:
    """Raise `ValueError` for a message that cannot be on a page."""
    if len(message) > LONGEST_MESSAGE:
        raise ValueError(f"has {len(message)} characters, and may have {LONGEST_MESSAGE}")
    # Surrogates are what Python makes of arguments that are not UTF-8.
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in message):
        raise ValueError("must be one line of text, without control characters")


def network(text: str) -> Network:
    """An address or a network; raise `ValueError`."""
    shown = repr(text[:LONGEST_SHOWN])
    try:
        if "/" not in text:
            return ip_network(plain_address(text))
        return _plain(ip_network(text))
    except ValueError:
        pass
    try:
        meant = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(
            f"must be an address, or a network such as 203.0.113.0/24, not {shown}"
        ) from None
    raise ValueError(
        f"{shown} has bits of a host after the network: use {meant} for the whole network, or "
        f"{ip_address(text.partition('/')[0])} for one address"
    )


def _plain(found: Network) -> Network:
    """The network in its usual form: addresses of IPv4 within IPv6 are known as IPv4."""
    mapped = found.network_address.ipv4_mapped if isinstance(found, IPv6Network) else None
    return ip_network((mapped, found.prefixlen - 96)) if mapped and found.prefixlen >= 96 else found


def networks(texts: Sequence[str]) -> list[str]:
    """The addresses and networks in their usual form, each once; raise `ValueError`."""
    if len(texts) > MOST_NETWORKS:
        raise ValueError(f"may be given {MOST_NETWORKS} times, not {len(texts)}")
    return list(dict.fromkeys(_short(network(text)) for text in texts))


def _short(found: Network) -> str:
    return str(found.network_address if found.num_addresses == 1 else found)


def _is_message(_: object, attribute: object, message: str) -> None:
    check_message(message)


def _are_networks(_: object, attribute: object, texts: list[str]) -> None:
    networks(texts)


def _is_token(_: object, attribute: object, token: str) -> None:
    if not TOKEN.fullmatch(token):
        raise ValueError("is not a token")


@define
class MaintenanceRecord:
    """A maintenance that has begun. Times are in seconds since the epoch."""

    since: float = field(validator=is_moment)
    message: str = field(default="", validator=_is_message)
    until: float | None = field(default=None, validator=validators.optional(is_moment))
    allow: list[str] = field(factory=list, validator=_are_networks)
    """Addresses and networks that are admitted."""
    token: str | None = field(default=None, validator=validators.optional(_is_token))
    """That of the secret link."""
