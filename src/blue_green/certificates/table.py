"""The table of certificates: a handshake finds the one for the name that the client asks for.

A name has the certificate of that host, else that of `*.` and its parent, else the one for all
hosts, if there is one. A client that sends no name, because the host is an IP address (RFC 6066
section 3) or because it is old, gets that of the address to which it connected.
"""

import ssl
from collections.abc import Iterator

import trio
from attrs import define

from blue_green.certificates.challenges import Challenges
from blue_green.certificates.pem import Loaded, server_context


@define
class TableEntry:
    """The certificate of a host, if it is there yet."""

    loaded: Loaded | None = None
    coming: trio.Event | None = None
    """Set when a first certificate has come, or will not come for now; None if none is awaited."""


class CertificateTable:
    """Finds the certificate for a handshake."""

    def __init__(self, challenges: Challenges | None = None) -> None:
        self.challenges = challenges or Challenges()
        self.base: ssl.SSLContext = server_context()
        """What all TLS objects are made of. It has no certificate, but the keys of session tickets:
        so sessions are resumed also after a renewal."""
        self.base.sni_callback = self._choose
        self._by_host: dict[str, TableEntry] = {}
        self.default: TableEntry | None = None
        """For all hosts that have no entry."""

    def find(self, name: str | None, address: str = "") -> TableEntry | None:
        """The entry for a server name; None if it is none of ours.

        `address` is the local address of the connection, for clients that send no name.
        """
        host = (name or _bracketed(address)).lower().removesuffix(".")
        return (
            self._by_host.get(host)
            or self._by_host.get(f"*.{host.partition('.')[2]}")
            or self.default
        )

    def entry(self, host: str) -> TableEntry:
        """The entry of a host as the settings have it, a new one if there is none."""
        return self._by_host.setdefault(host, TableEntry())

    def remove(self, host: str) -> None:
        """A host is no longer ours. Handshakes that wait for it end."""
        entry = self._by_host.pop(host, None)
        if entry is not None and entry.coming is not None:
            entry.coming.set()

    def _choose(
        self, tls: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext
    ) -> int | None:
        """Give the TLS object the certificate for this name; else return an alert."""
        entry = self.find(name)
        if entry is None:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        if entry.loaded is None:
            return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
        tls.context = entry.loaded.context
        return None

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._by_host))


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
