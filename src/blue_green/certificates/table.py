"""The table of certificates: a handshake finds the one for the name that the client asks for.

A name has the certificate of that host, else that of `*.` and its parent, else the one for all
hosts, if there is one. A client that sends no name, because the host is an IP address (RFC 6066
section 3) or because it is old, gets that of the address to which it connected.
"""

import re
import ssl
from collections.abc import Iterator

import trio
from attrs import define, field

from blue_green.certificates.challenges import Challenges
from blue_green.certificates.pem import Loaded
from blue_green.certificates.sessions import Sessions
from blue_green.config.hosts import ANY_HOST

HOST = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}")
LONGEST_NAME = 253


@define
class TableEntry:
    """The certificate of a host, if it is there yet."""

    loaded: Loaded | None = None
    coming: trio.Event | None = None
    """Set when a first certificate has come, or will not come for now; None if none is awaited."""
    sessions: Sessions = field(factory=Sessions)


class CertificateTable:
    """Finds the certificate for a handshake."""

    def __init__(self, challenges: Challenges | None = None) -> None:
        self.challenges = challenges or Challenges()
        self._by_host: dict[str, TableEntry] = {}
        self.default: TableEntry | None = None
        """For all hosts that have no entry."""

    def find(self, name: str | None, address: str = "") -> TableEntry | None:
        """The entry for a server name as the client sent it; None if it is none of ours.

        `address` is the local address of the connection, for clients that send no name.
        """
        host = _bracketed(address) if name is None else in_lower_case(name)
        entry = self._by_host.get(host)
        if entry is None and (name is None or is_host(host)):
            entry = self._by_host.get(f"*.{host.partition('.')[2]}", self.default)
        return entry

    def challenge(self, name: str | None) -> ssl.SSLContext | None:
        """The context that answers a challenge of tls-alpn-01 for this server name."""
        return None if name is None else self.challenges.tls.get(in_lower_case(name))

    def entry(self, host: str) -> TableEntry:
        """The entry of a host as the settings have it, a new one if there is none."""
        return self._by_host.setdefault(host, TableEntry())

    def put(self, host: str, entry: TableEntry) -> None:
        """Use this entry for a host as the settings have it; for `*`, as the default."""
        if host == ANY_HOST:
            self.default = entry
        else:
            self._by_host[host] = entry

    def remove(self, host: str) -> None:
        """A host is no longer ours. Handshakes that wait for it end."""
        if host == ANY_HOST:
            self.default = None
        entry = self._by_host.pop(host, None)
        if entry is not None and entry.coming is not None:
            entry.coming.set()

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._by_host))


def in_lower_case(name: str) -> str:
    """A name in the form in which names are compared."""
    return name.lower().removesuffix(".")


def is_host(name: str) -> bool:
    """Whether it may be a host's name, in lower case."""
    return len(name) <= LONGEST_NAME and HOST.fullmatch(name) is not None


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
